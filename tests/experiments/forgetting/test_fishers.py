"""Diagonals of the bases: each of its own base and labels."""

import jax
import numpy as np
import pytest

from experiments.forgetting.fishers import Diagonals, diagonals, places, spaced, with_fishers
from research import tree
from research.analysis.fisher import fisher_diagonal
from research.cells.bases import Bases
from research.cells.pretraining import example_batch
from research.cells.study import Study, model_of
from research.models.model import Variables
from tests.experiments.forgetting.test_axes import config

PLAIN = config(model__d_model=8, model__d_mlp=16, model__max_length=8, methods=("full", "ewc@1", "empirical@1"))
STUDY = Study.of(PLAIN)
ROWS = np.random.default_rng(0).integers(1, 255, (12, 9)).astype(np.uint8)
SEQUENCES = 4


def base(seed: int) -> Variables:
    """Returns weights of the tiny decoder, drawn anew by seed."""
    return jax.device_get(model_of(STUDY).init(jax.random.key(seed), example_batch())["params"])


@pytest.fixture(scope="module")
def of() -> Diagonals:
    return diagonals(STUDY, SEQUENCES)


def same(one: Variables, other: Variables) -> bool:
    pairs = zip(tree.flatten(one).values(), tree.flatten(other).values(), strict=True)
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-9) for a, b in pairs)


def test_windows_are_taken_from_the_first_to_the_last() -> None:
    assert spaced(np.arange(12), 4).tolist() == [0, 4, 7, 11] and spaced(np.arange(3), 4).tolist() == [0, 1, 2]


def test_behind_the_bases_stand_the_diagonals_of_each_of_its_own_labels(of: Diagonals) -> None:
    starts, at = [base(0), base(1)], places(["data", "model"], 2)
    stack = with_fishers(Bases(starts.__getitem__, 2, together=True), at, of, ROWS)
    assert stack.at_once == 6 and all(same(stack.params(place), starts[place]) for place in (0, 1))
    for (labels, place), there in at.items():
        wanted = fisher_diagonal(model_of(STUDY), starts[place], ROWS[[0, 4, 7, 11]], STUDY.to_batch, jax.random.key(14), labels)
        assert same(stack.params(there), wanted)
        assert not any(same(stack.params(there), stack.params(other)) for key, other in at.items() if key != (labels, place))
