"""Folders as transformers writes them: config.json, weights in safetensors, whole or in shards, and a tokenizer. No pickle is opened."""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from research.errors import UsageError
from research.pretrained import checkpoint, configs, families, tokens
from research.pretrained.checkpoint import Checkpoint
from research.pretrained.tensors import Tensor

INDEX = "model.safetensors.index.json"
_DESCRIPTIONS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")


def open_folder(folder: Path, word: str) -> Checkpoint:
    """Returns the checkpoint that lies in a folder; headers alone are read.

    UsageError for a folder that holds no model, only an adapter, only pickles, shards that do not match their index, or what `configs`
    refuses.
    """
    config = described(folder, word)
    family, model, context = configs.from_hf(config)
    stored = families.renamed(family, _weights(folder, word), word)
    rows = families.rows(family, model)
    head = families.HEADS[family]
    tied_head = head if model["tied"] and head in stored else ""
    spare = "|".join(filter(None, (families.SPARE.get(family), f"^{re.escape(tied_head)}$" if tied_head else "")))
    checkpoint.check(word, rows, model, stored, spare)
    said = {**_json(folder / "generation_config.json"), **{key: value for key, value in config.items() if value is not None}}

    return Checkpoint(
        word=word,
        source=folder,
        family=family,
        model=model,
        context=context,
        note="",
        config=config,
        special=_special(said),
        rows=rows,
        stored=stored,
        tied_head=tied_head,
        metadata=lambda: _pieces(folder),
        vocabulary=functools.cache(lambda: tokens.from_json(folder / "tokenizer.json", said, model["vocab_size"])),
    )


def read_header(path: Path) -> dict[str, Tensor]:
    """Returns where the tensors of one file lie; UsageError where it is cut short, is none, or names a tensor twice."""
    try:
        with safe_open(path, framework="numpy"):  # the library checks that header and file fit
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            pairs = json.loads(file.read(length), object_pairs_hook=list)
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"{path} is not a safetensors file, or is cut short ({error}); download it again") from None
    found = {}
    for name, fields in pairs:
        if name == "__metadata__":
            continue
        entry = dict(fields)
        if name in found:
            raise UsageError(f"{path} names the tensor {name} twice")
        first, last = entry["data_offsets"]
        found[name] = Tensor(tuple(entry["shape"]), entry["dtype"], path, 8 + length + first, last - first)
    return found


def described(folder: Path, word: str) -> dict[str, Any]:
    """Returns the config.json of a folder; UsageError where there is none, or none that can be read."""
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise UsageError(
                f"{word}: {folder} holds an adapter alone, no model; name its base here, and the adapter as peft:{folder} in inits"
            )
        raise UsageError(f"{word}: {folder} has no config.json, so it is no model folder of transformers")
    return _json(folder / "config.json")


def weight_map(folder: Path) -> dict[str, str]:
    """Returns the shard of each tensor by the index of a folder, {} where it has none; UsageError where it is no index."""
    found = _json(folder / INDEX).get("weight_map", {})
    if not isinstance(found, dict) or not all(isinstance(shard, str) for shard in found.values()):
        raise UsageError(f"{folder / INDEX} names no shards; download it again")
    return found


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error}); download it again") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no JSON object")
    return found


def _weights(folder: Path, word: str) -> dict[str, Tensor]:
    if (folder / "model.safetensors").is_file():
        return read_header(folder / "model.safetensors")
    if (folder / INDEX).is_file():
        return _shards(folder, weight_map(folder), word)
    if list(folder.glob("*.safetensors")):
        raise UsageError(f"{word}: {folder} has neither model.safetensors nor {INDEX}; download the folder whole")
    if list(folder.glob("*.bin")) or list(folder.glob("*.pt*")):
        raise UsageError(f"{word}: {folder} holds its weights as pickles, which are never opened here; convert them to safetensors")
    raise UsageError(f"{word}: {folder} holds no model.safetensors, and pickles are not read")


def _shards(folder: Path, index: Mapping[str, str], word: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for shard in sorted(set(index.values())):
        if Path(shard).name != shard or not (folder / shard).is_file():
            raise UsageError(f"{word}: {INDEX} names the shard {shard}, which is not in {folder}; download it again")
        header = read_header(folder / shard)
        if doubled := sorted(found.keys() & header.keys()):
            raise UsageError(f"{word}: the tensor {doubled[0]} is in {found[doubled[0]].path.name} and in {shard}")
        found |= header
    astray = [name for name in index.keys() | found.keys() if name not in found or index.get(name) != found[name].path.name]
    if astray:
        raise UsageError(f"{word}: {INDEX} and the shards disagree on {min(astray)}; download the folder again")
    return found


def _special(described: Mapping[str, Any]) -> dict[str, int]:
    found = {}
    for name in ("bos", "eos", "pad"):
        value = described.get(f"{name}_token_id")
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, int):
            found[name] = value
    return found


def _pieces(folder: Path) -> Iterator[bytes]:
    for name in _DESCRIPTIONS:
        path = folder / name
        yield path.read_bytes() if path.is_file() else b""
