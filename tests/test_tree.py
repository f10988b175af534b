"""Trees by path: taken apart and put together again, and no pattern without a hit."""

import numpy as np
import pytest

from research import tree
from research.errors import UsageError

NESTED = {"params": {"b": {"kernel": 1, "bias": 2}, "a": {"kernel": 3}}, "adapter": {"b": {"A": 4}}}
PATHS = ["adapter/b/A", "params/a/kernel", "params/b/bias", "params/b/kernel"]


def test_flatten_names_leaves_by_path_in_sorted_order() -> None:
    assert list(tree.flatten(NESTED)) == PATHS
    assert tree.flatten(NESTED)["params/b/bias"] == 2
    assert tree.flatten({}) == {}


def test_unflatten_is_the_inverse_of_flatten() -> None:
    assert tree.unflatten(tree.flatten(NESTED)) == NESTED


def test_a_pattern_is_searched_for_anywhere_unless_anchored() -> None:
    assert tree.matching("kernel", PATHS) == ["params/a/kernel", "params/b/kernel"]
    assert tree.matching("^params/b/", PATHS) == ["params/b/bias", "params/b/kernel"]
    assert tree.matching("/A$", PATHS) == ["adapter/b/A"]


@pytest.mark.parametrize("pattern", ["^kernel", "params/c", "Kernel", "b/kernel/"])
def test_a_pattern_without_a_hit_is_an_error_that_names_the_paths(pattern: str) -> None:
    with pytest.raises(UsageError, match="params/a/kernel") as caught:
        tree.matching(pattern, PATHS, "adapter.targets pattern")
    assert "adapter.targets pattern" in str(caught.value) and pattern in str(caught.value)


def test_an_expression_that_does_not_parse_is_a_users_mistake() -> None:
    with pytest.raises(UsageError, match="not a regular expression"):
        tree.matching("(kernel", PATHS)


def test_the_paths_may_be_an_iterator() -> None:
    assert tree.matching("bias", iter(PATHS)) == ["params/b/bias"]
    with pytest.raises(UsageError, match="params/b/bias"):
        tree.matching("nothing", iter(PATHS))


def test_of_two_rules_that_match_the_first_wins() -> None:
    rules = (("b/", "one"), ("kernel$", "two"), ("", "rest"))
    assert [tree.first_match(rules, path) for path in PATHS] == ["one", "two", "one", "one"]
    assert tree.first_match(rules[::-1], "params/b/kernel") == "rest"


def test_a_path_that_no_rule_matches_is_an_error_that_names_both() -> None:
    with pytest.raises(UsageError, match="no sharding rule matches params/a/kernel") as caught:
        tree.first_match((("bias$", 1), ("A$", 2)), "params/a/kernel", "sharding rule")
    assert "bias$, A$" in str(caught.value)


@pytest.mark.parametrize(
    ("patterns", "moving"),
    [
        (("^adapter/",), PATHS[:1]),
        (("^adapter/", "^params/b/"), [PATHS[0], PATHS[2], PATHS[3]]),
        (("b/", "bias$"), [PATHS[0], PATHS[2], PATHS[3]]),
        (("",), PATHS),
    ],
)
def test_partition_moves_exactly_what_matches_and_combine_undoes_it(patterns: tuple[str, ...], moving: list[str]) -> None:
    moves, stays = tree.partition(NESTED, patterns)
    assert list(tree.flatten(moves)) == moving
    assert list(tree.flatten(stays)) == [path for path in PATHS if path not in moving]
    assert tree.combine(moves, stays) == NESTED


def test_no_pattern_moves_nothing_and_is_an_error() -> None:
    with pytest.raises(UsageError, match="no pattern says what may move"):
        tree.partition(NESTED, ())


def test_one_pattern_without_a_hit_is_an_error_though_another_has_one() -> None:
    with pytest.raises(UsageError, match="adaptor"):
        tree.partition(NESTED, ("^params/", "^adaptor/"))


def test_combine_takes_what_moved_and_touches_neither_part() -> None:
    moves, stays = tree.partition(NESTED, ("^adapter/",))
    moved = {"adapter": {"b": {"A": np.full(2, 9.0)}}}
    assert tree.combine(moved, stays)["adapter"]["b"]["A"] is moved["adapter"]["b"]["A"]
    assert tree.flatten(moves) == {"adapter/b/A": 4} and "adapter" not in stays


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("mlp/@0+5-7", ("mlp/", [0, 5, 6, 7])),
        ("mlp/@7+5-7+2", ("mlp/", [2, 5, 6, 7])),
        ("mlp/", ("mlp/", None)),
        ("a@b", ("a@b", None)),
        ("a@1@2-2", ("a@1", [2])),
    ],
)
def test_a_pattern_may_name_layers(pattern: str, expected: tuple[str, list[int] | None]) -> None:
    assert tree.of_layers(pattern) == expected


def test_layers_are_chosen_of_stacked_leaves_by_all_patterns_together() -> None:
    leaves = {f"params/{path}": np.zeros((3, 2)) for path in ("layers/up/kernel", "layers/up/bias", "head/kernel")}
    chosen = tree.layers_chosen(("up/@0", "kernel$", "layers/up/bias@1-1"), leaves)
    assert chosen == {"params/layers/up/bias": [True, True, False]}
    assert set(tree.flatten(tree.partition(tree.unflatten(leaves), ("layers/up/kernel@2",))[0])) == {"params/layers/up/kernel"}
    for pattern, words in (
        ("up/kernel@3", "has layers 0 to 2"),
        ("head@0", "not stacked"),
        ("up@2-1", "there are none"),
        ("q@0", "nothing"),
    ):
        with pytest.raises(UsageError, match=words):
            tree.partition(tree.unflatten(leaves), (pattern,))
