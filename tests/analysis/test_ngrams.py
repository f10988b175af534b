import dataclasses

import numpy as np
import pytest

from research.analysis.ngrams import bigram_bits, unigram_bits
from research.data.vocabulary import BYTES

PROBABILITIES = np.array([0.5, 0.25, 0.125, 0.125])
TRANSITIONS = np.array([[0.9, 0.1, 0.0], [0.0, 0.8, 0.2], [0.5, 0.0, 0.5]])


def independent(size: int, seed: int) -> np.ndarray:
    return 1 + np.random.default_rng(seed).choice(4, size=size, p=PROBABILITIES)


def markov(size: int, seed: int) -> np.ndarray:
    draws = np.random.default_rng(seed).random(size)
    cumulative, state, states = TRANSITIONS.cumsum(axis=1), 0, []
    for draw in draws:
        state = int((draw > cumulative[state]).sum())
        states.append(state + 1)
    return np.array(states)


def entropy(probabilities: np.ndarray) -> float:
    kept = probabilities[probabilities > 0]
    return float(-(kept * np.log2(kept)).sum())


def test_unigram_of_an_independent_source_is_its_entropy() -> None:
    train, test = independent(100_000, 0), independent(50_000, 1)
    assert unigram_bits(train, test) == pytest.approx(entropy(PROBABILITIES), abs=0.015)
    assert bigram_bits(train, test) == pytest.approx(entropy(PROBABILITIES), abs=0.015)


def test_bigram_of_a_markov_source_is_its_entropy_rate() -> None:
    train, test = markov(30_000, 0), markov(30_000, 1)
    values, vectors = np.linalg.eig(TRANSITIONS.T)
    stationary = np.real(vectors[:, np.argmax(np.real(values))])
    stationary = stationary / stationary.sum()
    rate = sum(share * entropy(row) for share, row in zip(stationary, TRANSITIONS, strict=True))
    assert bigram_bits(train, test) == pytest.approx(rate, abs=0.02)
    assert unigram_bits(train, test) == pytest.approx(entropy(stationary), abs=0.02)


def test_separators_are_neither_scored_nor_given_probability() -> None:
    train, test = independent(20_000, 0), independent(5_000, 1)
    cut = np.insert(test, np.arange(0, 5_000, 10), 0)
    assert unigram_bits(np.append(train, np.zeros(30_000, int)), cut) == pytest.approx(unigram_bits(train, test))


def test_a_document_start_is_scored_given_the_separator() -> None:
    documents = np.tile([1, 2, 0], 2_000)
    assert bigram_bits(documents, documents) < 0.01
    assert unigram_bits(documents, documents) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("bits", [unigram_bits, bigram_bits])
def test_unseen_tokens_cost_finite_bits_and_probabilities_sum_to_one(bits) -> None:
    train = np.array([1, 2, 1, 1, 0, 3, 1], dtype=np.uint8)
    assert np.isfinite(bits(train, np.array([200, 1, 201], dtype=np.uint8)))
    first_token = [2.0 ** -bits(train, np.array([token])) for token in range(1, 8)]
    assert sum(2.0 ** -bits(train, np.array([token]), dataclasses.replace(BYTES, size=8)) for token in range(1, 8)) == pytest.approx(1.0)
    assert sum(first_token) < 1.0


@pytest.mark.parametrize("bits", [unigram_bits, bigram_bits])
def test_bad_streams_are_refused(bits) -> None:
    with pytest.raises(ValueError, match="no token"):
        bits(np.array([1, 2]), np.array([0, 0]))
    with pytest.raises(ValueError, match="outside"):
        bits(np.array([1, 300]), np.array([1]))


def dense(train: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """Returns unigram and bigram bits of bytes from a table of all pairs, as they were computed before there were other tokens."""
    counts = np.bincount(train[train > 0], minlength=256)
    kinds = (counts > 0).sum()
    unigram = (counts + kinds * (np.arange(256) > 0) / 255) / (counts.sum() + kinds)
    table = np.zeros((256, 256))
    np.add.at(table, (np.append(0, train[:-1]), train), 1.0)
    table[:, 0] = 0
    kinds = (table > 0).sum(axis=1)
    weight = np.maximum(table.sum(axis=1) + kinds, 1.0)
    backoff = np.where(kinds > 0, kinds / weight, 1.0)
    before, after = np.append(0, test[:-1])[test > 0], test[test > 0]
    bigram = table[before, after] / weight[before] + backoff[before] * unigram[after]
    return -np.log2(unigram[after]).mean(), -np.log2(bigram).mean()


def test_bytes_read_what_a_table_of_all_pairs_reads() -> None:
    draw = np.random.default_rng(3)
    train, test = (np.minimum(draw.geometric(0.02, size), 255) * (draw.random(size) > 0.01) for size in (20_000, 5_000))
    test = np.append(test, [254, 253, 255, 254])  # contexts that were not seen
    unigram, bigram = dense(train, test)
    assert unigram_bits(train, test) == pytest.approx(unigram, rel=1e-12)
    assert bigram_bits(train, test) == pytest.approx(bigram, rel=1e-12)
    assert unigram_bits(train, test, BYTES, (test > 0).astype(float)) == unigram_bits(train, test)


@pytest.mark.parametrize("bits", [unigram_bits, bigram_bits])
def test_of_150_000_tokens_id_0_is_one_and_what_has_no_text_gets_no_probability(bits) -> None:
    lengths = np.array([1, 4, 0, 2] + [3] * 149_996 + [0], np.int32)
    words = dataclasses.replace(BYTES, size=150_000, separator=2, mark=150_000, dtype=np.dtype(np.int32), lengths=lengths)
    train = np.array([0, 1, 150_000, 0, 3, 1])
    one, other = (bits(train, np.array([token]), words) for token in (0, 5))
    assert one < 3 < other < np.inf
    shares = [2.0 ** -bits(train, np.array([token]), words) for token in (0, 1, 3, 4)]
    assert sum(shares) + shares[-1] * (149_999 - 4) == pytest.approx(1.0)  # all but the special alike are never seen
    stream = np.array([0, 1, 150_000, 3])
    assert bits(train, stream, words, np.array([1.0, 4, 0, 2])) == pytest.approx(bits(train, stream, words) * 3 / 7)
