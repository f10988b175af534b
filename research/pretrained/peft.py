"""Adapters of peft as ours: a folder becomes variables beside a base, or is merged into it."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from research import tree
from research.errors import UsageError
from research.files import local_path
from research.models.configuration import DecoderConfig
from research.pretrained import adapter_configs, tensors
from research.pretrained.checkpoint import Checkpoint
from research.pretrained.factors import Factor, Map, Place, maps, split, to_variables
from research.pretrained.safetensors_files import read_header

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
_NAME = re.compile(rf"{re.escape(PREFIX)}(?P<map>.+)\.(?:lora_(?P<side>[AB])\.weight|lora_embedding_(?P<table>[AB]))")
_RENAMED = {"embed_out": "lm_head"}  # GPT-NeoX, before transformers 5


def load(folder: str | Path, checkpoint: Checkpoint, scan: bool = True) -> dict[str, Any]:
    """Returns 'adapter' and 'constants' beside the base `checkpoint`, as `research.adapters` keeps them, in float32.

    Layers are stacked where `scan`, padded to the largest rank of a layer, with a scale for each. An adapter that was trained on a fused
    matrix of queries, keys and values is exact in use; in training each of the three would move a copy of its A of its own.
    UsageError, naming the key or the tensor, for DoRA, trained biases and whole modules, a pickle, another base's shapes, a tied table.
    """
    return to_variables(_factors(folder, checkpoint), checkpoint.model["n_layers"], scan)


def merged(folder: str | Path, base: object, config: DecoderConfig) -> dict[str, Any]:
    """Returns the base with the adapter merged in: nested parameters of config.param_dtype, each sum in float32 and rounded once.

    Errors as in `load`; UsageError too for a base that is no `Checkpoint`, such as a kept cell of a run.
    """
    if not isinstance(base, Checkpoint):
        raise UsageError(f"peft:{folder} belongs to a checkpoint of transformers, and this run's base is none; set base=hf:... or gguf:...")
    factors = _factors(folder, base)
    leaves = tree.flatten(base.load(dataclasses.replace(config, param_dtype="float32")))
    merge(leaves, factors)
    for path, leaf in leaves.items():
        leaves[path] = leaf.astype(np.dtype(config.param_dtype), copy=False)
    return tree.unflatten(leaves)


def identity(folder: str | Path) -> str:
    """Returns the SHA-256 of an adapter's description and weights; where they lie is not in it. UsageError for a folder without them."""
    folder = local_path(str(folder), "peft:")
    _described(folder)
    _weights(folder)
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def merge(leaves: dict[str, np.ndarray], factors: dict[Place, Factor]) -> None:
    """Adds each update to its matrix among float32 leaves by path ('layers/mlp/up/kernel', or 'layers_0/...'), in place."""
    for (module, layer), factor in factors.items():
        unrolled = module if layer is None else module.replace("layers/", f"layers_{layer}/", 1)
        path = next(f"{place}/{name}" for place in (unrolled, module) for name in ("kernel", "embedding") if f"{place}/{name}" in leaves)
        matrix = leaves[path] if layer is None or path.startswith(unrolled) else leaves[path][layer]
        matrix += ((np.float32(factor.scale) * factor.a) @ factor.b).reshape(matrix.shape)


def _factors(folder: str | Path, checkpoint: Checkpoint) -> dict[Place, Factor]:
    folder = local_path(str(folder), "peft:")
    config, known = _described(folder), maps(checkpoint.family, checkpoint.model)
    adapter_configs.check(config, folder)
    found: dict[Place, Factor] = {}
    for name, (a, b) in _pairs(folder).items():
        one = known.get(name)
        if checkpoint.model["tied"] and (name == "lm_head" or (one and one.parts[0][0] == "embedding")):
            raise UsageError(f"{folder} adapts {name}, which is table and head of {checkpoint.word} at once; this is not implemented")
        if one is None:
            raise UsageError(
                f"{folder} adapts {name}, which is no linear map of {checkpoint.word} ({checkpoint.family}); it is of another base"
            )
        _check_shapes(folder, name, one, a, b)
        factor = Factor(a.T, b.T, adapter_configs.scale_of(config, name, len(a), folder))
        found |= {place: part for place, part in zip(one.parts, split(one, factor), strict=True) if part is not None}
    return found


def _check_shapes(folder: Path, name: str, one: Map, a: np.ndarray, b: np.ndarray) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1] or (a.shape[1], b.shape[0]) != (one.inputs, one.outputs):
        words = f"A {a.shape} and B {b.shape}, and its base has {one.inputs} inputs and {one.outputs} outputs there"
        raise UsageError(f"{folder}: {name} has {words}; it is of another base")


def _described(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise UsageError(f"peft:{folder}: no such folder")
    if not (folder / CONFIG).is_file():
        raise UsageError(f"{folder} has no {CONFIG}, so it is no adapter of peft (a subfolder may hold it)")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{folder / CONFIG} is not JSON ({error})") from None
    if not isinstance(config, dict):
        raise UsageError(f"{folder / CONFIG} holds no JSON object")
    return config


def _weights(folder: Path) -> Path:
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        words = f"holds its weights as a pickle, which is never opened here; save them as {WEIGHTS}" if pickled else f"has no {WEIGHTS}"
        raise UsageError(f"{folder} {words}")
    return folder / WEIGHTS


def _pairs(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(A (rank, inputs), B (outputs, rank)) by module name, in float32; each tensor belongs to a pair."""
    sides: dict[str, dict[str, np.ndarray]] = {}
    for tensor, where in read_header(_weights(folder)).items():
        match = _NAME.fullmatch(tensor)
        if match is None:
            raise UsageError(f"{folder} holds the tensor {tensor}, which is no part of a plain LoRA; this is not implemented")
        numbers = tensors.read(where).astype(np.float32)
        sides.setdefault(_RENAMED.get(match["map"], match["map"]), {})[match["side"] or match["table"]] = numbers
    if not sides:
        raise UsageError(f"{folder} / {WEIGHTS} holds no tensor")
    if single := [name for name, own in sides.items() if len(own) < 2]:
        raise UsageError(f"{folder} has only one of A and B for {single[0]}; save the adapter again")
    return {name: (own["A"], own["B"]) for name, own in sides.items()}
