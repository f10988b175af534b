"""The source `tfds:NAME[/CONFIG][/FIELD]`: sets that TensorFlow Datasets has prepared on this machine, read without TensorFlow."""

import contextlib
import difflib
import functools
import logging
import operator
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from research.data.documents import Documents
from research.errors import UsageError
from research.files import local_path

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation", "test": "test"}
_STRINGS = ("Text", "Scalar", "Tensor")
_RAGGED = ("Sequence", "Dataset")
_CHUNK = 4096
_APART = "(installed apart, by requirements-prepare.txt: see docs/data.md)"
_log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """The folder of one prepared version of a set, and the field the word asked for ("" if it named none)."""

    folder: Path
    field: str


def tfds_documents(word: str, max_bytes: int | None = None) -> Documents:
    """Returns the rows of a prepared set, one document each, in the splits train, validation and test as far as it has them.

    A set without a train split is one pool of all its rows. With `max_bytes`, a split is read in a fixed random order until it has given
    that many bytes. UsageError for a set that is not prepared, cannot be read, is not in array_record format, or whose text field is not
    clear.
    """
    prepared = find_prepared(word, data_folder())
    import tensorflow_datasets as tfds  # a second to import, and needed for this source alone

    with reading(word, prepared.folder):
        builder = tfds.builder_from_directory(str(prepared.folder))
        field = _text_field(word, prepared.field, builder.info.features)
        found = _parts(word, {name: split.num_examples for name, split in builder.info.splits.items()})
        splits = {part: _rows(word, builder, "+".join(names), field, max_bytes) for part, names in found.items()}
    read = sorted(name for names in found.values() for name in names)
    provenance = {"dataset": builder.info.full_name, "field": field, "splits": read, "pooled": len(found) == 1 and "train" not in read}
    return Documents(splits, provenance)


def data_folder() -> Path:
    """Returns the folder of prepared sets: `TFDS_DATA_DIR`, else TFDS's own default."""
    return local_path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets", "TFDS_DATA_DIR=")


def find_prepared(word: str, root: Path) -> Prepared:
    """Returns what `NAME[/CONFIG][:VERSION][/FIELD]` names under `root`, the newest version if it names none; UsageError if nothing."""
    names = re.sub(r":(\d+\.\d+\.\d+)", r"/\1", word).strip("/").split("/")
    folder = root / names.pop(0)
    while names and (folder / names[0]).is_dir():
        folder /= names.pop(0)
    if not _VERSION.fullmatch(folder.name):
        folder = _newest(folder, word, root)
    field = "/".join(names)
    if (names and _VERSION.fullmatch(names[0])) or not (folder / "dataset_info.json").is_file():
        raise _not_prepared(word, root)
    return Prepared(folder, field)


@contextlib.contextmanager
def reading(word: str, folder: Path) -> Iterator[None]:
    """Returns a context in which whatever the libraries raise over the set in `folder` becomes the UsageError that names it."""
    try:
        yield
    except (UsageError, MemoryError):
        raise
    except Exception as error:  # TFDS, protobuf, array_record and Pillow have an error of their own for each way a file can be broken
        cause = " ".join(str(error).split())[:200]
        raise UsageError(
            f"tfds:{word} cannot be read from {folder} ({type(error).__name__}: {cause}); a file is missing or broken, or an old TFDS "
            f"made it; prepare it again: {_preparation(word, ' --overwrite')}"
        ) from error


def serialized_rows(word: str, builder: Any, split: str) -> Any:
    """Returns the rows of a split as a random-access source of serialized examples; UsageError if they are not in array_record format."""
    import tensorflow_datasets as tfds

    if "array_record" not in {known.value for known in builder.info.available_file_formats()}:
        call = f"tfds convert_format --dataset_version_dir={shlex.quote(str(builder.data_path))} --out_file_format=array_record"
        raise UsageError(f"tfds:{word} is not in array_record format, the one read without TensorFlow; convert it: {call} {_APART}")
    return builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES, file_format="array_record")


def _newest(folder: Path, word: str, root: Path) -> Path:
    inside = [path for path in folder.glob("*") if path.is_dir() and not path.name.startswith(".")]
    versions = [path for path in inside if _VERSION.fullmatch(path.name)]
    if not versions and len(inside) == 1:
        return _newest(inside[0], word, root)
    if not versions and inside:
        configs = ", ".join(sorted(path.name for path in inside))
        raise UsageError(f"tfds:{word} has several configs, name one as tfds:NAME/CONFIG: {configs}")
    if not versions:
        raise _not_prepared(word, root)
    return max(versions, key=lambda path: [int(number) for number in path.name.split(".")])


