"""Tiny models as GGUF files, written with the gguf package from folders of transformers the way llama.cpp's converters do."""

import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

from research.pretrained import configs, families

NAMES = {"gpt_neox": "gptneox"}


def tensors_of(folder: Path) -> dict[str, np.ndarray]:
    """Returns every tensor of a folder's shards by its name in the files."""
    return {name: array for shard in folder.glob("*.safetensors") for name, array in load_file(shard).items()}


def converted(family: str, name: str, w: np.ndarray, heads: dict[str, int]) -> np.ndarray:
    """Returns a tensor as llama.cpp stores it, by its converters' own formulas (conversion/llama.py, gpt2.py, gpt_neox.py)."""
    part = name.split(".")[-2]
    if family == "llama" and part in heads:
        return w.reshape(heads[part], 2, w.shape[0] // heads[part] // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)
    if family == "gpt2" and part in ("c_attn", "c_proj", "c_fc") and w.ndim == 2:
        return w.T
    if part == "query_key_value":
        n, d = heads["q_proj"], w.shape[0] // 3
        by_head = w.reshape(n, 3, d // n, *w.shape[1:])
        return np.concatenate([by_head[:, j].reshape(d, *w.shape[1:]) for j in range(3)])
    return w


def write(folder: Path, path: Path, *, quantized: gguf.GGMLQuantizationType | None = None, extra: dict[str, object] | None = None) -> Path:
    """Writes the model of a folder as a GGUF of float32, or of `quantized` matrices; `extra` are further keys. Returns `path`."""
    config = json.loads((folder / "config.json").read_text())
    family, model, context = configs.from_hf(config)
    writer = gguf.GGUFWriter(path, NAMES.get(family, family))
    _describe(writer, family, model, context)
    for key, value in (extra or {}).items():
        writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))
    if len(set(model["rope_scaling"])) > 1:
        writer.add_tensor("rope_freqs.weight", np.array(model["rope_scaling"], np.float32))
    elif model["rope_scaling"]:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(model["rope_scaling"][0])
    theirs = {
        row.theirs.format(layer=n): row.gguf.format(layer=n) for row in families.rows(family, model) for n in range(model["n_layers"])
    }
    heads = {"q_proj": model["n_heads"], "k_proj": model["n_kv_heads"]}
    for name, array in families.renamed(family, tensors_of(folder), "").items():
        w = np.ascontiguousarray(converted(family, name, array, heads), np.float32)
        if quantized is not None and w.ndim == 2 and w.shape[-1] % 32 == 0:
            writer.add_tensor(theirs[name], gguf.quantize(w, quantized), raw_dtype=quantized)
        else:
            writer.add_tensor(theirs[name], w)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter, family: str, model: dict, context: int) -> None:
    writer.add_block_count(model["n_layers"])
    writer.add_context_length(context)
    writer.add_embedding_length(model["d_model"])
    writer.add_feed_forward_length(model["d_mlp"])
    writer.add_head_count(model["n_heads"])
    if family not in ("gpt2", "gpt_neox"):
        writer.add_head_count_kv(model["n_kv_heads"])
        writer.add_key_length(model["head_dim"])
        writer.add_rope_freq_base(model["rope_theta"])
    if model["positions"] == "rope":
        writer.add_rope_dimension_count(model["rotary_dim"])
    if family == "gpt_neox":
        writer.add_parallel_residual(model["parallel"])
    (writer.add_layer_norm_rms_eps if model["norm"] == "rms" else writer.add_layer_norm_eps)(model["norm_eps"])
