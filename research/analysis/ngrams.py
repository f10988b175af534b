"""Unigram and bigram cross entropy of a vocabulary, and the most frequent class: what a target costs without a network."""

import numpy as np

from research.data.vocabulary import BYTES, Vocabulary


def unigram_bits(
    train_stream: np.ndarray, test_stream: np.ndarray, vocabulary: Vocabulary = BYTES, test_bytes: np.ndarray | None = None
) -> float:
    """Returns the cross entropy of the test tokens under interpolated frequencies of the training tokens, in bits/token or bits/byte.

    p(b) = (c(b) + t / V) / (n + t) with t the number of distinct tokens among n (Witten and Bell 1991, method C), V those of the vocabulary
    that stand for text. Streams are 1-D; their marks are not scored. test_bytes: of text, of each test token, for bits/byte.
    Raises ValueError for an empty test stream and for numbers that are neither tokens nor the mark.
    """
    train, test = _checked(train_stream, vocabulary), _checked(test_stream, vocabulary)
    return _bits(_unigram(train, vocabulary)[test[test != vocabulary.mark]], test_bytes)


def bigram_bits(
    train_stream: np.ndarray, test_stream: np.ndarray, vocabulary: Vocabulary = BYTES, test_bytes: np.ndarray | None = None
) -> float:
    """Returns the cross entropy of the test tokens given the token before, under interpolated frequencies of training; as `unigram_bits`.

    p(b | a) = (c(a, b) + t(a) p(b)) / (c(a) + t(a)) with t(a) the number of distinct tokens seen after a (Witten and Bell 1991) and p(b)
    the unigram; a context never seen gives p(b). The mark is a context, so a document's first token is scored given it, as is the first
    token of a stream. Only pairs that occur are counted: a table of all would have billions for a vocabulary of today.
    """
    train, test = _checked(train_stream, vocabulary), _checked(test_stream, vocabulary)
    unigram, size = _unigram(train, vocabulary), vocabulary.size + 1
    seen, count = np.unique(_pairs(train, vocabulary), return_counts=True)
    kinds_a = np.bincount(seen // size, minlength=size)
    weight_a = np.maximum(np.bincount(seen // size, count, size) + kinds_a, 1.0)
    backoff_a = np.where(kinds_a > 0, kinds_a / weight_a, 1.0)
    pairs = _pairs(test, vocabulary)
    before, after = pairs // size, pairs % size
    return _bits(_counted(pairs, seen, count) / weight_a[before] + backoff_a[before] * unigram[after], test_bytes)


def majority_share(train: np.ndarray, test: np.ndarray) -> float:
    """Returns the share of test labels, whole numbers in one long row, that are the most frequent one of training: chance's accuracy."""
    return float((test == np.bincount(train).argmax()).mean())


def _checked(stream: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    tokens = np.asarray(stream).astype(np.int64).ravel()
    most = max(vocabulary.size - 1, vocabulary.mark)
    if tokens.size and not 0 <= tokens.min() <= tokens.max() <= most:
        raise ValueError(f"tokens {tokens.min()} .. {tokens.max()} lie outside 0 .. {most}")
    return tokens


def _unigram(train: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    counts = np.bincount(train[train != vocabulary.mark], minlength=vocabulary.size)
    uniform = (vocabulary.lengths[: vocabulary.size] > 0).astype(float)
    kinds = max(int((counts > 0).sum()), 1)
    frequencies: np.ndarray = (counts + kinds * uniform / uniform.sum()) / (counts.sum() + kinds)
    return frequencies


def _pairs(tokens: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Each scored token with the one before it, as one number."""
    before = np.append(vocabulary.mark, tokens[:-1])[: len(tokens)]
    return (before * (vocabulary.size + 1) + tokens)[tokens != vocabulary.mark]


def _counted(pairs: np.ndarray, seen: np.ndarray, count: np.ndarray) -> np.ndarray:
    """How often each pair was seen, by what was seen in order."""
    if not seen.size:
        return np.zeros(len(pairs))
    place = np.minimum(np.searchsorted(seen, pairs), len(seen) - 1)
    return np.where(seen[place] == pairs, count[place], 0).astype(float)


def _bits(probabilities: np.ndarray, test_bytes: np.ndarray | None) -> float:
    if probabilities.size == 0:
        raise ValueError("no token to score in the test stream")
    return float(-np.log2(probabilities).sum() / (len(probabilities) if test_bytes is None else test_bytes.sum()))
