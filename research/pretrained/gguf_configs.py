"""The metadata of a GGUF file becomes the shape keys of our decoder; a value that is not implemented is refused by name."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from research.errors import UsageError
from research.models.configuration import BIASES
from research.pretrained.config_values import number, whole
from research.pretrained.configs import SWITCHES, Model
from research.pretrained.families import ARCHITECTURES

_KEYS = (  # after the architecture's name; what else stands there would change the model
    "block_count context_length embedding_length feed_forward_length vocab_size attention.head_count attention.head_count_kv "
    "attention.key_length attention.value_length attention.layer_norm_rms_epsilon attention.layer_norm_epsilon rope.freq_base "
    "rope.dimension_count rope.scaling.type rope.scaling.factor rope.scaling.original_context_length rope.scaling.finetuned "
    "use_parallel_residual tensor_data_layout"
).split()
_BIASED = {"qkv": ("attn_q", "attn_qkv"), "out": ("attn_output",), "mlp": ("ffn_up",), "norm": ("attn_norm",)}


def from_gguf(fields: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], factors: Sequence[float] = ()) -> tuple[str, Model, int]:
    """Returns (family, model, context) of a GGUF file from its metadata, the shapes of its tensors and its rope_freqs.weight.

    The files say nothing of biases and tied heads: the tensors that are there do. UsageError for an architecture or a value that is not
    implemented.
    """
    architecture = fields.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise UsageError(f"general.architecture = {architecture!r} is not implemented; known: {', '.join(ARCHITECTURES)}")
    family = ARCHITECTURES[architecture]
    own = {name.removeprefix(f"{architecture}."): value for name, value in fields.items() if name.startswith(f"{architecture}.")}
    for name, value in own.items():
        if name not in _KEYS and value not in (0, False, "", None):
            raise UsageError(f"{architecture}.{name} = {value!r} is not implemented")

    need = functools.partial(whole, own, before=f"{architecture}.")
    heads, width = need("attention.head_count"), need("embedding_length")
    head_dim = own.get("attention.key_length", width // heads)
    if own.get("attention.value_length", head_dim) != head_dim:
        raise UsageError(f"{architecture}.attention.value_length differs from key_length = {head_dim}, which is not implemented")
    rotary, rope = own.get("rope.dimension_count", head_dim), SWITCHES[family]["positions"] == "rope"
    eps = own.get("attention.layer_norm_rms_epsilon" if SWITCHES[family]["norm"] == "rms" else "attention.layer_norm_epsilon", 1e-5)
    places = [place for place, names in _BIASED.items() if any(f"blk.0.{name}.bias" in shapes for name in names)]
    model = SWITCHES[family] | {
        "vocab_size": int(shapes["token_embd.weight"][0]) if "token_embd.weight" in shapes else own.get("vocab_size", 0),
        "d_model": width,
        "n_layers": need("block_count"),
        "n_heads": heads,
        "n_kv_heads": need("attention.head_count_kv") if "attention.head_count_kv" in own else heads,
        "head_dim": head_dim,
        "d_mlp": need("feed_forward_length"),
        "norm_eps": _shortest(eps),
        "n_positions": 0 if rope else need("context_length"),
        "rope_theta": _shortest(own.get("rope.freq_base", 10_000.0)),
        "rope_scaling": _scaling(architecture, own, rotary) or tuple(_shortest(factor) for factor in factors),
        "rotary_dim": rotary if rope else head_dim,
        "bias": tuple(place for place in BIASES if place in places or (place == "head" and "output.bias" in shapes)),
        "tied": "output.weight" not in shapes,
    }
    if family == "gpt_neox":
        model["parallel"] = bool(own.get("use_parallel_residual", True))
    return family, model, need("context_length")


def _scaling(architecture: str, own: Mapping[str, Any], rotary: int) -> tuple[float, ...]:
    kind = own.get("rope.scaling.type", "none")
    if kind not in ("none", "linear"):
        raise UsageError(f"{architecture}.rope.scaling.type = {kind!r} is not implemented")
    return (_shortest(number(own, "rope.scaling.factor", f"{architecture}.")),) * (rotary // 2) if kind == "linear" else ()


def _shortest(value: float) -> float:
    """The number that was meant where a file keeps its float32: 1e-05, not 9.99999974e-06."""
    return float(str(np.float32(value)))
