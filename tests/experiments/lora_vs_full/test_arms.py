"""Words of arms, and labels that teach nothing."""

from typing import Any

import jax
import numpy as np
import pytest

from experiments.lora_vs_full.arms import ARMS, Recipe, parse, shuffled
from research.data.batches import batch
from research.data.vocabulary import BYTES
from research.errors import UsageError

WORDS = {"full": Recipe("full"), "lora@8": Recipe("lora", rank=8), "slow@0.1": Recipe("full", slowed=("full", 0.1))}
WORDS |= {"slowlora@0.3": Recipe("lora", 16, ("lora@16", 0.3))}
LENGTH = 12
# Windows (4, 13) of which no two share a token; of each, one token is the end of a document, which weighs nothing: at another place.
ROWS = (1 + 40 * np.arange(4)[:, None] + np.arange(LENGTH + 1)).astype(np.uint8)
ROWS[np.arange(4), [3, 7, 1, 9]] = 0


def labels(rows: np.ndarray = ROWS) -> tuple[dict[str, Any], dict[str, Any]]:
    def to_batch(some: Any) -> dict[str, Any]:
        return {**batch(some, BYTES), "further": some[:, 0]}

    return to_batch(rows), dict(shuffled(to_batch)(rows))


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_an_arm(word: str) -> None:
    assert parse(word).recipe == WORDS[word] and parse(word).word == word
    assert {known.split("@")[0] for known in WORDS} == set(ARMS)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("full@1", "full takes nothing behind it"),
        ("lora", "a rank, such as lora@8"),
        ("lora@0.5", "a rank, such as lora@8"),
        ("slow@1", "a factor between 0 and 1 on full's learning rate, such as slow@0.1"),
        ("slowlora@1", "a factor between 0 and 1 on lora@16's learning rate, such as slowlora@0.3"),
        ("slowlora", "a factor between 0 and 1 on lora@16's learning rate, such as slowlora@0.3"),
        ("shuffled", "choose among full, lora, slow, slowlora"),
    ],
)
def test_what_is_no_arm_is_said_in_one_line(word: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(word)
    assert str(refused.value).startswith(f"arms has {word!r}: {said}") and "\n" not in str(refused.value)


def test_shuffled_labels_are_those_of_the_example_before_and_keep_how_often_each_occurs() -> None:
    """As pairs of a token and its weight: an example has its neighbor's, all of them, each as often, and none of its own."""
    before, after = labels()
    for i in range(len(ROWS)):
        own, neighbor, found = (
            sorted(zip(np.ravel(some["targets"][at]).tolist(), np.ravel(some["weights"][at]).tolist(), strict=True))
            for some, at in ((before, i), (before, i - 1), (after, i))
        )
        assert found == neighbor
        assert not {token for token, weight in found if weight} & {token for token, weight in own if weight}
    assert sorted(np.ravel(after["targets"])) == sorted(np.ravel(before["targets"]))
    assert (np.asarray(before["weights"]) == 0).sum() == (np.asarray(after["weights"]) == 0).sum() == 4


def test_shuffled_labels_lie_at_other_places_and_weights_with_them() -> None:
    before, after = labels()
    zero = np.asarray(after["targets"]) == 0
    np.testing.assert_array_equal(np.asarray(after["weights"]) == 0, zero)
    rolled = np.roll(before["targets"], 1, axis=0)
    moved = np.asarray(after["targets"]) != rolled
    assert moved.mean() > 0.5  # places are drawn: an example's labels are no text any more
    places = [list(rolled[i]).index(token) for i in range(4) for token in np.asarray(after["targets"])[i]]
    assert len(set(map(tuple, np.reshape(places, (4, LENGTH))))) == 1  # one order for all, drawn once


def test_inputs_stay_and_labels_are_the_same_under_jit_and_in_another_call() -> None:
    before, after = labels()
    for name in ("inputs", "further"):
        np.testing.assert_array_equal(after[name], before[name])
    again = jax.jit(shuffled(lambda some: batch(some, BYTES)))(ROWS)
    np.testing.assert_array_equal(again["targets"], after["targets"])
    np.testing.assert_array_equal(again["weights"], after["weights"])
