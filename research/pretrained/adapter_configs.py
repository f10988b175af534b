"""adapter_config.json of peft: what it says of scales, written and read; what is not a plain LoRA is refused by name."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from research.errors import UsageError
from research.pretrained.factors import Factor

_USUAL: dict[str, Any] = {"r": 8, "lora_alpha": 8, "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {}}  # peft's defaults
_PLAIN: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "init_lora_weights": (True, False, "gaussian", "eva", "orthogonal"),
}
_WITHOUT_MEANING = frozenset(  # for what a trained adapter computes: names say where it lies, and its tensors how large it is
    "task_type auto_mapping peft_version base_model_name_or_path revision inference_mode target_modules exclude_modules lora_dropout "
    "fan_in_fan_out layers_to_transform layers_pattern megatron_core qalora_group_size eva_config".split()
)


def to_peft(factors: Mapping[str, Factor], rslora: bool) -> dict[str, Any]:
    """Returns the part of adapter_config.json that updates by module name give: ranks, alphas and targets, all written out.

    Targets are full names: 'c_proj' alone would also be the one of the MLP. lora_alpha / r is the scale, with rsLoRA lora_alpha / sqrt(r).
    """
    ranks = {name: factor.rank for name, factor in factors.items()}
    alphas = {name: _alpha(factor, rslora) for name, factor in factors.items()}
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "use_rslora": rslora,
        "rank_pattern": {name: own for name, own in ranks.items() if own != rank},
        "alpha_pattern": {name: own for name, own in alphas.items() if own != alpha},
        "target_modules": list(factors),
        "lora_dropout": 0.0,
        "bias": "none",
        "modules_to_save": None,
        "init_lora_weights": True,
    }


def _divisor(rank: int, rslora: bool) -> float:
    return math.sqrt(rank) if rslora else rank


def _alpha(factor: Factor, rslora: bool) -> int | float:
    """The alpha that was meant where scale is its float32: 16, not 16.0000004."""
    exact = factor.scale * _divisor(factor.rank, rslora)
    short = float(f"{exact:.6g}")
    alpha = short if np.float32(short / _divisor(factor.rank, rslora)) == np.float32(factor.scale) else exact
    return int(alpha) if alpha == int(alpha) else alpha


def check(config: Mapping[str, Any], folder: object) -> None:
    """Raises UsageError, naming the key, for an adapter that is not a plain LoRA beside an unchanged base."""
    for key, value in config.items():
        if key in _USUAL or key in _WITHOUT_MEANING or (key in _PLAIN and value in _PLAIN[key]):
            continue
        if key in _PLAIN or value not in (None, False, {}, [], ""):
            raise UsageError(f"{folder}: adapter_config.json has {key} = {value!r}, which is not implemented: plain LoRA alone is read")
    if config.get("peft_type") != "LORA":
        raise UsageError(f"{folder}: adapter_config.json names no peft_type; only LORA is read")


def scale_of(config: Mapping[str, Any], name: str, rank: int, folder: object) -> float:
    """Returns the factor before B A of a module; UsageError where its tensors have another rank than the config says."""
    known = _USUAL | dict(config)
    try:
        said = _of_pattern(known["rank_pattern"] or {}, name, known["r"])
        alpha = float(_of_pattern(known["alpha_pattern"] or {}, name, known["lora_alpha"]))
    except (re.error, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{folder}: adapter_config.json has a rank or an alpha that cannot be read ({error}); save it again") from None
    if said != rank or rank < 1:
        raise UsageError(f"{folder}: adapter_config.json gives {name} the rank {said}, its tensors have {rank}")
    return float(np.float32(alpha / _divisor(rank, bool(known["use_rslora"]))))


def _of_pattern(pattern: Mapping[str, Any], name: str, usual: Any) -> Any:
    """As peft: the first key that is the end of the name, as a regular expression."""
    return next((value for key, value in pattern.items() if re.match(rf"(.*\.)?({key})$", name)), usual)
