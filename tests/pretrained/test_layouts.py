"""Every layout goes back as it came, and lies where its formula in words says."""

import numpy as np
import pytest

from research.pretrained.layouts import KINDS, STORAGES, Layout, join

N, HS, D = 3, 4, 5
LEAVES = {"same": (6,), "linear": (D, 6), "heads_out": (D, N, HS), "heads_in": (N, HS, 6), "heads_bias": (N, HS)}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_saving_is_the_inverse_of_loading(kind: str, storage: str) -> None:
    shape = LEAVES[kind]
    layouts = [Layout(kind, storage, part, N) for part in range(STORAGES[storage].parts)]
    rng = np.random.default_rng(0)
    leaves = [rng.standard_normal(shape) for _ in layouts]
    theirs = join(layouts[::-1], leaves[::-1])
    assert theirs.shape == layouts[0].tensor_shape(shape)
    for layout, leaf in zip(layouts, leaves, strict=True):
        np.testing.assert_array_equal(layout.load(theirs, shape), leaf)


def test_heads_leave_a_matrix_of_outputs_by_inputs() -> None:
    w = np.arange(N * HS * D).reshape(N * HS, D)  # rows: head, then its entries
    leaf = Layout("heads_out").load(w, (D, N, HS))
    assert leaf[2, 1, 3] == w[1 * HS + 3, 2]
    into = Layout("heads_in").load(w.reshape(D, N * HS), (N, HS, D))
    assert into[1, 3, 2] == w.reshape(D, N * HS)[2, 1 * HS + 3]


def test_fused_tensors_hold_three_maps_in_turn_or_by_head() -> None:
    rows = np.arange(3 * N * HS)[:, None] * np.ones((1, D), int)  # each row its own number
    value = Layout("heads_out", "fused", 2, N).load(rows, (D, N, HS))
    np.testing.assert_array_equal(value[0], 2 * N * HS + np.arange(N * HS).reshape(N, HS))
    by_head = Layout("heads_out", "fused_by_head", 2, N).load(rows, (D, N, HS))
    np.testing.assert_array_equal(by_head[0], [[head * 3 * HS + 2 * HS + entry for entry in range(HS)] for head in range(N)])
    columns = Layout("heads_out", "fused_conv", 1, N).load(rows.T, (D, N, HS))
    np.testing.assert_array_equal(columns[0], N * HS + np.arange(N * HS).reshape(N, HS))


def test_neighbors_become_halves() -> None:
    rows = np.arange(N * 8)[:, None] * np.ones((1, D), int)
    query = Layout("heads_out", "permuted", 0, N).load(rows, (D, N, 8))
    np.testing.assert_array_equal(query[0, 1], 8 + np.array([0, 2, 4, 6, 1, 3, 5, 7]))  # at a head size of 4 it would be its own inverse
