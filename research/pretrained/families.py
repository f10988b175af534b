"""What the families call our leaves: one table each, read from our side, for loading, saving, adapters and GGUF.

`leaves` says what a model must have; the table says where each of them lies. What no row asks for is left over, and an error.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from research.errors import UsageError
from research.pretrained.layouts import Layout, Shape

T = TypeVar("T")
Place = tuple[str, str, str]  # their module, how their tensor is stored (layouts.STORAGES), the module in a GGUF
_LAYER, _BLOCK = "model.layers.{layer}", "blk.{layer}"


class Row(NamedTuple):
    """One leaf: our path ('layers/...' for every layer), the tensor's name in HF files, its layout, its name in GGUF files, our shape."""

    ours: str
    theirs: str
    layout: Layout
    gguf: str
    shape: Shape


LLAMA: dict[str, Place] = {
    "embedding": ("model.embed_tokens", "plain", "token_embd"),
    "layers/attention_norm": (f"{_LAYER}.input_layernorm", "plain", f"{_BLOCK}.attn_norm"),
    "layers/attention/query": (f"{_LAYER}.self_attn.q_proj", "plain", f"{_BLOCK}.attn_q"),
    "layers/attention/key": (f"{_LAYER}.self_attn.k_proj", "plain", f"{_BLOCK}.attn_k"),
    "layers/attention/value": (f"{_LAYER}.self_attn.v_proj", "plain", f"{_BLOCK}.attn_v"),
    "layers/attention/out": (f"{_LAYER}.self_attn.o_proj", "plain", f"{_BLOCK}.attn_output"),
    "layers/mlp_norm": (f"{_LAYER}.post_attention_layernorm", "plain", f"{_BLOCK}.ffn_norm"),
    "layers/mlp/gate": (f"{_LAYER}.mlp.gate_proj", "plain", f"{_BLOCK}.ffn_gate"),
    "layers/mlp/up": (f"{_LAYER}.mlp.up_proj", "plain", f"{_BLOCK}.ffn_up"),
    "layers/mlp/down": (f"{_LAYER}.mlp.down_proj", "plain", f"{_BLOCK}.ffn_down"),
    "final_norm": ("model.norm", "plain", "output_norm"),
    "head": ("lm_head", "plain", "output"),
}
QK_NORMS: dict[str, Place] = {
    "layers/attention/query_norm": (f"{_LAYER}.self_attn.q_norm", "plain", f"{_BLOCK}.attn_q_norm"),
    "layers/attention/key_norm": (f"{_LAYER}.self_attn.k_norm", "plain", f"{_BLOCK}.attn_k_norm"),
}
BEHIND: dict[str, Place] = {  # post_attention_layernorm is the second norm in Llama, and the first in OLMo2
    "layers/attention_norm": (f"{_LAYER}.post_attention_layernorm", "plain", f"{_BLOCK}.post_attention_norm"),
    "layers/mlp_norm": (f"{_LAYER}.post_feedforward_layernorm", "plain", f"{_BLOCK}.post_ffw_norm"),
}
GPT2: dict[str, Place] = {
    "embedding": ("transformer.wte", "plain", "token_embd"),
    "position": ("transformer.wpe", "plain", "position_embd"),
    "layers/attention_norm": ("transformer.h.{layer}.ln_1", "plain", f"{_BLOCK}.attn_norm"),
    **{
        f"layers/attention/{part}": ("transformer.h.{layer}.attn.c_attn", "fused_conv", f"{_BLOCK}.attn_qkv")
        for part in ("query", "key", "value")
    },
    "layers/attention/out": ("transformer.h.{layer}.attn.c_proj", "conv", f"{_BLOCK}.attn_output"),
    "layers/mlp_norm": ("transformer.h.{layer}.ln_2", "plain", f"{_BLOCK}.ffn_norm"),
    "layers/mlp/up": ("transformer.h.{layer}.mlp.c_fc", "conv", f"{_BLOCK}.ffn_up"),
    "layers/mlp/down": ("transformer.h.{layer}.mlp.c_proj", "conv", f"{_BLOCK}.ffn_down"),
    "final_norm": ("transformer.ln_f", "plain", "output_norm"),
    "head": ("lm_head", "plain", "output"),
}
_NEOX = "gpt_neox.layers.{layer}"
NEOX: dict[str, Place] = {
    "embedding": ("gpt_neox.embed_in", "plain", "token_embd"),
    "layers/attention_norm": (f"{_NEOX}.input_layernorm", "plain", f"{_BLOCK}.attn_norm"),
    **{
        f"layers/attention/{part}": (f"{_NEOX}.attention.query_key_value", "fused_by_head", f"{_BLOCK}.attn_qkv")
        for part in ("query", "key", "value")
    },
    "layers/attention/out": (f"{_NEOX}.attention.dense", "plain", f"{_BLOCK}.attn_output"),
    "layers/mlp_norm": (f"{_NEOX}.post_attention_layernorm", "plain", f"{_BLOCK}.ffn_norm"),
    "layers/mlp/up": (f"{_NEOX}.mlp.dense_h_to_4h", "plain", f"{_BLOCK}.ffn_up"),
    "layers/mlp/down": (f"{_NEOX}.mlp.dense_4h_to_h", "plain", f"{_BLOCK}.ffn_down"),
    "final_norm": ("gpt_neox.final_layer_norm", "plain", "output_norm"),
    "head": ("embed_out", "plain", "output"),
}
FAMILIES: dict[str, dict[str, Place]] = {
    "llama": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA | QK_NORMS,
    "olmo2": LLAMA | QK_NORMS | BEHIND,
    "gpt2": GPT2,
    "gpt_neox": NEOX,
}
ALSO_CALLED = {"gpt_neox": {"lm_head.weight": "embed_out.weight"}}  # transformers 5 renamed the module
HEADS = {"gpt_neox": "embed_out.weight"} | dict.fromkeys(("llama", "qwen2", "qwen3", "olmo2", "gpt2"), "lm_head.weight")
SPARE = {  # buffers that old files carry: masks, and frequencies that the config gives
    "llama": r"\.rotary_emb\.inv_freq$",
    "gpt2": r"\.attn\.(masked_)?bias$",
    "qwen2": r"\.rotary_emb\.inv_freq$",
    "gpt_neox": r"\.attention\.(masked_bias|bias|rotary_emb\.inv_freq)$",
}
ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "olmo2": "olmo2", "gpt2": "gpt2", "gptneox": "gpt_neox"}  # GGUF's


