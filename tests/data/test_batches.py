import dataclasses
import functools
import itertools

import jax
import numpy as np
import pytest

from research.data.batches import batch, order, orders, replayed, scored, windows, within
from research.data.vocabulary import BYTES, Vocabulary, dtype_for
from research.errors import UsageError

TOKENS = dataclasses.replace(
    BYTES, size=10, separator=2, mark=10, dtype=dtype_for(300), lengths=np.array([1, 2, 0, 4, 5, 1, 1, 1, 1, 1, 0])
)


@pytest.mark.parametrize(("tokens", "length", "count"), [(101, 10, 10), (109, 10, 10), (11, 10, 1)])
def test_each_token_is_predicted_once(tokens: int, length: int, count: int) -> None:
    stream = np.arange(tokens, dtype=np.uint8)
    cut = windows(stream, length)
    assert cut.shape == (count, length + 1) and cut.dtype == stream.dtype
    assert np.array_equal(cut[:, 1:].reshape(-1), stream[1 : count * length + 1])
    assert np.array_equal(cut[:, :-1].reshape(-1), stream[: count * length])


@pytest.mark.parametrize(("tokens", "length"), [(10, 10), (0, 1), (5, 0)])
def test_too_short_a_stream_is_the_users_mistake(tokens: int, length: int) -> None:
    with pytest.raises(UsageError, match=f"{tokens} tokens"):
        windows(np.zeros(tokens, np.uint8), length)


def test_order_is_a_pure_function_of_seed_and_step() -> None:
    whole = orders([3, 7], 0, 40, 4, 30)
    assert whole.shape == (2, 40, 4) and whole.dtype == np.int32
    assert np.array_equal(orders([7], 13, 9, 4, 30)[0], whole[1, 13:22])
    assert np.array_equal(order(3, 25, 4, 30), whole[0, 25])
    assert not np.array_equal(whole[0], whole[1])


def test_an_epoch_visits_each_window_once_and_epochs_differ() -> None:
    epochs = orders([5], 0, 21, 10, 70).reshape(3, 70)
    assert all(np.array_equal(np.sort(epoch), np.arange(70)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1]) and not np.array_equal(epochs[1], epochs[2])


def test_a_batch_reaches_into_the_next_epoch() -> None:
    positions = orders([5], 0, 7, 4, 7).reshape(4, 7)
    assert all(np.array_equal(np.sort(epoch), np.arange(7)) for epoch in positions)
    assert order(5, 0, 20, 7).shape == (20,)


def test_order_stays_what_it_was_in_earlier_runs() -> None:
    assert order(1, 2, 6, 50).tolist() == orders([1], 0, 9, 6, 50)[0, 2].tolist() == [49, 30, 22, 7, 36, 10]


FRESH, THERE = 60, 14  # windows, and behind them windows to replay
SHARES = (0.0, 0.05, 0.25, 1 / 3, 0.9)


