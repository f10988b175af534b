"""The source `tfds:NAME[/CONFIG][/FIELD]`: sets that TensorFlow Datasets has prepared on this machine, read without TensorFlow."""

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from research.data.documents import Documents
from research.errors import UsageError
from research.files import local_path

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation", "test": "test"}
_CHUNK = 4096


class Prepared(NamedTuple):
    """The folder of one prepared version of a set, and the field the word asked for ("" if it named none)."""

    folder: Path
    field: str


def tfds_documents(word: str, max_bytes: int | None = None) -> Documents:
    """Returns the rows of a prepared set, one document each, in the splits train, validation and test as far as it has them.

    A set without a train split is one pool of all its rows. With `max_bytes`, a split is read in a fixed random order until it has given
    that many bytes. UsageError for a set that is not prepared, is not in array_record format, or whose text field is not clear.
    """
    prepared = find_prepared(word, data_folder())
    import tensorflow_datasets as tfds  # a second to import, and needed for this source alone

    builder = tfds.builder_from_directory(str(prepared.folder))
    field = _text_field(word, prepared.field, builder.info.features)
    splits: dict[str, list[bytes]] = {}
    for name in builder.info.splits:
        if name in _SPLITS:
            splits[_SPLITS[name]] = _rows(word, builder, name, field, max_bytes)
    provenance = {"dataset": builder.info.full_name, "field": field, "splits": sorted(splits), "pooled": "train" not in splits}
    if "train" not in splits:
        splits = {"train": [row for name in sorted(splits) for row in splits[name]]}
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
    if "/" in field or _VERSION.fullmatch(field) or not (folder / "dataset_info.json").is_file():
        raise _not_prepared(word, root)
    return Prepared(folder, field)


def serialized_rows(word: str, builder: Any, split: str) -> Any:
    """Returns the rows of a split as a random-access source of serialized examples; UsageError if they are not in array_record format."""
    import tensorflow_datasets as tfds

    try:
        return builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    except NotImplementedError as error:
        message = f"tfds:{word} is not in array_record format, the one read without TensorFlow; prepare it: {_preparation(word)}"
        raise UsageError(message) from error


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


def _preparation(word: str) -> str:
    call = f"tfds.builder('{word.split('/')[0]}', file_format='array_record').download_and_prepare()"
    return f'python -c "import tensorflow_datasets as tfds; {call}"'


def _text_field(word: str, field: str, features: Any) -> str:
    texts = sorted(name for name, feature in dict(features).items() if _is_text(feature))
    if field in texts:
        return field
    if not field and len(texts) == 1:
        return texts[0]
    given = f"has no text field {field!r}" if field else "has several text fields" if texts else "has no text field"
    raise UsageError(f"tfds:{word} {given}; its text fields: {', '.join(texts) or 'none, choose another set'} (tfds:NAME/FIELD)")


def _is_text(feature: Any) -> bool:
    return type(getattr(feature, "feature", feature)).__name__ == "Text"


def _rows(word: str, builder: Any, split: str, field: str, max_bytes: int | None) -> list[bytes]:
    import tensorflow_datasets as tfds

    source = serialized_rows(word, builder, split)
    only = tfds.features.FeaturesDict({field: builder.info.features[field]})  # other fields cost more to decode than all else here
    rows, used = [], 0
    for records in _chunks(source, in_order=max_bytes is None):
        texts = [_text(only.deserialize_example_np(record)[field]) for record in records]
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
    return bytes(value) if isinstance(value, bytes) else b"\n".join(bytes(item) for item in value)
