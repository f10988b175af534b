"""What is read of a member, token by token: means whole and by document, and which chunks are read when."""

import numpy as np
import pytest

from research.cells.measures import BITS, BY_DOCUMENT, Measure

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


def test_sums_are_float64() -> None:
    shape = (1, 1, 1, 2**14)
    values = np.full(shape, 0.1, np.float32)
    values[..., 0] = 2**20
    found = Measure("x", np.zeros((1, *shape), np.uint8), True, unit="1").read([{"nll": values, "weight": np.ones(shape, np.float32)}])
    assert found["x"][0] == pytest.approx((2**20 + (2**14 - 1) * float(np.float32(0.1))) / 2**14, rel=1e-12)


def test_a_unit_that_is_not_bits_is_left_alone() -> None:
    found = Measure("accuracy", BATCHES, False, "correct", "1").read(CHUNKS)
    np.testing.assert_allclose(found["accuracy"], np.moveaxis(NLL, 1, 0).reshape(6, -1).sum(axis=1, dtype=float) / WEIGHTS.sum(), rtol=1e-6)
