"""Words with a strength: one way of writing each, what a table makes of them, and what is said of those that are none."""

from collections.abc import Callable

import pytest

from research.cells import words
from research.errors import UsageError

TABLE: dict[str, Callable[[float | None], object]] = {
    "full": lambda strength: words.nothing(strength, "full"),
    "rank": lambda strength: words.count(strength, "a rank, such as rank@8"),
    "pull": lambda strength: words.positive(strength, "pull@0.01"),
    "slow": lambda strength: words.share(strength, "a factor between 0 and 1"),
    "mix": lambda strength: words.share(strength, "a percentage", whole=100.0),
}


@pytest.mark.parametrize(
    ("word", "parsed"),
    [
        ("full", ("full", "full", None, None)),
        ("rank@8", ("rank@8", "rank", 8.0, 8)),
        ("rank@8.0", ("rank@8", "rank", 8.0, 8)),
        ("pull@1e-3", ("pull@0.001", "pull", 0.001, 0.001)),
        ("slow@0.50", ("slow@0.5", "slow", 0.5, 0.5)),
        ("mix@99", ("mix@99", "mix", 99.0, 99.0)),
    ],
)
def test_a_word_is_taken_apart_and_written_in_one_way(word: str, parsed: tuple) -> None:
    found = words.parse("arms", word, TABLE)
    assert tuple(found) == parsed and type(found.recipe) is type(parsed[3])
    assert words.parse("arms", found.word, TABLE) == found


@pytest.mark.parametrize(
    ("said", "those"),
    [
        (
            "choose among full, rank, pull, slow, mix, with @ and a strength where one is taken",
            ["", "@8", "Full", "other@1", " rank@8"],
        ),
        ("full takes nothing behind it", ["full@1", "full@0"]),
        ("a rank, such as rank@8", ["rank", "rank@0", "rank@1.5", "rank@-4", "rank@inf", "rank@1e999", "rank@nan"]),
        ("a strength above 0, such as pull@0.01", ["pull", "pull@0", "pull@-1", "pull@inf", "pull@nan"]),
        ("a factor between 0 and 1", ["slow", "slow@0", "slow@1", "slow@-0.1", "slow@nan", "slow@inf"]),
        ("a percentage", ["mix@100", "mix@0"]),
        ("what stands behind the @ is a number", ["rank@eight", "rank@", "full@", "rank@1@2", "mix@5%"]),
    ],
)
def test_what_is_no_word_is_said_in_one_line_with_its_key(said: str, those: list[str]) -> None:
    for word in those:
        with pytest.raises(UsageError) as refused:
            words.parse("arms", word, TABLE)
        assert str(refused.value) == f"arms has {word!r}: {said}"
