"""What one curve explains, against its known share; its interval counts bases, not rows."""

import numpy as np
import pytest
from scipy.stats import t

from research.analysis.mediation import explained

METHODS = np.array(["full", "lora", "l2sp", "ewc"])


def plane(rng: np.random.Generator, bases: int, *, own: float = 0.0, shared: float = 0.0, per: int = 12) -> dict[str, np.ndarray]:
    """Rows of every base and method on one curve, with noise of the row's own and of the base's."""
    units = np.repeat(np.arange(bases), per)
    log_x = rng.uniform(-3, 1, units.size)
    log_y = 0.5 + 0.8 * log_x + 0.1 * log_x**2 + own * rng.normal(size=units.size) + shared * rng.normal(size=bases)[units]
    return {"x": np.exp(log_x), "y": np.exp(log_y), "groups": METHODS[np.arange(units.size) % 4], "units": units}


def test_one_curve_explains_all_of_what_lies_on_it() -> None:
    found = explained(**plane(np.random.default_rng(0), 3))
    assert found[:4] == pytest.approx((1, 1, 1, 3))
    assert "turns" not in found.note


def test_the_share_is_that_of_a_polynomial_of_logarithms() -> None:
    rows = plane(np.random.default_rng(1), 4, own=0.5)
    log_x, log_y = np.log(rows["x"]), np.log(rows["y"])
    rest = log_y - np.polyval(np.polyfit(log_x, log_y, 2), log_x)
    found = explained(**rows)
    assert found.value == pytest.approx(1 - rest.var() / log_y.var())
    assert 0.5 < found.value < 0.95 and found.low < found.value < found.high <= 1
    straight = log_y - np.polyval(np.polyfit(log_x, log_y, 1), log_x)
    assert found.value > 1 - straight.var() / log_y.var() + 1e-3


def test_scales_of_both_do_not_matter() -> None:
    rows = plane(np.random.default_rng(2), 3, own=0.5)
    scaled = explained(**{**rows, "x": 1e6 * rows["x"], "y": 1e-4 * rows["y"]})
    assert scaled[:4] == pytest.approx(explained(**rows)[:4])


def test_methods_on_curves_of_their_own_are_not_explained_by_one() -> None:
    rows = plane(np.random.default_rng(3), 3)
    heights = np.exp(3.0 * (rows["groups"] == "ewc"))
    found = explained(**{**rows, "y": rows["y"] * heights})
    assert found.value < 0.6
    apart = explained(**{**rows, "y": rows["y"] * heights}, heights=True)
    assert apart.value == pytest.approx(1.0, abs=1e-3) and "height of its own" in apart.method
    one = {**rows, "groups": np.full(rows["x"].size, "full")}
    assert explained(**one, heights=True).value == pytest.approx(explained(**one).value)


@pytest.mark.parametrize(("own", "shared"), [(0.2, 0.8), (0.6, 0.2)])
def test_an_interval_leaves_out_bases_with_all_their_rows(own: float, shared: float) -> None:
    """Rows of a base share its luck: bases as units cover the share in a population of bases, rows as units do not."""
    rng = np.random.default_rng(4)
    curve = np.log(plane(rng, 1, per=100_000)["y"]).var()
    truth = curve / (curve + own**2 + shared**2)
    bases = [explained(**plane(rng, 6, own=own, shared=shared, per=8)) for _ in range(200)]
    assert coverage(bases, truth) >= 0.9
    assert bases[0].n == 6 and "6 bases" in bases[0].note


def test_an_interval_over_rows_would_not_cover() -> None:
    rng, found = np.random.default_rng(4), []
    curve = np.log(plane(rng, 1, per=100_000)["y"]).var()
    for _ in range(100):
        rows = plane(rng, 6, own=0.2, shared=0.8, per=8)
        found.append(explained(**{**rows, "units": np.arange(48)}))
    assert coverage(found, curve / (curve + 0.68)) < 0.75


def coverage(found: list, truth: float) -> float:
    return float(np.mean([one.low <= truth <= one.high for one in found]))


def test_the_interval_is_the_jackknife_with_t() -> None:
    rows = plane(np.random.default_rng(5), 3, own=0.3)
    found = explained(**rows)
    logs = [np.log(1 - explained(**{name: column[rows["units"] != unit] for name, column in rows.items()}).value) for unit in range(3)]
    half = t.ppf(0.975, 2) * np.sqrt(2 / 3 * ((logs - np.mean(logs)) ** 2).sum())
    assert found[1:3] == pytest.approx((1 - (1 - found.value) * np.exp(half), 1 - (1 - found.value) * np.exp(-half)))


def test_fewer_than_three_bases_have_no_interval_and_the_note_says_so() -> None:
    for bases in (1, 2):
        found = explained(**plane(np.random.default_rng(6), bases, own=0.3), what="seeds")
        assert found.value is not None and found[1:4] == (None, None, bases)
        assert f"no interval over {bases} seeds" in found.note


def test_rows_without_a_logarithm_are_counted_and_change_nothing() -> None:
    rows = plane(np.random.default_rng(7), 3, own=0.3)
    bad = [(0.0, 1.0), (1.0, 0.0), (1.0, -0.1), (np.nan, 1.0), (1.0, np.inf), (-1.0, -1.0)]
    more = {name: np.append(column, [(pair[name == "y"] if name in "xy" else column[0]) for pair in bad]) for name, column in rows.items()}
    found, plain = explained(**more), explained(**rows)
    assert found[:4] == plain[:4]
    assert "6 of 42 rows not positive in both, or diverged, left out" in found.note and "left out" not in plain.note


def test_a_curve_that_turns_within_the_data_is_told() -> None:
    log_x = np.linspace(-2, 2, 30)
    rows = {"x": np.exp(log_x), "groups": METHODS[np.arange(30) % 4], "units": np.arange(30) % 3}
    assert "turns at x = 2.7" in explained(y=np.exp((log_x - 1) ** 2), **rows).note
    assert "turns" not in explained(y=np.exp((log_x - 3) ** 2), **rows).note


def test_too_few_rows_have_no_value() -> None:
    rows = plane(np.random.default_rng(8), 3, per=1)
    found = explained(**rows)
    assert found.value is None and "3 rows: too few" in found.note
    assert explained(np.array([]), np.array([]), np.array([]), np.array([])).value is None
    flat = plane(np.random.default_rng(9), 3)
    assert explained(**{**flat, "y": np.ones(36)}).value is None
    lone = plane(np.random.default_rng(10), 3, own=0.3, per=2)
    lone["units"] = np.array([0, 0, 0, 1, 1, 2])  # without the first, three rows and three coefficients
    found = explained(**lone)
    assert found.value is not None and found.low is None and "no curve is left" in found.note


def test_columns_of_different_lengths_are_refused() -> None:
    rows = plane(np.random.default_rng(11), 3)
    with pytest.raises(ValueError, match="not of the same rows"):
        explained(**{**rows, "units": rows["units"][1:]})
