"""GGUF files: metadata as plain values, tensors by their headers, and the checkpoint that both describe."""

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from research.errors import UsageError
from research.pretrained import checkpoint, families, gguf_configs, tensors, tokens
from research.pretrained.checkpoint import Checkpoint
from research.pretrained.tensors import TYPES, Tensor

Fields = dict[str, Any]
_FACTORS = "rope_freqs.weight"  # part of the shape: what llama.cpp makes of Llama 3's scaling


def read_headers(path: Path) -> tuple[Fields, dict[str, Tensor]]:
    """Returns a file's metadata as plain values and where its tensors lie.

    UsageError for what is no GGUF, is cut short, is one piece of a split file, or was written for machines of the other byte order.
    """
    if re.search(r"-\d{5}-of-\d{5}\.gguf$", path.name) and not path.name.endswith("-00001-of-00001.gguf"):
        raise UsageError(f"{path} is one piece of a split GGUF: join the pieces first (llama-gguf-split --merge)")
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} is not a GGUF file, or is cut short ({error}); download it again") from None
    if reader.byte_order != "I":
        raise UsageError(f"{path} was written for machines of the other byte order; use a little-endian copy")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    found = {}
    for tensor in reader.tensors:
        shape = tuple(int(size) for size in reversed(tensor.shape))
        found[tensor.name] = Tensor(shape, tensor.tensor_type.name, path, int(tensor.data_offset), int(tensor.n_bytes))
    return fields, found


def open_gguf(path: Path, word: str) -> Checkpoint:
    """Returns the checkpoint of one GGUF file; its metadata alone is read, and the factors of its rotary frequencies."""
    fields, stored = read_headers(path)
    factors = tuple(float(x) for x in tensors.read(stored[_FACTORS])) if _FACTORS in stored else ()
    family, model, context = gguf_configs.from_gguf(fields, {name: tensor.shape for name, tensor in stored.items()}, factors)
    rows = families.gguf_rows(family, model)
    checkpoint.check(word, rows, model, stored, spare=f"^{re.escape(_FACTORS)}$" if factors else "")

    return Checkpoint(
        word=word,
        source=path,
        family=family,
        model=model,
        context=context,
        note=_note(stored.values()),
        config=fields,
        special=_special(fields),
        rows=rows,
        stored=stored,
        metadata=lambda: _pieces(fields, factors),
        vocabulary=functools.cache(lambda: tokens.from_gguf(fields, model["vocab_size"])),
    )


def _pieces(fields: Fields, factors: Sequence[float]) -> Iterator[bytes]:
    yield json.dumps({name: fields[name] for name in sorted(fields) if not name.startswith("GGUF.")}).encode()
    if factors:  # a tensor of the file, and no weight of the model
        yield np.array(factors, np.float32).tobytes()


def _note(stored: Iterable[Tensor]) -> str:
    """What most of the quantized numbers are, '' where none is."""
    quantized: Counter[str] = Counter()
    for tensor in stored:
        if tensor.dtype not in TYPES:
            quantized[tensor.dtype] += tensor.size
    return f"{quantized.most_common(1)[0][0]}, dequantized" if quantized else ""


def _special(fields: Mapping[str, Any]) -> dict[str, int]:
    found = {name: fields.get(f"tokenizer.ggml.{key}_token_id") for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))}
    return {name: int(value) for name, value in found.items() if value is not None}
