"""Unigram and bigram cross entropy, and the most frequent class: what a target costs without a network."""

import numpy as np


def unigram_bits(train_stream: np.ndarray, test_stream: np.ndarray, separator: int | None = 0, vocab_size: int = 256) -> float:
    """Returns the cross entropy, bits/token, of the test tokens under interpolated frequencies of the training tokens.

    p(b) = (c(b) + t / V) / (n + t) with t the number of distinct tokens among n (Witten and Bell 1991, method C), V those that can occur.
    Streams are 1-D; `separator` (None: there is none) stands between documents, is not scored, and takes no probability.
    Raises ValueError for an empty test stream and for tokens outside 0 .. vocab_size - 1.
    """
    train, test = _checked(train_stream, vocab_size), _checked(test_stream, vocab_size)
    scored = test[_is_scored(test, separator)]
    return _bits(_unigram(train, separator, vocab_size)[scored])


def bigram_bits(train_stream: np.ndarray, test_stream: np.ndarray, separator: int | None = 0, vocab_size: int = 256) -> float:
    """Returns the cross entropy, bits/token, of the test tokens given the token before, under interpolated frequencies of training.

    p(b | a) = (c(a, b) + t(a) p(b)) / (c(a) + t(a)) with t(a) the number of distinct tokens seen after a (Witten and Bell 1991) and p(b)
    the unigram; a context never seen gives p(b). The separator is a context, so a document's first token is scored given it; the
    first token of a stream is scored as if a separator stood before it, or by p(b) where there is none. Raises as `unigram_bits` does.
    """
    train, test = _checked(train_stream, vocab_size), _checked(test_stream, vocab_size)
    unigram = _unigram(train, separator, vocab_size)
    counts_ab = np.zeros((vocab_size, vocab_size))
    before, after = _pairs(train, separator)
    np.add.at(counts_ab, (before, after), 1.0)
    kinds_a = (counts_ab > 0).sum(axis=1)
    weight_a = np.maximum(counts_ab.sum(axis=1) + kinds_a, 1.0)
    backoff_a = np.where(kinds_a > 0, kinds_a / weight_a, 1.0)
    before, after = _pairs(test, separator)
    probabilities = counts_ab[before, after] / weight_a[before] + backoff_a[before] * unigram[after]
    if separator is None:
        probabilities = np.append(unigram[test[:1]], probabilities)
    return _bits(probabilities)


def majority_share(train: np.ndarray, test: np.ndarray) -> float:
    """Returns the share of test labels, whole numbers in one long row, that are the most frequent one of training: chance's accuracy."""
    return float((test == np.bincount(train).argmax()).mean())


def _checked(stream: np.ndarray, vocab_size: int) -> np.ndarray:
    tokens = np.asarray(stream).astype(np.int64).ravel()
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < vocab_size:
        raise ValueError(f"tokens {tokens.min()} .. {tokens.max()} lie outside 0 .. {vocab_size - 1}")
    return tokens


def _is_scored(tokens: np.ndarray, separator: int | None) -> np.ndarray:
    return np.ones(tokens.shape, bool) if separator is None else tokens != separator


def _unigram(train: np.ndarray, separator: int | None, vocab_size: int) -> np.ndarray:
    counts = np.bincount(train[_is_scored(train, separator)], minlength=vocab_size)
    uniform = _is_scored(np.arange(vocab_size), separator).astype(float)
    kinds = max(int((counts > 0).sum()), 1)
    return (counts + kinds * uniform / uniform.sum()) / (counts.sum() + kinds)


def _pairs(tokens: np.ndarray, separator: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(token before, token) of every scored token that has one before it."""
    if separator is not None:
        tokens = np.append(separator, tokens)
    keep = _is_scored(tokens[1:], separator)
    return tokens[:-1][keep], tokens[1:][keep]


def _bits(probabilities: np.ndarray) -> float:
    if probabilities.size == 0:
        raise ValueError("no token to score in the test stream")
    return float(-np.log2(probabilities).mean())