def _not_prepared(word: str, root: Path) -> UsageError:
    present = sorted(path.name for path in root.glob("*") if path.is_dir() and path.name != "downloads")
    near = difflib.get_close_matches(word.split("/")[0], present, 1)
    return UsageError(
        f"tfds:{word} is not prepared under {root} (there: {', '.join(present) or 'nothing'}{f'; nearest: {near[0]}' if near else ''}); "
        f"point TFDS_DATA_DIR at the folder that has it, or prepare it: {_preparation(word)}"
    )


def _preparation(word: str, flags: str = "") -> str:
    return f"tfds build {re.split('[:/]', word)[0]} --file_format=array_record{flags} {_APART}"


def _parts(word: str, rows: Mapping[str, int]) -> dict[str, list[str]]:
    """Returns the splits that make each part, of a set's splits and their numbers of rows; says which are pooled, and which left out."""
    splits = sorted(name for name, count in rows.items() if count)
    known = [name for name in splits if name in _SPLITS]
    used = known or splits
    if not used:
        raise UsageError(
            f"tfds:{word} has no rows in its splits ({', '.join(rows) or 'none'}), perhaps since an old TFDS made it; prepare it again: "
            f"{_preparation(word, ' --overwrite')}"
        )
    if left := [name for name in splits if name not in used]:
        _log.info("tfds:%s: its splits %s are left out; read are %s", word, ", ".join(left), ", ".join(used))
    parts = {part: [name for name in used if _SPLITS.get(name) == part] for part in dict.fromkeys(_SPLITS.values())}
    if parts["train"]:
        return {part: names for part, names in parts.items() if names}
    _log.info("tfds:%s has no split called train: all rows of %s are one pool", word, ", ".join(used))
    return {"train": used}


def _text_field(word: str, field: str, features: Any) -> str:
    fields = sorted(_strings(features))
    declared = [name for name, feature in features.items() if type(getattr(feature, "feature", feature)).__name__ == "Text"]
    for texts in (declared, fields):
        if not field and len(texts) == 1:
            return texts[0]
    if field in fields:
        return field
    given = f"has no text field {field!r}" if field else "has several text fields" if fields else "has no text field"
    raise UsageError(f"tfds:{word} {given}; its text fields: {', '.join(fields) or 'none, choose another set'} (tfds:NAME/FIELD)")


def _strings(features: Any, prefix: str = "", repeated: bool = False) -> Iterator[str]:
    """Yields the names of strings and lists of strings, those inside of others as OUTER/INNER; lists of lists need TensorFlow."""
    for name, feature in features.items():
        listed = type(feature).__name__ == "Sequence" and not repeated
        inner = feature.feature if listed else feature
        kind = type(inner).__name__
        if kind in _RAGGED:
            continue
        if hasattr(inner, "items"):
            yield from _strings(inner, f"{prefix}{name}/", repeated or listed)
        elif kind in _STRINGS and np.dtype(inner.np_dtype) == object:
            yield prefix + name


def _rows(word: str, builder: Any, split: str, field: str, max_bytes: int | None) -> list[bytes]:
    import tensorflow_datasets as tfds

    source, path = serialized_rows(word, builder, split), field.split("/")
    only = tfds.features.FeaturesDict({path[0]: builder.info.features[path[0]]})  # other fields cost more to decode than all else here
    rows, used = [], 0
    for records in _chunks(source, in_order=max_bytes is None):
        texts = [_text(functools.reduce(operator.getitem, path, only.deserialize_example_np(record))) for record in records]
        rows.extend(texts)
        used += sum(map(len, texts))
        if max_bytes is not None and used >= max_bytes:
            break
    return rows


def _chunks(source: Any, in_order: bool) -> Iterator[Any]:
    count = len(source)
    keys = np.arange(count) if in_order else np.argsort(np.random.Philox(key=count).random_raw(count), kind="stable")
    for start in range(0, count, _CHUNK):
        yield source.__getitems__(keys[start : start + _CHUNK].tolist())


def _text(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes) else b"\n".join(map(_text, value))
