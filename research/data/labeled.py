"""Labeled grayscale images as rows of bytes, from `sklearn:digits` or `tfds:NAME[/CONFIG][/FIELD]`, FIELD being the label."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from research.data.batches import order
from research.data.tensorflow_datasets_source import data_folder, find_prepared, reading, serialized_rows
from research.errors import UsageError

FORMS = ("sklearn:digits", "tfds:NAME[/CONFIG][/FIELD]")
PADDING = 255
_DIGITS_TEST = 360


class Labeled(NamedTuple):
    """The parts train, validation and test as uint8 (n, height * width + 1), the label last; `fingerprint` is their SHA-256.

    `shape` is (height, width); labels are 0 .. classes-1.
    """

    name: str
    fingerprint: str
    parts: Mapping[str, np.ndarray]
    shape: tuple[int, int]
    classes: int


class _Images(NamedTuple):
    name: str
    pool: np.ndarray
    test: np.ndarray
    shape: tuple[int, int]
    classes: int


def load_labeled(source: str, validation: int, seed: int = 0) -> Labeled:
    """Returns the images of `source`; `validation` rows, chosen by `seed`, are held out of those to train on, the test part is fixed.

    UsageError for a word that is none of `FORMS`, for a set that is not prepared or holds anything but labeled grayscale images, and for
    a validation part that is empty or leaves nothing to train on.
    """
    kind, _, rest = source.partition(":")
    if source == "sklearn:digits":
        images = _digits()
    elif kind == "tfds" and rest:
        images = _prepared(rest)
    else:
        raise UsageError(f"unknown source of labeled images {source!r}; use one of {', '.join(FORMS)}")
    count = len(images.pool)
    if not 0 < validation < count:
        raise UsageError(f"validation = {validation} of the {count} rows of {source} that are not for testing; give 1 to {count - 1}")
    pool = images.pool[order(seed, 0, count, count)]
    parts = {"train": pool[validation:], "validation": pool[:validation], "test": images.test}
    return Labeled(images.name, _fingerprint(parts), parts, images.shape, images.classes)


def batch(rows: Any) -> dict[str, Any]:
    """Returns inputs (.., pixels) float32 in [0, 1], targets (..,) int32 and weights (..,) float32 of uint8 rows (.., pixels + 1).

    The arrays are NumPy's or JAX's, also under jit. A weight is 0 where the label is 255, which marks padding, else 1.
    """
    labels = rows[..., -1].astype("int32")
    return {"inputs": rows[..., :-1].astype("float32") / 255, "targets": labels, "weights": (labels != PADDING).astype("float32")}


def _digits() -> _Images:
    from sklearn.datasets import load_digits  # a second to import, and needed for this source alone

    found = load_digits()
    rows = _rows(np.rint(found.data * (255 / 16)), found.target)[order(0, 0, len(found.data), len(found.data))]
    return _Images("sklearn:digits", rows[_DIGITS_TEST:], rows[:_DIGITS_TEST], (8, 8), 10)


def _prepared(word: str) -> _Images:
    prepared = find_prepared(word, data_folder())
    import tensorflow_datasets as tfds  # a second to import, and needed for this source alone

    with reading(word, prepared.folder):
        return _read(word, tfds.builder_from_directory(str(prepared.folder)), prepared.field)


def _read(word: str, builder: Any, wanted: str) -> _Images:
    fields = dict(builder.info.features)
    image, label = _field(word, fields, "Image", ""), _field(word, fields, "ClassLabel", wanted)
    height, width, channels = fields[image].shape
    if channels != 1 or None in (height, width) or fields[image].np_dtype != np.uint8:
        raise UsageError(f"tfds:{word} has images of shape {fields[image].shape}; choose a set of grayscale bytes of one size")
    if fields[label].num_classes > PADDING:
        raise UsageError(f"tfds:{word} has {fields[label].num_classes} classes; choose a set of at most {PADDING}")
    splits = sorted(builder.info.splits)
    missing = {"train", "test"} - set(splits)
    if missing:
        raise UsageError(
            f"tfds:{word} has no split {' and '.join(sorted(missing))}; its splits: {', '.join(splits)}; choose a set that has both"
        )
    pool, test = (_decode(word, builder, split, image, label) for split in ("train", "test"))
    return _Images(f"tfds:{builder.info.full_name}", pool, test, (height, width), fields[label].num_classes)


def _field(word: str, fields: Mapping[str, Any], kind: str, wanted: str) -> str:
    """Returns the one field of type `kind`, or `wanted` if it is named and of that type; UsageError otherwise."""
    names = sorted(name for name, feature in fields.items() if type(feature).__name__ == kind)
    if wanted in names or (len(names) == 1 and not wanted):
        return wanted or names[0]
    what = "labels" if kind == "ClassLabel" else "images"
    if not names:
        raise UsageError(f"tfds:{word} is a data set without {what} ({', '.join(sorted(fields))}); choose one of labeled images")
    how = "name one as tfds:NAME/FIELD" if kind == "ClassLabel" else "choose a set with one"
    raise UsageError(f"tfds:{word} is not clear about its {what}, which may be {', '.join(names)}; {how}")


def _decode(word: str, builder: Any, split: str, image: str, label: str) -> np.ndarray:
    from tensorflow_datasets.proto import tf_example_pb2  # half the time of TFDS's own deserialization, and no warning about OpenCV

    source, decode = serialized_rows(word, builder, split), builder.info.features[image].decode_example_np_with_pil
    pixels, labels = [], []
    for record in source.__getitems__(range(len(source))):
        fields = tf_example_pb2.Example.FromString(record).features.feature
        pixels.append(decode(fields[image].bytes_list.value[0], 1).reshape(-1))
        labels.append(fields[label].int64_list.value[0])
    if min(labels, default=0) < 0:
        raise UsageError(f"tfds:{word} keeps the labels of its {split} split to itself; choose another set")
    return _rows(np.stack(pixels), np.array(labels))


def _rows(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels.astype(np.uint8), labels[:, None].astype(np.uint8)], axis=1)


def _fingerprint(parts: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for part, rows in parts.items():
        digest.update(f"{part}:{rows.nbytes}:".encode())
        digest.update(rows.tobytes())
    return digest.hexdigest()
