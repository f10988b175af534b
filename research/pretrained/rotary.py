"""Rotary positions as files describe them, and as the divisors of our frequencies."""

import math
from collections.abc import Mapping
from typing import Any

from research.errors import UsageError
from research.pretrained.config_values import number

_KEYS = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # of Llama 3.1 and 3.2


def keys(family: str, config: Mapping[str, Any], head_dim: int) -> dict[str, Any]:
    """Returns rope_theta, rotary_dim and rope_scaling of a config.json; transformers 5 has rope_parameters, earlier files several keys.

    UsageError, naming what is given, for a type of scaling that is not implemented.
    """
    named = [key for key in ("rope_scaling", "rope_parameters") if config[key]]
    given = [config[key] for key in named]
    if strange := [key for key in named if not isinstance(config[key], Mapping)]:
        raise UsageError(f"config.json: {strange[0]} = {config[strange[0]]!r} is not implemented; an object with a rope_type is")
    if len(given) > 1 and given[0] != given[1]:
        raise UsageError("config.json: rope_scaling and rope_parameters differ; keep the one that is meant")
    rope = dict(given[0]) if given else {}
    kind = str(rope.get("rope_type", rope.get("type", "default")))
    theta = _either(rope, "rope_theta", config, "rotary_emb_base" if family == "gpt_neox" else "rope_theta")
    share = _either(rope, "partial_rotary_factor", {"rotary_pct": 1.0, **config}, "rotary_pct")
    strange = sorted(set(rope) - {"type", "rope_type", "original_max_position_embeddings", *_KEYS.get(kind, ())})
    if kind not in _KEYS or strange or (share != 1.0 and family != "gpt_neox"):
        raise UsageError(f"config.json: rotary positions of {given[0]} are not implemented; known types: {', '.join(_KEYS)}")
    if lacking := [key for key in _KEYS[kind] if key not in rope]:
        raise UsageError(f"config.json: rope_type = {kind!r} needs {', '.join(lacking)}")
    sizes = {key: number(rope, key, f"config.json: {named[0]}.") for key in _KEYS[kind]}
    if kind == "llama3" and sizes["low_freq_factor"] >= sizes["high_freq_factor"]:
        raise UsageError("config.json: low_freq_factor of rope_type = 'llama3' must be below high_freq_factor")
    width = int(head_dim * share)
    if width < 2 or width % 2 or width > head_dim:
        raise UsageError(f"config.json: {width} of {head_dim} numbers of a head are turned, which must be some and even")
    return {"rope_theta": theta, "rotary_dim": width, "rope_scaling": scaling(kind, sizes, theta, width)}


def _either(rope: dict[str, Any], inner: str, config: Mapping[str, Any], outer: str) -> float:
    """A number that transformers 5 has among the rotary parameters, from where it is taken, and earlier versions beside them."""
    if inner not in rope:
        return number(config, outer)
    found = number(rope, inner, "config.json: rope_parameters.")
    del rope[inner]
    return found


def scaling(kind: str, rope: Mapping[str, Any], theta: float, rotary: int) -> tuple[float, ...]:
    """Returns what each of the rotary / 2 frequencies is divided by, () for nothing.

    llama3 divides what turns less than `low_freq_factor` times within the original context by `factor`, leaves what turns more than
    `high_freq_factor` times, and passes smoothly between them (transformers' modeling_rope_utils).
    """
    if kind == "default":
        return ()
    if kind == "linear":
        return (float(rope["factor"]),) * (rotary // 2)
    factor, low, high = float(rope["factor"]), float(rope["low_freq_factor"]), float(rope["high_freq_factor"])

    def divisor(k: int) -> float:
        turns = rope["original_max_position_embeddings"] * theta ** (-2 * k / rotary) / (2 * math.pi)
        share = min(max((turns - low) / (high - low), 0.0), 1.0)
        return 1.0 / ((1.0 - share) / factor + share)

    return tuple(divisor(k) for k in range(rotary // 2))


def to_hf(family: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keys of a config.json that say a model's rotary positions.

    UsageError for divisors that are neither linear scaling nor, by the constants of Llama 3.1 and 3.2, llama3.
    """
    divisors, theta = model["rope_scaling"], model["rope_theta"]
    if family == "gpt_neox":
        found: dict[str, Any] = {"rotary_emb_base": theta, "rotary_pct": model["rotary_dim"] / model["head_dim"]}
    else:
        found = {"rope_theta": theta}
    if not divisors:
        return found
    rope = {"rope_type": "linear", "factor": divisors[-1]}
    if len(set(divisors)) > 1:
        rope = {"rope_type": "llama3", "factor": divisors[-1], **LLAMA3}
    meant = scaling(rope["rope_type"], rope, theta, model["rotary_dim"])
    if not all(math.isclose(one, other, rel_tol=1e-5) for one, other in zip(meant, divisors, strict=True)):
        raise UsageError(f"no config.json says rotary frequencies divided by {divisors}: neither linear nor Llama 3's scaling")
    return {**found, "rope_scaling": rope}
