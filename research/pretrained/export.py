"""Folders that other tools read: an adapter as one of peft, a model as one of transformers with its tokenizer."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import split_state_dict_into_shards_factory
from safetensors import SafetensorError
from safetensors.numpy import save_file

from research import tree
from research.errors import UsageError
from research.files import atomic_write, explained
from research.models.configuration import DecoderConfig
from research.pretrained import adapter_configs, configs, families, peft, tokenizer_files
from research.pretrained.checkpoint import Checkpoint, places
from research.pretrained.factors import fuse, maps, of_variables
from research.pretrained.layouts import join
from research.pretrained.tokenizer_files import write_json

SHARD_BYTES = 2 * 10**9
ORIGIN = "lowlands.json"


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Returns a folder to write into that becomes `path` at the end, whole, and is dropped after an error.

    UsageError where `path` is a file, or a folder with something in it.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} is not empty; nothing is overwritten: name a new folder")
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained(path):
        draft.mkdir(parents=True)
        try:
            yield draft
            os.replace(draft, path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def write_adapter(folder: Path, base: Checkpoint, variables: Mapping[str, Any], rslora: bool, origin: Mapping[str, Any]) -> None:
    """Returns once `folder` holds nested 'adapter' and 'constants' as peft reads them; `origin` says whose they are.

    Padded columns and sites of rank 0 are dropped; adapters of queries, keys and values become one where their matrices are one.
    origin: at least 'base', the folder or name that peft shall load, and 'revision', or None. UsageError where every rank is 0.
    """
    own, known = of_variables(variables), maps(base.family, base.model)
    factors = {
        name: fuse(one, [own.get(place) for place in one.parts]) for name, one in known.items() if any(place in own for place in one.parts)
    }
    if not factors:
        raise UsageError("every rank of this adapter is 0: it is its base, and there is nothing to export")
    arrays: dict[str, np.ndarray] = {}
    for name, factor in factors.items():
        a, b = ("lora_embedding_A", "lora_embedding_B") if known[name].table else ("lora_A.weight", "lora_B.weight")
        arrays |= {f"{peft.PREFIX}{name}.{a}": factor.a.T, f"{peft.PREFIX}{name}.{b}": factor.b.T}
    conv = any(known[name].stored.endswith("conv") for name in factors)
    where = {"base_model_name_or_path": origin["base"], "revision": origin["revision"], "fan_in_fan_out": conv}
    with new_folder(folder) as draft:
        _save(draft / peft.WEIGHTS, arrays)
        write_json(draft / peft.CONFIG, {**where, **adapter_configs.to_peft(factors, rslora)})
        _describe(draft, "adapter", origin)


def write_model(folder: Path, base: Checkpoint, variables: Mapping[str, Any], origin: Mapping[str, Any]) -> None:
    """Returns once `folder` holds a model as transformers reads it, in float32, with its tokenizer.

    variables: nested; 'params' stand for those of the base, 'adapter' and 'constants' are merged in float32; {} is the base itself.
    """
    trained = tree.flatten(variables.get("params", {}))
    config = DecoderConfig(**base.model, max_length=base.context, scan=not any(path.startswith("layers_") for path in trained))
    leaves = tree.flatten(base.load(config))
    for path, leaf in trained.items():
        leaves[path][...] = leaf
    if "adapter" in variables:
        peft.merge(leaves, of_variables(variables))
    with new_folder(folder) as draft:
        _save_model(draft, base, leaves)
        write_json(draft / "config.json", _config(base))
        tokenizer_files.put(draft, base)
        _describe(draft, "model", origin)


def _config(base: Checkpoint) -> dict[str, Any]:
    """The config.json of the base, in float32: a folder's own, every key of it; a GGUF's from its shape."""
    if not base.source.is_dir():
        own = configs.to_hf(base.family, base.model, base.context)
        return {**own, **{f"{name}_token_id": value for name, value in base.special.items()}, "dtype": "float32"}
    kept = {key: value for key, value in base.config.items() if key not in ("dtype", "torch_dtype")}
    return {**kept, "torch_dtype" if "torch_dtype" in base.config else "dtype": "float32"}


def _save_model(folder: Path, base: Checkpoint, leaves: Mapping[str, np.ndarray]) -> None:
    """Writes model.safetensors, in shards where it is large; one shard at a time is held beside the leaves."""
    table = families.rows(base.family, base.model)
    tensors = places(table, base.model)
    sizes = {name: 4 * sum(int(np.prod(row.shape)) for row, _ in wanted) for name, wanted in tensors.items()}
    plan = split_state_dict_into_shards_factory(
        sizes, get_storage_size=int, filename_pattern="model{suffix}.safetensors", max_shard_size=SHARD_BYTES
    )
    for file, names in plan.filename_to_tensors.items():
        arrays = {}
        for name in names:
            rows, own = [row.layout for row, _ in tensors[name]], [_leaf(leaves, row.ours, layer) for row, layer in tensors[name]]
            arrays[name] = join(rows, own)
        _save(folder / file, arrays)
    if plan.is_sharded:
        write_json(folder / "model.safetensors.index.json", {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename})


def _leaf(leaves: Mapping[str, np.ndarray], path: str, layer: int | None) -> np.ndarray:
    if layer is None:
        return leaves[path]
    return leaves[path][layer] if path in leaves else leaves[path.replace("layers/", f"layers_{layer}/", 1)]


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    try:
        save_file({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, path, {"format": "pt"})
        path.chmod(0o644)  # the library's are the owner's alone
    except SafetensorError as error:
        raise UsageError(f"cannot write {path}: {error}; free some space and give the same command again") from error


def _describe(folder: Path, what: str, origin: Mapping[str, Any]) -> None:
    write_json(folder / ORIGIN, {"what": what, **origin})
    said = {**origin, "coordinates": ", ".join(f"{key} {value}" for key, value in origin.get("coordinates", {}).items())}
    lines = [f"This {what} was written by Lowlands.", "", *(f"* {key}: {value}" for key, value in said.items() if value)]
    atomic_write(folder / "README.md", ("\n".join(lines) + "\n").encode())
