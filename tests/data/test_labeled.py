import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from scipy.special import softmax

from research.data.labeled import Labeled, batch, load_labeled
from research.errors import UsageError

REAL_FOLDER = os.environ.get("TFDS_DATA_DIR", "")
GRAY, LABEL = tfds.features.Image(shape=(4, 6, 1)), tfds.features.ClassLabel(num_classes=3)
Rows = list[dict[str, Any]]


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")
    splits: dict[str, Rows]
    features: dict[str, Any]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.features))

    def _split_generators(self, dl_manager: object) -> dict[str, Any]:
        return {name: self._generate_examples(rows) for name, rows in self.splits.items()}

    def _generate_examples(self, rows: Rows) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from enumerate(rows)


def _prepare(folder: Path, name: str, features: dict[str, Any], splits: dict[str, Rows]) -> None:
    body = {"name": name, "features": features, "splits": splits}
    type(name, (_Builder,), body, skip_registration=True)(data_dir=folder, file_format="array_record").download_and_prepare()


def _pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (4, 6), np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def _examples(first: int, count: int) -> Rows:
    return [{"image": _png(_pixels(number)), "label": number % 3} for number in range(first, first + count)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    gray = {"image": GRAY, "label": LABEL}
    one = _examples(0, 1)
    color = {"image": _png(np.zeros((4, 6, 3), np.uint8)), "label": 0}
    _prepare(folder, "gray", gray, {"train": _examples(0, 20), "test": _examples(20, 5)})
    _prepare(folder, "no_test", gray, {"train": one})
    _prepare(folder, "hidden_labels", gray, {"train": one, "test": [one[0] | {"label": -1}]})
    _prepare(folder, "no_label", {"image": GRAY}, {"train": [{"image": one[0]["image"]}]})
    _prepare(folder, "no_image", {"label": LABEL}, {"train": [{"label": 0}]})
    _prepare(folder, "color", {"image": tfds.features.Image(shape=(4, 6, 3)), "label": LABEL}, {"train": [color], "test": [color]})
    two = {"image": GRAY, "label": LABEL, "other": tfds.features.ClassLabel(num_classes=7)}
    _prepare(folder, "two_labels", two, {split: [row | {"other": 6} for row in _examples(0, 3)] for split in ("train", "test")})
    return folder


@pytest.fixture
def data(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    return prepared


def _images(rows: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in rows[:, :-1]}


def assert_parts(labeled: Labeled, sizes: tuple[int, int, int]) -> None:
    """Asserts the parts' sizes, that no image is in two of them or twice in one, and that each has every label."""
    images = {part: _images(rows) for part, rows in labeled.parts.items()}
    assert tuple(map(len, labeled.parts.values())) == sizes and list(labeled.parts) == ["train", "validation", "test"]
    assert len(set.union(*images.values())) == sum(sizes)
    for rows in labeled.parts.values():
        assert rows.dtype == np.uint8 and rows.shape[1] == np.prod(labeled.shape) + 1
        assert set(rows[:, -1]) == set(range(labeled.classes))


def _accuracy(labeled: Labeled, train_labels: np.ndarray) -> float:
    """Returns the test accuracy of a logistic regression fitted by gradient descent."""
    train, test = (batch(labeled.parts[part]) for part in ("train", "test"))
    one_hot, weights = np.eye(labeled.classes)[train_labels], np.zeros((train["inputs"].shape[1], labeled.classes))
    for _ in range(200):
        error = softmax(train["inputs"] @ weights, axis=1) - one_hot
        weights -= 0.5 / len(error) * train["inputs"].T @ error
    return float(((test["inputs"] @ weights).argmax(1) == test["targets"]).mean())


def test_digits_have_the_labels_of_their_images() -> None:
    labeled = load_labeled("sklearn:digits", 200)
    assert_parts(labeled, (1237, 200, 360))
    assert labeled.shape == (8, 8) and labeled.parts["train"].max() == 255
    labels = labeled.parts["train"][:, -1]
    assert _accuracy(labeled, labels) > 0.9
    assert _accuracy(labeled, np.random.default_rng(0).permutation(labels)) < 0.3


def test_a_seed_gives_the_same_parts_again_and_moves_no_test_row() -> None:
    first, again, other = (load_labeled("sklearn:digits", 200, seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint and len(first.fingerprint) == 64
    np.testing.assert_array_equal(first.parts["test"], other.parts["test"])
    assert _images(first.parts["validation"]) != _images(other.parts["validation"])


def test_a_prepared_set_gives_the_pixels_and_labels_that_went_in(data: Path) -> None:
    labeled = load_labeled("tfds:gray", 6)
    assert_parts(labeled, (14, 6, 5))
    assert (labeled.name, labeled.shape, labeled.classes) == ("tfds:gray/1.0.0", (4, 6), 3)
    for part, numbers in (("train", range(20)), ("validation", range(20)), ("test", range(20, 25))):
        label_of = {_pixels(number).tobytes(): number % 3 for number in numbers}
        assert [label_of[row[:-1].tobytes()] for row in labeled.parts[part]] == labeled.parts[part][:, -1].tolist()
    assert "tensorflow" not in sys.modules


def test_a_label_is_chosen_by_name(data: Path) -> None:
    labeled = load_labeled("tfds:two_labels/other", 1)
    assert labeled.classes == 7 and set(labeled.parts["test"][:, -1]) == {6}
    assert load_labeled("tfds:two_labels/label", 1).classes == 3


@pytest.mark.parametrize(
    ("source", "validation", "message"),
    [
        ("digits", 1, "unknown source.*use one of sklearn:digits, tfds:NAME"),
        ("sklearn:iris", 1, "unknown source"),
        ("tfds:", 1, "unknown source"),
        ("sklearn:digits", 1437, "validation = 1437 of the 1437 rows.*give 1 to 1436"),
        ("tfds:gray", 0, "validation = 0"),
        ("tfds:absent", 1, "not prepared"),
        ("tfds:gray/image", 1, "not clear about its labels, which may be label; name one"),
        ("tfds:two_labels", 1, "not clear about its labels, which may be label, other; name one"),
        ("tfds:no_label", 1, "a data set without labels"),
        ("tfds:no_image", 1, "a data set without images"),
        ("tfds:color", 1, r"shape \(4, 6, 3\); choose a set of grayscale"),
        ("tfds:no_test", 1, "no split test; its splits: train;"),
        ("tfds:hidden_labels", 1, "keeps the labels of its test split"),
    ],
)
def test_what_cannot_be_classified_is_refused(data: Path, source: str, validation: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_labeled(source, validation)


def test_a_set_whose_shard_is_missing_is_one_line(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(data / "gray", tmp_path / "gray")
    next((tmp_path / "gray").rglob("*test.array_record*")).unlink()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UsageError, match="tfds:gray cannot be read from .*No such file.*prepare it again"):
        load_labeled("tfds:gray", 6)


def test_a_batch_is_pixels_labels_and_no_weight_on_padding() -> None:
    rows = np.array([[[0, 51, 255, 7], [255, 0, 0, 255]]], np.uint8)
    expected = {
        "inputs": np.array([[[0, 0.2, 1], [1, 0, 0]]], np.float32),
        "targets": np.array([[7, 255]], np.int32),
        "weights": np.array([[1, 0]], np.float32),
    }
    for found in (batch(rows), jax.jit(batch)(jnp.asarray(rows))):
        for name, values in expected.items():
            assert found[name].dtype == values.dtype
            np.testing.assert_allclose(found[name], values, rtol=1e-6)


def test_prepared_mnist_where_it_is_present() -> None:
    if not REAL_FOLDER or not (Path(REAL_FOLDER) / "mnist").is_dir():
        pytest.skip("TFDS_DATA_DIR names no folder with mnist")
    labeled = load_labeled("tfds:mnist", 5000)
    assert_parts(labeled, (55_000, 5_000, 10_000))
    few = labeled._replace(parts={part: rows[:1500] for part, rows in labeled.parts.items()})
    assert _accuracy(few, few.parts["train"][:, -1]) > 0.8
