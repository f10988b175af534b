"""Problems of known dimension: Li's toy problem is exactly 10, quadratics have the dimension that their spectrum and radius give."""

import numpy as np
import pytest

from experiments.intrinsic_dimension import known_dimensions
from experiments.intrinsic_dimension.known_dimensions import (
    SIZE,
    SPECTRA,
    TARGETS,
    Columns,
    larsen_bound,
    measured_threshold,
    threshold,
    toy_dimension,
)
from research.adapters.projections import KINDS

DRAWS = 15


@pytest.mark.parametrize("kind", KINDS)
def test_ten_dimensions_are_needed_and_enough(kind: str) -> None:
    assert toy_dimension(kind, draws=5).value == 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_quadratics_threshold_lies_in_the_interval_and_that_of_another_spectrum_does_not(kind: str) -> None:
    columns = Columns(kind, SIZE, known_dimensions.DIMENSIONS[-1])
    exact = {name: threshold(SPECTRA[name], 1.0, TARGETS[name]) for name in SPECTRA}
    for name in SPECTRA:
        found = measured_threshold(columns, name, DRAWS)
        inside = [other for other, value in exact.items() if found.low <= value <= found.high]
        assert inside == [name]
        assert (found.high - found.low) / found.value < 0.16
        assert larsen_bound(SPECTRA[name], 1.0, TARGETS[name]) > found.high  # an upper bound, not the threshold


def test_a_flat_spectrum_has_a_closed_form() -> None:
    for loss, radius in ((0.1, 1.0), (0.02, 1.0), (1.0, 3.0)):
        assert threshold(np.ones(SIZE), radius, loss) == pytest.approx(SIZE * (1 - 2 * loss / radius**2), rel=1e-6)


def test_a_loss_that_training_starts_below_has_no_threshold() -> None:
    with pytest.raises(ValueError, match="where training starts"):
        threshold(np.ones(SIZE), 1.0, 0.5)


def test_records_hold_what_is_measured_beside_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_dimensions, "DIMENSIONS", (16, 64, 128, 192))
    rows = list(known_dimensions.known_records("mine", ("count_sketch",), 2))
    toy = {row["metric"]: row["value"] for row in rows if row["problem"] == "toy"}
    assert toy == {"measured": 10, "low": None, "high": None, "exact": 10.0}
    assert {row["problem"] for row in rows} == {"toy", *SPECTRA} and all(row["experiment"] == "mine" for row in rows)
