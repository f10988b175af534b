"""What is probed: as many bytes of each class, where the text says they are, whole documents apart."""

import numpy as np
import pytest

from experiments.probing.drawn import CHOOSING, Drawn, drawn
from experiments.probing.tasks import labeled
from research.errors import UsageError
from tests.experiments.probing.planted_text import LENGTH, corpus, sweep

WORDS = [b"if alpha in beta: return gamma + delta " + b"while x: pass " * (place % 3) for place in range(16)]
OTHER = [b"The pub near the station serves soup and bread until nine. " * (1 + place % 2) for place in range(16)]
TEXTS = {"a": corpus("a", WORDS, WORDS[:9], frozenset({b"1"})), "b": corpus("b", OTHER, OTHER[:9], frozenset({b"2"}))}


@pytest.fixture(scope="module")
def found() -> Drawn:
    return drawn(sweep("boundary", "language"), TEXTS, LENGTH)


def test_every_class_occurs_alike_and_no_byte_twice(found: Drawn) -> None:
    for task, classes in zip(found.tasks, (2, 2), strict=True):
        read = task.groups >= 0
        assert np.bincount(task.labels[0][read]).tolist() == [60 // classes] * classes
        assert np.bincount(task.labels[0][~read]).tolist() == [20 // classes] * classes
        assert len(set(zip(task.window, task.offset, strict=True))) == 80
        first = task.labels[0][read][:30]
        assert 5 < first.sum() < 25  # classes stand in no order


def test_an_example_lies_in_the_second_half_of_its_window_where_its_label_is(found: Drawn) -> None:
    boundary, language = found.tasks
    assert all((task.offset >= LENGTH // 2).all() and (task.offset < LENGTH).all() for task in found.tasks)
    for window, offset, label, kind in zip(boundary.window, boundary.offset, boundary.labels[0], boundary.types, strict=True):
        text = found.rows[window].tobytes()
        assert text[: offset + 1].endswith(kind)
        assert offset + 1 == LENGTH or label == (text[offset + 1 : offset + 2] in (b" ", b":", b"\0"))
    lowest = {label: found.rows[language.window[language.labels[0] == label]].tobytes() for label in (0, 1)}
    assert b"beta" in lowest[0] and b"pub" in lowest[1] and b"pub" not in lowest[0]


def test_groups_are_of_documents_and_those_that_choose_have_none(found: Drawn) -> None:
    boundary, _ = found.tasks
    stream = TEXTS["a"].parts["test"]
    first = (len(TEXTS["a"].parts[CHOOSING]) - LENGTH) // (LENGTH // 2) + 1  # windows of the part before it
    place = (boundary.window - first) * (LENGTH // 2) + boundary.offset
    read = boundary.groups >= 0
    assert (TEXTS["a"].groups["test"][place[read]] % 8 == boundary.groups[read]).all()
    labels = np.concatenate([piece for document in stream.tobytes().split(b"\0") for piece in ([-1], labeled("boundary", document))][1:])
    assert (labels[place[read]] == boundary.labels[0][read]).all()
    assert set(boundary.groups[read]) == set(range(8))


def test_a_control_label_is_its_types(found: Drawn) -> None:
    boundary, _ = found.tasks
    by_type: dict[bytes, set[int]] = {}
    for kind, label in zip(boundary.types, boundary.labels[1], strict=True):
        by_type.setdefault(kind, set()).add(int(label))
    assert len(by_type) > 10 and all(len(labels) == 1 for labels in by_type.values())


def test_what_the_text_has_too_few_of_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'boundary' has \d+ examples of the class 'end' in the test part, and examples = 900 wants 450"):
        drawn(sweep("boundary", examples=900), TEXTS, LENGTH)
    with pytest.raises(UsageError, match="choosing = 400 wants 200; lower choosing, raise data.validation_bytes"):
        drawn(sweep("boundary", choosing=400), TEXTS, LENGTH)
    with pytest.raises(UsageError, match="'nesting' has 0 examples of the class 'in a bracket'"):
        drawn(sweep("nesting"), TEXTS, LENGTH)
    with pytest.raises(UsageError, match="shorter than a window"):
        drawn(sweep("boundary"), TEXTS, 4096)


def test_two_languages_that_share_a_document_are_refused() -> None:
    same = {"a": TEXTS["a"], "b": TEXTS["b"]._replace(held_out=TEXTS["a"].held_out)}
    with pytest.raises(UsageError, match="languages a and b share 1 documents"):
        drawn(sweep("language"), same, LENGTH)
