"""The axes of a sweep over dimensions, its learning rates, its subjects, and what cannot be."""

import math

import numpy as np
import pytest

from configs.intrinsic_dimension import get_config
from experiments.intrinsic_dimension.dimensions import DimensionSweep, shape_of
from experiments.intrinsic_dimension.images import image_subject
from experiments.intrinsic_dimension.languages import language_subjects
from research.cells.layout import tally
from research.data.batches import in_batches
from research.errors import UsageError

CONFIG = get_config("smoke").to_dict()
PARAMETERS = 1210


def sweep(**changes: object) -> DimensionSweep:
    config = {**CONFIG, **{key: {**CONFIG[key], "fc": value} for key, value in changes.items()}}
    return DimensionSweep.of(config, "fc", PARAMETERS, ("random",))


def test_every_projection_dimension_and_draw_is_a_cell_beside_full_training() -> None:
    own = sweep()
    cells = {(shape_of(c), c["dimension"], c["seed"]) for c in own.results()}
    inside = {(kind, d, seed) for kind in ("count_sketch", "fastfood") for d in (16, 64, 256) for seed in range(3)}
    assert cells == inside | {("full", None, seed) for seed in range(3)}
    assert tally(shape_of, own.selection(), own.results()) == {"full": [3, 3], "count_sketch": [9, 9], "fastfood": [9, 9]}
    assert {c["seed"] for c in own.selection()}.isdisjoint(range(3))


def test_a_learning_rate_is_the_norm_of_a_step_over_the_root_of_the_dimension() -> None:
    for c in sweep().selection():
        norms = c["learning_rate"] * math.sqrt(PARAMETERS if c["dimension"] is None else c["dimension"])
        assert min(abs(norms - norm) for norm in (0.3, 1.0, 3.0)) < 1e-9


def test_rates_may_be_chosen_at_some_dimensions_and_others_take_the_nearest_ones_norm() -> None:
    own = sweep(dimensions=(100, 200, 250, 290, 350, 450), rates_at=2)
    assert own.anchors() == (250, 290)
    assert {d: own.anchor(d) for d in own.dimensions} == {100: 250, 200: 250, 250: 250, 290: 290, 350: 290, 450: 290}
    cell = own.rescaled({"dimension": 100, "learning_rate": 0.1})
    assert cell["learning_rate"] == pytest.approx(0.1 * math.sqrt(2.5))
    assert own.rescaled({"dimension": 290, "learning_rate": 0.1})["learning_rate"] == pytest.approx(0.1)
    assert own.rescaled({"dimension": None, "learning_rate": 0.1})["learning_rate"] == 0.1
    assert sweep().anchors() == sweep(rates_at=3).anchors() == sweep(rates_at=9).anchors() == (16, 64, 256)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"draws": 2}, "draws.fc = 2.*at least 3"),
        ({"dimensions": ()}, "dimensions.fc"),
        ({"dimensions": (16, 16)}, "twice"),
        ({"projections": ()}, "projections.fc"),
        ({"step_norms": (0.1, 1.0)}, "step_norms.fc"),
        ({"step_norms": (0.0, 1.0, 2.0)}, "above 0"),
        ({"rates_at": -1}, "rates_at"),
        ({"steps": 1}, "steps"),
    ],
)
def test_axes_that_cannot_be_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        sweep(**changes)


def test_an_image_subject_draws_weights_and_scores_every_test_image_once() -> None:
    subject = image_subject(CONFIG, "fc")
    assert subject.described == {"model": "fc", "parameters": PARAMETERS, "data": "sklearn:digits"}
    assert subject.row == 65 and set(subject.layout.tasks) == {"full", "count_sketch", "fastfood"}
    setting = subject.setting("mine", FAKE)
    assert setting.budgets == (25, 50, 100) and setting.unit == "bits/image"


def test_language_subjects_differ_in_width_and_mlp_alone() -> None:
    narrow, wide = language_subjects({**CONFIG, "widths": (32, 64)})
    assert wide.described["parameters"] > 2 * narrow.described["parameters"]
    assert (wide.share["model"]["d_mlp"], narrow.share["model"]["d_mlp"]) == (128, 64)
    with pytest.raises(UsageError, match="widths"):
        language_subjects({**CONFIG, "widths": ()})
    with pytest.raises(UsageError, match="dropout"):
        language_subjects({**CONFIG, "model": {**CONFIG["model"], "dropout": 0.1}})


def test_rows_are_filled_up_to_whole_batches() -> None:
    chunks = in_batches(np.ones((7, 3), np.uint8), (2, 2), 255)
    assert chunks.shape == (2, 2, 2, 3)
    assert (chunks.reshape(-1, 3)[:7] == 1).all() and (chunks.reshape(-1, 3)[7:] == 255).all()


class FAKE:
    bases, rows, measures, keep, replay = None, np.zeros((1, 65), np.uint8), {}, None, 0
