"""How many bits labels cost who has the features: minimum description length by an online code.

Voita & Titov 2020 (arXiv 2003.12298, section 2.3): examples are sent block by block. The first block's labels cost log2 K each; those of
each further block cost what a probe says that was trained on all blocks before. Blocks are training parts of the probes, by weights
(`research.analysis.probes`), and the validation part that chooses their ridge is known to both sides and is not sent.
"""

import numpy as np

from research.errors import UsageError

FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)  # of the examples, where a block ends
EACH = 2  # examples of each class, on average, that the first block holds


def ranks(part: np.ndarray, documents: np.ndarray, seed: int) -> np.ndarray:
    """Returns the place (n,) of every example in the order of sending, -1 outside of `part` (n,).

    Documents (n,) of integers are shuffled and stay whole: labels of one document resemble each other, and who has seen half of it is
    told the other half for less. Places follow from Philox's raw words, which NumPy keeps from version to version.
    """
    part = np.asarray(part) > 0
    names, index = np.unique(np.asarray(documents)[part], return_inverse=True)
    words = np.random.Philox(key=np.array([seed, 5], np.uint64)).random_raw(len(names))
    found = np.full(part.shape, -1)
    found[np.flatnonzero(part)[np.argsort(words[index], kind="stable")]] = np.arange(part.sum())
    return found


def block_ends(examples: int, classes: int) -> tuple[int, ...]:
    """Returns the numbers of examples after which blocks end: the published fractions, from the first that holds EACH of each class.

    So a few thousand examples begin with the fourth fraction or a later one: a probe of less than that says little that log2 K does not.
    Raises UsageError where that leaves one block.
    """
    ends = sorted({round(fraction * examples) for fraction in FRACTIONS})
    kept = tuple(end for end in ends if end >= EACH * classes)
    if len(kept) < 2:
        raise UsageError(f"{examples} examples of {classes} classes make no two blocks of an online code; give it more text")
    return kept


def trained_on(places: np.ndarray, ends: tuple[int, ...]) -> np.ndarray:
    """Returns the training parts (blocks - 1, n) of the probes: all that was sent when each block but the first begins."""
    return np.stack([(places >= 0) & (places < end) for end in ends[:-1]]).astype(np.float32)


def online_bits(bits: np.ndarray, places: np.ndarray, ends: tuple[int, ...], classes: int) -> np.ndarray:
    """Returns what each example's label costs in the online code, (..., n), 0 outside of it; sums over documents can be jackknifed.

    bits: (..., blocks - 1, n), -log2 p of every label by the probe of each training part. A place of -1, which an example without a label
    needs as well, is not sent.
    """
    block = np.searchsorted(ends, places, side="right")
    sent = (places >= 0) & (block < len(ends))
    later = bits[..., np.clip(block - 1, 0, len(ends) - 2), np.arange(len(places))]
    return np.where(sent, np.where(block == 0, np.log2(classes), later), 0.0)
