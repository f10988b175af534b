"""Adapters as training leaves them, drawn at random, and what peft makes of a folder, in NumPy alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from research import tree
from research.pretrained.checkpoint import Checkpoint
from research.pretrained.factors import maps
from research.pretrained.sources import find

GOLDENS = Path(__file__).parent / "goldens"
FAMILIES = ("llama", "llama_tied", "qwen2", "qwen3", "olmo2", "gpt2", "gpt_neox", "gpt_neox_in_turn")
LEFT_OUT = "layers/attention/key"  # so that a fused matrix is adapted in part
ORIGIN = {"base": "somewhere", "revision": None}


def golden(family: str) -> Checkpoint:
    """Returns the tiny random model of a family."""
    return find(f"hf:{GOLDENS / family}")


def drawn(base: Checkpoint, scan: bool = True, rslora: bool = False, size: float = 0.2, ends: bool = False) -> dict[str, Any]:
    """Returns 'adapter' and 'constants' padded to 5 columns, of rank 3, of rank 2 in the first layer's MLP and 0 in the last one's.

    ends: adapters of the tables and the head as well, where the model is not tied.
    """
    rng, leaves, layers, width = np.random.default_rng(3), {}, base.model["n_layers"], 5
    for one in maps(base.family, base.model).values():
        for module, layer in one.parts:
            if module == LEFT_OUT or (layer is None and (base.model["tied"] or not ends)):
                continue
            rank = {0: 2, layers - 1: 0}.get(layer, 3) if "mlp" in module and layer is not None else 3
            used = np.arange(width) < rank
            path = module if layer is None else module.replace("layers/", f"layers_{layer}/", 1)
            a = rng.normal(0, size, (one.inputs, width)).astype(np.float32)
            b = rng.normal(0, size, (width, one.outputs // len(one.parts))).astype(np.float32)
            leaves |= {f"adapter/{path}/A": a * used, f"adapter/{path}/B": b * used[:, None]}
            scale = 7.0 / (np.sqrt(rank) if rslora else rank) if rank else 0.0
            leaves[f"constants/{path}/scale"] = np.float32(scale)
    return tree.unflatten(stacked(leaves, layers) if scan else leaves)


def stacked(leaves: dict[str, Any], layers: int) -> dict[str, Any]:
    """Returns leaves by path with those of all layers stacked."""
    first = {path for path in leaves if "/layers_0/" in path}
    outside = {path: leaf for path, leaf in leaves.items() if "/layers_" not in path}
    over = {path: np.stack([leaves[path.replace("layers_0", f"layers_{layer}")] for layer in range(layers)]) for path in first}
    return outside | {path.replace("layers_0", "layers"): leaf for path, leaf in over.items()}


def by_definition(folder: Path, base: Path, conv: bool) -> dict[str, np.ndarray]:
    """Returns the tensors of a base's folder with the adapter of another folder added, as peft defines it; Conv1D keeps its transpose."""
    config = json.loads((folder / "adapter_config.json").read_text())
    pairs = load_file(folder / "adapter_model.safetensors")
    tensors = {name: value.astype(np.float64) for file in base.glob("*.safetensors") for name, value in load_file(file).items()}
    for name in config["target_modules"]:
        table = f"base_model.model.{name}.lora_embedding_A" in pairs
        a, b = (
            pairs[f"base_model.model.{name}.lora_{f'embedding_{side}' if table else f'{side}.weight'}"].astype(np.float64) for side in "AB"
        )
        rank, alpha = config["rank_pattern"].get(name, config["r"]), config["alpha_pattern"].get(name, config["lora_alpha"])
        assert a.shape[0] == b.shape[1] == rank
        update = b @ a * alpha / (np.sqrt(rank) if config["use_rslora"] else rank)
        module = "embed_out" if name == "lm_head" and "embed_out.weight" in tensors else name
        tensors[f"{module}.weight"] += update.T if table or (conv and ".h." in name) else update
    return tensors
