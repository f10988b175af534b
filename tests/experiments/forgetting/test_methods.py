"""Words of methods: what each makes of a member, and what is said of those that are none."""

import pytest

from experiments.forgetting.methods import METHODS, Recipe, parse
from research.errors import UsageError

WORDS = {
    "full": (None, Recipe("full", "full")),
    "lora@8": (8.0, Recipe("lora", "lora", rank=8)),
    "top@2": (2.0, Recipe("top@2", "top", layers=2)),
    "top@1.0": (1.0, Recipe("top@1", "top", layers=1)),  # of one program with top@1
    "l2sp@0.01": (0.01, Recipe("pulled", "full", strength=0.01)),
    "ewc@1e3": (1000.0, Recipe("weighted", "full", strength=1000.0, labels="model")),
    "empirical@1": (1.0, Recipe("weighted", "full", strength=1.0, labels="data")),
    "replay@5": (5.0, Recipe("full", "full", replayed=0.05)),
    "slow@0.3": (0.3, Recipe("full", "full", slowed=("full", 0.3))),
    "slowlora@0.1": (0.1, Recipe("lora", "lora", rank=16, slowed=("lora@16", 0.1))),
    "joint": (None, Recipe("full", "full", slowed=("full", 1.0))),
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_a_method_at_a_strength(word: str) -> None:
    strength, recipe = WORDS[word]
    assert parse(word)[1:] == (word.split("@")[0], strength, recipe)
    assert parse(parse(word).word) == parse(word)
    assert parse("lora@8.0").word == "lora@8" and parse("l2sp@1e-3").word == "l2sp@0.001"


def test_each_method_is_tried_here() -> None:
    assert {word.split("@")[0] for word in WORDS} == set(METHODS)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "choose among full, lora, top, l2sp, ewc, empirical, replay, slow, slowlora, joint",
            ["wise@0.5", "Full", "", "@3", " lora@3", "lora:3"],
        ),
        ("full takes nothing behind it", ["full@1", "full@0"]),
        ("joint takes nothing behind it", ["joint@1"]),
        ("a rank, such as lora@8", ["lora", "lora@0", "lora@1.5", "lora@-4"]),
        ("a number of layers, such as top@1", ["top", "top@0", "top@0.5"]),
        ("a strength above 0, such as l2sp@0.01", ["l2sp", "l2sp@0", "l2sp@-1", "l2sp@inf", "l2sp@nan"]),
        ("a strength above 0, such as empirical@1", ["empirical", "empirical@0"]),
        ("a strength above 0, such as ewc@1", ["ewc", "ewc@0", "ewc@-0.1", "ewc@inf"]),
        ("a percentage between 0 and 100, such as replay@5", ["replay", "replay@0", "replay@100", "replay@-5", "replay@nan"]),
        ("a factor between 0 and 1 on full's learning rate, such as slow@0.3", ["slow", "slow@0", "slow@1", "slow@3"]),
        ("a factor between 0 and 1 on lora@16's learning rate, such as slowlora@0.3", ["slowlora", "slowlora@1"]),
        ("what stands behind the @ is a number", ["lora@eight", "lora@", "full@", "ewc@1@2", "replay@5%"]),
    ],
)
def test_what_is_no_method_is_said_in_one_line(said: str, words: list[str]) -> None:
    for word in words:
        with pytest.raises(UsageError) as refused:
            parse(word)
        line = str(refused.value)
        assert line.startswith(f"methods has {word!r}: {said}") and "\n" not in line


@pytest.mark.parametrize("word", ["lora@inf", "top@inf", "lora@1e999"])
def test_a_count_without_end_is_none(word: str) -> None:
    with pytest.raises(UsageError, match="such as"):
        parse(word)
