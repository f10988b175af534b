"""A plan of populations once written stays, whatever is asked of it later, unless its populations no longer fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from research.runtime.workdir import Workdir

CONFIG: dict[str, Any] = {"seeds": 3}
CELLS = [("a", "small"), ("b", "large"), ("c", "small"), ("d", "small"), ("e", "large")]


def size_of(shape: str) -> int:
    return {"small": 2, "large": 8}[shape]


def assigned(path: Path, cells: list[tuple[str, str]], size: Callable[[str], int] = size_of) -> list[tuple[str, tuple[str, ...]]]:
    with Workdir(path, CONFIG) as workdir:
        return [(population.shape_key, population.cells) for population in workdir.assign(cells, size)]


def test_cells_are_cut_by_shape_in_their_order_and_stay(tmp_path: Path) -> None:
    first = assigned(tmp_path, CELLS)
    assert first == [("small", ("a", "c")), ("small", ("d",)), ("large", ("b", "e"))]
    assert assigned(tmp_path, CELLS[::-1], lambda _: 1) == first
    more = [("x", "small"), *CELLS, ("y", "large")]
    assert assigned(tmp_path, more) == [*first, ("small", ("x",)), ("large", ("y",))]
    assert assigned(tmp_path, [("c", "small")]) == first[:1]


def test_identities_of_populations_are_stable(tmp_path: Path) -> None:
    with Workdir(tmp_path / "one", CONFIG) as one, Workdir(tmp_path / "two", CONFIG) as two:
        ids = [population.id for population in one.assign(CELLS, size_of)]
        assert ids == [population.id for population in two.assign(CELLS, size_of)]
        assert len(set(ids)) == 3
        assert one.state_dir(ids[0]) == tmp_path / "one" / "state" / ids[0]


def test_with_fewer_members_only_what_is_not_finished_is_cut_anew(tmp_path: Path) -> None:
    def cut(size: int, finished: set[str]) -> list[tuple[str, ...]]:
        with Workdir(tmp_path, CONFIG) as workdir:
            return [population.cells for population in workdir.assign([(cell, "s") for cell in "abcdef"], lambda _: size, finished)]

    assert cut(3, set()) == [("a", "b", "c"), ("d", "e", "f")]
    assert cut(2, {*"abc"}) == [("a", "b", "c"), ("d", "e"), ("f",)]
    path = tmp_path / "populations.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert cut(3, {*"abc"}) == [("a", "b", "c"), ("d", "e"), ("f",)]  # torn, then completed
    assert cut(3, {*"abcde"}) == cut(1, {*"abcdef"}) == [("a", "b", "c"), ("d", "e"), ("f",)]


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_plan_torn_while_written_is_completed_as_it_was(tmp_path: Path, kept: int) -> None:
    first = assigned(tmp_path, CELLS)
    path = tmp_path / "populations.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:kept]) + lines[kept][:9])
    assert assigned(tmp_path, CELLS) == first
    assert path.read_bytes() == b"".join(lines)


def test_a_cell_given_twice_or_no_room_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice"):
        assigned(tmp_path, [("a", "small"), ("a", "small")])
    with pytest.raises(ValueError, match="at least one"):
        assigned(tmp_path, CELLS, lambda _: 0)
