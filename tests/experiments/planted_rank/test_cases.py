"""The axes of a sweep over planted updates, and what cannot be."""

import dataclasses

import pytest

from configs.planted_rank import get_config
from experiments.planted_rank.cases import Case, PlantedSweep, case_of
from research.errors import UsageError

CONFIG = get_config("smoke").to_dict()
SWEEP = PlantedSweep.of(CONFIG)


def changed(**changes: object) -> PlantedSweep:
    return dataclasses.replace(SWEEP, **changes)


def test_every_teacher_has_students_of_every_rank_and_decoys_stand_beside() -> None:
    cases = SWEEP.cases()
    assert [case for case in cases if case.decoy == "none"] == [Case("none", "flat", 1), Case("none", "flat", 2)]
    assert {case.decoy for case in cases} == {"none", "zero", "full_rank", "out_of_reach"}
    results = SWEEP.results()
    assert {(case_of(c), c["rank"], c["seed"]) for c in results} == {(c, r, s) for c in cases for r in (1, 2, 3, 4) for s in (0, 1)}
    assert len(SWEEP.places()) == len(cases) * (SWEEP.seeds + SWEEP.selection_seeds)


def test_a_plant_of_the_matrices_size_is_measured_to_the_end() -> None:
    whole = changed(planted_ranks=(48,))
    assert whole.sizes() == (48, 48)
    assert "full_rank" not in {case.decoy for case in whole.cases()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"planted_ranks": (0, 1)}, "at least 1 each"),
        ({"planted_ranks": ()}, "planted_ranks"),
        ({"spectra": ("steep",)}, "flat, decaying"),
        ({"decoys": ("none",)}, "zero, full_rank"),
        ({"rates": (1e-2, 3e-2)}, "at least 3"),
        ({"strength": 0.0}, "strength"),
        ({"adapter": {**SWEEP.adapter, "dropout": 0.1}}, "exact outputs"),
        ({"seeds": 0}, "seeds"),
        ({"init": "pretraned"}, "pretrained"),
    ],
)
def test_axes_that_cannot_be_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        changed(**changes)


def test_what_does_not_fit_the_model_is_refused() -> None:
    with pytest.raises(UsageError, match="above min"):
        changed(planted_ranks=(49,)).sizes()
    with pytest.raises(UsageError, match="must lie elsewhere"):
        changed(out_of_reach=("mlp/",)).sites("out_of_reach")
    with pytest.raises(UsageError, match="matches nothing"):
        changed(out_of_reach=("nowhere",)).sites("out_of_reach")
