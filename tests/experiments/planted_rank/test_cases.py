"""The axes of a sweep over planted updates, and what cannot be."""

import dataclasses

import numpy as np
import pytest

from configs.planted_rank import get_config
from experiments.planted_rank.cases import Case, PlantedSweep, case_of
from experiments.planted_rank.kronecker import Factors
from research.errors import UsageError

CONFIG = get_config("smoke").to_dict()
SWEEP = PlantedSweep.of(CONFIG)


def changed(**changes: object) -> PlantedSweep:
    return dataclasses.replace(SWEEP, **changes)


def test_every_teacher_has_students_of_every_rank_and_decoys_stand_beside() -> None:
    cases = SWEEP.cases()
    planted = [Case("none", "flat", 1, 1e-4), Case("none", "flat", 2, 1e-4), Case("none", "flat", 2, 1e-2)]
    assert [case for case in cases if case.decoy == "none"] == planted
    assert {(case.decoy, case.strength) for case in cases[3:]} == {(decoy, 1e-4) for decoy in ("zero", "full_rank", "out_of_reach")}
    results = SWEEP.results()
    learned = {(case, rank, "lora") for case in cases for rank in range(1, 4 if case == planted[0] else 5)}
    expected = {(*student, seed) for student in learned | {(case, None, "matched") for case in cases} for seed in (0, 1)}
    assert {(case_of(c), c["rank"], c["trains"], c["seed"]) for c in results} == expected
    assert len(SWEEP.places()) == len(cases) * (SWEEP.seeds + SWEEP.selection_seeds)


def test_a_plant_of_the_matrices_size_is_measured_to_the_end() -> None:
    whole = changed(planted_ranks=(48,))
    assert whole.students(whole.cases()[0]) == range(1, 49)
    assert whole.sizes() == (48, 48)
    assert "full_rank" not in {case.decoy for case in whole.cases()}


def test_a_stronger_plant_is_the_same_one_larger_and_learning_rates_are_chosen_for_each_strength() -> None:
    metric = {site.kernel: Factors(np.eye(site.inputs), np.eye(site.outputs)) for site in SWEEP.sites()}
    weak, strong = (SWEEP.plants(metric, Case("none", "flat", 2, strength), 0) for strength in (1e-4, 1e-2))
    for path, update in weak.items():
        np.testing.assert_allclose(strong[path].matrix(), 10 * update.matrix(), rtol=1e-12)
    arms = {(c["arm"], c["trains"], c["rank"]) for c in SWEEP.selection()}
    assert len(arms) == len(SWEEP.results()) / SWEEP.seeds


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"planted_ranks": (0, 1)}, "at least 1 each"),
        ({"planted_ranks": ()}, "planted_ranks"),
        ({"spectra": ("steep",)}, "flat, decaying"),
        ({"decoys": ("none",)}, "zero, full_rank"),
        ({"strength_ranks": (0,)}, "strength_ranks"),
        ({"lora_rates": (1e-2, 3e-2)}, "rates.lora"),
        ({"matched_rates": (1e-2, 3e-2)}, "rates.matched"),
        ({"strengths": (1e-3, 0.0)}, "strengths"),
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


def test_a_single_component_has_one_spectrum_and_is_planted_once() -> None:
    cases = changed(spectra=("flat", "decaying"), planted_ranks=(1, 2), decoys=(), strengths=(1e-4,), strength_ranks=()).cases()
    assert [(case.spectrum, case.planted_rank) for case in cases] == [("flat", 1), ("flat", 2), ("decaying", 2)]