def leaves(model: Mapping[str, Any]) -> dict[str, Shape]:
    """Returns the shape of every leaf that our decoder of these shape keys has, by layer-generic path."""
    d, hs, n_kv = model["d_model"], model["head_dim"], model["n_kv_heads"]
    heads = {"query": model["n_heads"], "key": n_kv, "value": n_kv}
    norm: dict[str, Shape] = {"scale": (d,)}
    if model["norm"] == "layer" and "norm" in model["bias"]:
        norm["bias"] = (d,)
    modules: dict[str, dict[str, Shape]] = {"embedding": {"embedding": (model["vocab_size"], d)}}
    if model["positions"] == "learned":
        modules["position"] = {"embedding": (model["n_positions"], d)}
    modules["layers/attention_norm"] = norm
    for part, n in heads.items():
        modules[f"layers/attention/{part}"] = _map((d, n, hs), (n, hs), "qkv", model)
        if model["qk_norm"] != "none" and part != "value":
            modules[f"layers/attention/{part}_norm"] = {"scale": (hs,) if model["qk_norm"] == "head" else (n * hs,)}
    modules["layers/attention/out"] = _map((model["n_heads"], hs, d), (d,), "out", model)
    modules["layers/mlp_norm"] = norm
    for part in ("gate", "up", "down") if model["mlp"] == "gated" else ("up", "down"):
        into, out = (model["d_mlp"], d) if part == "down" else (d, model["d_mlp"])
        modules[f"layers/mlp/{part}"] = _map((into, out), (out,), "mlp", model)
    modules["final_norm"] = norm
    if not model["tied"]:
        modules["head"] = _map((d, model["vocab_size"]), (model["vocab_size"],), "head", model)
    return {f"{module}/{name}": shape for module, parts in modules.items() for name, shape in parts.items()}


def _map(kernel: Shape, bias: Shape, place: str, model: Mapping[str, Any]) -> dict[str, Shape]:
    return {"kernel": kernel, "bias": bias} if place in model["bias"] else {"kernel": kernel}


def _layout(ours: str, storage: str, shape: Shape) -> Layout:
    module, _, name = ours.rpartition("/")
    part = module.rpartition("/")[2]
    if part in ("query", "key", "value"):
        kind = "heads_out" if name == "kernel" else "heads_bias"
        return Layout(kind, storage, ("query", "key", "value").index(part) if "fused" in storage else 0, shape[-2])
    if name == "kernel":
        return Layout("heads_in" if part == "out" else "linear", storage)
    return Layout("same", storage)


def renamed(family: str, stored: Mapping[str, T], word: str) -> dict[str, T]:
    """Returns tensors of HF files under the names of the tables; GPT-2's first files lack 'transformer.' and NeoX heads have two names.

    UsageError where two tensors come under one name.
    """
    found: dict[str, T] = {}
    prefix = "transformer." if family == "gpt2" and "wte.weight" in stored else ""
    for theirs, tensor in stored.items():
        name = ALSO_CALLED.get(family, {}).get(theirs, theirs)
        name = name if name == HEADS[family] else prefix + name
        if name in found:
            raise UsageError(f"{word} holds {name} twice, under two names")
        found[name] = tensor
    return found


def rows(family: str, model: Mapping[str, Any]) -> list[Row]:
    """Returns one row for every leaf of the model; UsageError where the family has no place for one."""
    table, found = FAMILIES[family], []
    for ours, shape in leaves(model).items():
        module, _, name = ours.rpartition("/")
        if module not in table:
            raise UsageError(f"a {family} model has no place for {ours}: this model's shape is not of that family")
        theirs, storage, gguf = table[module]
        word = "bias" if name == "bias" else "weight"
        found.append(Row(ours, f"{theirs}.{word}", _layout(ours, storage, shape), f"{gguf}.{word}", shape))
    return found


def gguf_rows(family: str, model: Mapping[str, Any]) -> list[Row]:
    """Returns the rows of a GGUF file, whose names stand in both columns.

    llama.cpp stores every map as (outputs, inputs), a fused one as queries, keys, values, and permutes queries and keys for the
    architecture 'llama' alone.
    """

    def stored(row: Row) -> str:
        if "fused" in row.layout.storage:
            return "fused"
        permuted = family == "llama" and row.ours.split("/")[-2] in ("query", "key")
        return "permuted" if permuted else "plain"

    return [row._replace(theirs=row.gguf, layout=row.layout._replace(storage=stored(row))) for row in rows(family, model)]
