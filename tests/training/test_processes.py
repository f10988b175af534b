"""What leads to one answer for all processes; two real ones stand in tests/test_processes.py."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import multihost_utils

from research.errors import UsageError
from research.training import processes
from research.training.mesh import MeshSpec, P, make_mesh, shardings


@pytest.mark.parametrize("length", [0, 1, 1000, 1024, 1025, 3000, 3072])
def test_a_message_travels_in_pieces_of_few_sizes(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: set[int] = set()

    def broadcast(array: np.ndarray) -> np.ndarray:
        sizes.add(array.size)
        return array

    monkeypatch.setattr(multihost_utils, "broadcast_one_to_all", broadcast)
    monkeypatch.setattr(processes, "_PIECE", 2**11)
    message = np.random.default_rng(0).bytes(length)
    assert processes._from_leader(message) == message
    assert sizes <= {2, 2**10, 2**11}


def fail() -> Any:
    raise UsageError("the disk is full")


def test_the_leader_answers_for_a_follower_and_fails_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower does no work of its own and gets what the leader sent, be it an answer or a mistake."""
    sent: list[bytes] = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(processes, "_from_leader", lambda message: sent.append(message) or sent[0])
    answer = {"step": 3, "leaves": [np.arange(3)]}
    for index, work in ((0, lambda: answer), (1, lambda: pytest.fail("a follower worked"))):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        np.testing.assert_equal(processes.by_leader(work), answer)
    sent.clear()
    for index, work in ((0, fail), (1, lambda: pytest.fail("a follower worked"))):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        with pytest.raises(UsageError, match="the disk is full"):
            processes.by_leader(work)


def test_arrays_come_back_from_where_they_were_placed() -> None:
    mesh = make_mesh(MeshSpec(member=2, data=2))
    host = {"a": np.arange(8, dtype=np.float32).reshape(4, 2), "b": (np.ones(4, jnp.bfloat16), None)}
    placed = processes.place(host, shardings(mesh, P("member")))
    assert {leaf.sharding.spec for leaf in jax.tree.leaves(placed)} == {P("member")}
    back = processes.fetch(placed)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(back))
    jax.tree.map(np.testing.assert_array_equal, back, host)