def mixed(seeds: tuple[int, ...] = (1, 2, 3, 4, 5), first: int = 0, steps: int = 90, size: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Returns an order without replay, and with a share of each member's own."""
    plain = orders(seeds, first, steps, size, FRESH)
    return plain, replayed(plain, seeds, SHARES, first, [(FRESH, FRESH + THERE)] * len(seeds))


def test_a_share_is_replayed_as_evenly_as_can_be_and_all_else_stays_where_it_was() -> None:
    plain, found = mixed()
    again = found != plain
    assert found.shape == plain.shape and found.dtype == plain.dtype
    assert np.array_equal(again, found >= FRESH)  # what is replayed lies behind what is fresh, nothing else has moved
    assert found.max() == FRESH + THERE - 1
    seen = again.reshape(len(SHARES), -1).cumsum(axis=1)
    assert (np.abs(seen - np.outer(SHARES, np.arange(1, seen.shape[1] + 1))) < 1).all()
    assert np.array_equal(found[0], plain[0]) and plain.max() < FRESH


def test_all_that_is_replayed_is_seen_once_before_one_is_seen_twice_and_each_seed_has_an_order_of_its_own() -> None:
    passes = [row[row >= FRESH] for row in mixed((1, 2, 3, 4, 4))[1].reshape(len(SHARES), -1)]
    assert len(passes[4]) > 3 * THERE > THERE < len(passes[2])
    for own in passes:
        whole = own[: len(own) // THERE * THERE].reshape(-1, THERE)
        assert all(np.array_equal(np.sort(each), np.arange(FRESH, FRESH + THERE)) for each in whole)
        assert len(np.unique(own[len(whole) * THERE :])) == len(own) % THERE
    assert not np.array_equal(passes[4][:THERE], passes[4][THERE : 2 * THERE])
    assert not np.array_equal(passes[2][:THERE], passes[3][:THERE])  # of two seeds
    assert np.array_equal(passes[3], passes[4][: len(passes[3])])  # of one seed, whatever the share


def test_what_is_replayed_does_not_depend_on_the_chunks_that_steps_come_in() -> None:
    whole = mixed()[1]
    for cuts in ((0, 45, 90), (0, 1, 7, 90)):
        parts = [mixed(first=first, steps=last - first)[1] for first, last in itertools.pairwise(cuts)]
        assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_weights_are_zero_where_the_mark_is_the_target() -> None:
    cut = np.array([[0, 5, 6, 0], [7, 0, 8, 9]], np.uint8)
    made = batch(cut, BYTES)
    assert made["inputs"].tolist() == [[0, 5, 6], [7, 0, 8]]
    assert made["targets"].tolist() == [[5, 6, 0], [0, 8, 9]]
    assert made["weights"].tolist() == [[1, 1, 0], [0, 1, 1]]
    assert {key: value.dtype.name for key, value in made.items()} == {"inputs": "int32", "targets": "int32", "weights": "float32"}


def test_a_token_whose_id_is_0_or_the_separators_is_scored_and_marks_are_fed_as_the_separator() -> None:
    cut = np.array([[10, 0, 3, 10], [4, 10, 0, 10]], np.uint16)
    made = batch(cut, TOKENS)
    assert made["inputs"].tolist() == [[2, 0, 3], [4, 2, 0]]
    assert made["targets"].tolist() == [[0, 3, 2], [2, 0, 2]]  # the model has no row for a mark
    assert made["weights"].tolist() == [[1, 1, 0], [0, 1, 0]]
    assert batch(np.array([[0, 2, 1]], np.uint16), TOKENS)["weights"].tolist() == [[1, 1]]


@pytest.mark.parametrize("vocabulary", [BYTES, TOKENS])
def test_batch_is_the_same_under_jit_and_with_a_member_axis(vocabulary: Vocabulary) -> None:
    cut = np.random.default_rng(0).integers(0, 11, (2, 3, 9)).astype(vocabulary.dtype)
    under_jit = jax.jit(functools.partial(batch, vocabulary=vocabulary))(cut)
    for key, value in batch(cut, vocabulary).items():
        assert under_jit[key].dtype == value.dtype
        assert np.array_equal(under_jit[key], value)


def test_scored_tokens_and_their_bytes_are_those_that_weigh() -> None:
    cut = np.array([[10, 0, 3, 10], [4, 10, 0, 1]], np.uint16)
    tokens, sizes = scored(cut, TOKENS)
    assert tokens.tolist() == batch(cut, TOKENS)["weights"].sum(axis=-1).tolist() == [2, 2]
    assert sizes.tolist() == [1 + 4, 1 + 2]
    for row in np.random.default_rng(1).integers(0, 256, (4, 9)).astype(np.uint8):
        assert np.array_equal(*scored(row, BYTES))


def test_a_seed_draws_from_its_own_windows_alone_in_the_order_of_a_text_of_that_size() -> None:
    found = within([(0, 7), (7, 20), (3, 10)], [5, 5, 5], 2, 9, 3)
    assert found.shape == (3, 9, 3)
    for row, (first, last) in zip(found, [(0, 7), (7, 20), (3, 10)], strict=True):
        assert set(row.ravel()) == set(range(first, last))  # 27 examples: all of them, and nobody else's
        assert np.array_equal(row, first + orders([5], 2, 9, 3, last - first)[0])
