"""What is read of a member, token by token: means whole and by document, and which chunks are read when."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from research.cells.measures import BITS, BY_DOCUMENT, EARLY_BY_DOCUMENT, Measure
from research.cells.study import early, whole
from research.data.batches import batch
from research.data.corpus import DataSpec, load_corpus
from research.data.vocabulary import BYTES, Vocabulary
from tests.tokenized import vocabulary

GENERATOR = np.random.default_rng(0)
SHAPE = (2, 3, 4, 5)  # chunk, k, batch, time
GROUPS = GENERATOR.integers(-1, 4, SHAPE)
WEIGHTS = (GROUPS >= 0).astype(np.float32)
NLL = GENERATOR.random((2, 6, 3, 4, 5)).astype(np.float32)  # chunk, member, ...
CHUNKS = [
    {"nll": nll * weight, "correct": nll, "weight": np.broadcast_to(weight, nll.shape)} for nll, weight in zip(NLL, WEIGHTS, strict=True)
]
BATCHES = np.zeros((2, 3, 4, 6), np.uint8)


def test_means_are_of_all_tokens_and_of_each_document_and_agree() -> None:
    measure = Measure("target_loss", BATCHES, True, early="budget_loss", groups=GROUPS)
    found = measure.read(CHUNKS)
    tokens = np.moveaxis(NLL, 1, 0)
    for group in range(4):
        np.testing.assert_allclose(found[BY_DOCUMENT][:, group], tokens[:, group == GROUPS].mean(axis=1) * BITS, rtol=1e-6)
    np.testing.assert_allclose(found["target_loss"], tokens[:, GROUPS >= 0].mean(axis=1) * BITS, rtol=1e-6)
    np.testing.assert_allclose(found["budget_loss"], tokens[:, 0][:, GROUPS[0] >= 0].mean(axis=1) * BITS, rtol=1e-6)
    weights = measure.weights()
    np.testing.assert_allclose(found[BY_DOCUMENT] @ weights / weights.sum(), found["target_loss"], rtol=1e-12)


def test_before_the_last_budget_one_chunk_is_read_and_not_called_the_whole() -> None:
    measure = Measure("target_loss", BATCHES, True, early="budget_loss", groups=GROUPS)
    assert measure.read(CHUNKS[:1]).keys() == {"budget_loss"}
    assert [measure.chunks(last) for last in (False, True)] == [slice(1), slice(None)]
    assert [measure.due(name, False) for name in measure.names()] == [False, True]
    late = Measure("target_loss", BATCHES, True)
    assert late.chunks(False) == slice(0) and not late.due("target_loss", False) and late.due("target_loss", True)


def test_the_first_chunk_is_read_by_its_own_groups_at_every_budget() -> None:
    first = np.where(GROUPS[:1] == 2, -1, np.where(GROUPS[:1] == 3, 2, GROUPS[:1]))  # three groups of its own, some tokens in none
    measure = Measure("target_loss", BATCHES, True, early="budget_loss", groups=GROUPS, first_groups=first)
    assert measure.shapes() == {"target_loss": (), "budget_loss": (), BY_DOCUMENT: (4,), EARLY_BY_DOCUMENT: (3,)}
    assert [[measure.due(name, last) for name in measure.shapes()] for last in (False, True)] == [[False, True, False, True], [True] * 4]
    tokens = np.moveaxis(NLL, 1, 0)[:, 0]
    for chunks in (CHUNKS[:1], CHUNKS):
        found = measure.read(chunks)
        for group in range(3):
            np.testing.assert_allclose(found[EARLY_BY_DOCUMENT][:, group], tokens[:, group == first[0]].mean(axis=1) * BITS, rtol=1e-6)
            assert measure.first_weights()[group] == (first == group).sum()
    at_every_budget = Measure("target_loss", BATCHES, False, groups=GROUPS)
    assert at_every_budget.due("target_loss", False) and not at_every_budget.due(BY_DOCUMENT, False)


def test_sums_are_float64() -> None:
    shape = (1, 1, 1, 2**14)
    values = np.full(shape, 0.1, np.float32)
    values[..., 0] = 2**20
    found = Measure("x", np.zeros((1, *shape), np.uint8), True, unit="1").read([{"nll": values, "weight": np.ones(shape, np.float32)}])
    assert found["x"][0] == pytest.approx((2**20 + (2**14 - 1) * float(np.float32(0.1))) / 2**14, rel=1e-12)


def test_a_unit_that_is_not_bits_is_left_alone() -> None:
    found = Measure("accuracy", BATCHES, False, "correct", "1").read(CHUNKS)
    np.testing.assert_allclose(found["accuracy"], np.moveaxis(NLL, 1, 0).reshape(6, -1).sum(axis=1, dtype=float) / WEIGHTS.sum(), rtol=1e-6)


def test_bits_are_for_each_byte_of_text_where_a_token_is_several() -> None:
    draw = np.random.default_rng(1)
    size = draw.integers(1, 9, SHAPE) * WEIGHTS  # a filling has a group of its own, no weight and no bytes
    measure = Measure("target_loss", BATCHES, True, early="budget_loss", groups=GROUPS, bytes=size.astype(float))
    found = measure.read([measure.needed(chunk) for chunk in CHUNKS])
    nats = np.moveaxis(NLL * WEIGHTS[:, None], 1, 0).astype(float)
    np.testing.assert_allclose(found["target_loss"], nats.reshape(6, -1).sum(axis=1) / size.sum() / np.log(2), rtol=1e-6)
    np.testing.assert_allclose(found["budget_loss"], nats[:, 0].reshape(6, -1).sum(axis=1) / size[0].sum() / np.log(2), rtol=1e-6)
    for group in range(4):
        here = group == GROUPS
        np.testing.assert_allclose(found[BY_DOCUMENT][:, group], nats[:, here].sum(axis=1) / size[here].sum() / np.log(2), rtol=1e-6)
        assert measure.weights()[group] == size[here].sum()
    np.testing.assert_allclose(found[BY_DOCUMENT] @ measure.weights() / measure.weights().sum(), found["target_loss"], rtol=1e-12)


def test_bytes_of_byte_tokens_change_no_number() -> None:
    plain, counted = (
        Measure("x", BATCHES, True, early="y", groups=GROUPS, bytes=some).read(CHUNKS) for some in (None, WEIGHTS.astype(float))
    )
    assert all(np.array_equal(plain[name], counted[name]) for name in plain)


@pytest.mark.parametrize("known", [BYTES, vocabulary()])
def test_a_part_is_read_whole_with_the_bytes_of_all_its_tokens_but_the_first(known: Vocabulary, tmp_path: Path) -> None:
    for i in range(200):
        (tmp_path / f"{i}.txt").write_text(f"{i} land word!! " * (1 + i % 5))
    corpus = load_corpus(DataSpec(f"text:{tmp_path}/*", 1000, 2000, 1000), known)
    study: Any = SimpleNamespace(model=SimpleNamespace(max_length=8), evaluation=(2, 3))
    measure = whole(study, corpus, "test", "target_loss", "budget_loss", True)
    assert measure.first_weights().sum() == measure.bytes[:1].sum() and (measure.first_weights() > 0).all()
    assert measure.batches.shape[1:] == (2, 3, 9) and measure.batches.dtype == known.dtype
    made = batch(measure.batches, known)
    assert np.array_equal(made["weights"] > 0, measure.bytes > 0) and np.array_equal(made["weights"] > 0, measure.groups >= 0)
    kept = (len(corpus.parts["test"]) - 1) // 8 * 8
    assert measure.bytes.sum() == measure.weights().sum() == corpus.bytes["test"][1 : kept + 1].sum()
    first = early(study, corpus, "test", "source_loss")
    assert np.array_equal(first.batches, measure.batches[:1]) and np.array_equal(first.bytes, measure.bytes[:1])
    nats = {"nll": made["weights"][:, None] * np.log(known.size), "weight": made["weights"][:, None]}  # of a model that knows nothing
    found = measure.read([{name: value[place] for name, value in nats.items()} for place in range(len(measure.batches))])
    tokens = made["weights"].sum()
    assert found["target_loss"] == pytest.approx(np.log2(known.size) * tokens / measure.bytes.sum(), rel=1e-6)
