"""The families of decoders that other people pretrain, as switches; sizes are a test's own."""

from typing import Any

GATED = {"mlp": "gated", "activation": "silu", "n_kv_heads": 1}
ALL_BUT_HEAD = ("qkv", "out", "mlp", "norm")
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {**GATED, "norm_eps": 1e-5, "rope_theta": 5e5, "rope_scaling": (1.0, 2.0, 8.0, 32.0), "tied": True},
    "qwen2": {**GATED, "rope_theta": 1e6, "bias": ("qkv",)},
    "gpt2": {"norm": "layer", "norm_eps": 1e-5, "positions": "learned", "n_positions": 16, "bias": ALL_BUT_HEAD, "tied": True},
    "neox": {"norm": "layer", "norm_eps": 1e-5, "rotary_dim": 4, "parallel": True, "activation": "gelu_exact", "bias": ALL_BUT_HEAD},
    "qwen3": {**GATED, "rope_theta": 1e6, "qk_norm": "head", "head_dim": 12, "tied": True},
    "olmo2": {**GATED, "norm_place": "post", "qk_norm": "projection", "rope_theta": 5e5},
}
