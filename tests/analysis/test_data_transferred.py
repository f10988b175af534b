import numpy as np
import pytest
from scipy import stats

from research.analysis.data_transferred import A_BY_N, CURVATURE, LARGEST, law
from research.analysis.effective_data import Losses, effective_data

SIZES, DATA, AMOUNTS = np.array([2e4, 1e5, 5e5]), np.geomspace(1e3, 1e7, 33), 1e3 * 2.0 ** np.arange(4)
A, B, K = 0.35, 0.5, 8.0


def losses(transferred: np.ndarray, noise: float = 0.0, seeds: int = 3) -> Losses:
    """Losses of known D_T (sizes, amounts), without documents."""
    generator = np.random.default_rng(1)
    made = []
    for amounts in (np.tile(DATA, (len(transferred), 1)), AMOUNTS + transferred):
        read = 1.5 + 2.5 * (amounts / 1e3) ** -0.3
        made.append((read + noise * generator.standard_normal((seeds, *read.shape)))[..., None])
    return Losses(SIZES[: len(transferred)], DATA, AMOUNTS, made[0], made[1], np.array([5e4]), np.arange(seeds))


def by_law() -> np.ndarray:
    return K * AMOUNTS**A * (SIZES**B)[:, None]


def test_the_law_of_exact_losses_is_found_and_every_misfit_is_nothing() -> None:
    found = law(losses(by_law(), noise=1e-6))
    np.testing.assert_allclose([found.a.value, found.b.value, np.log(found.k.value)], [A, B, np.log(K)], atol=0.01)
    assert found.words == {"fitted": 12} and not found.reason
    assert set(found.misfit) == {CURVATURE, A_BY_N, LARGEST}
    np.testing.assert_allclose([one.value for one in found.misfit.values()], 0, atol=0.01)


def test_misfits_have_the_size_of_what_the_law_misses() -> None:
    logs = np.log(AMOUNTS / 1e3)
    curved = law(losses(by_law() * np.exp(0.1 * logs**2), noise=1e-6)).misfit[CURVATURE]
    crossed = law(losses(by_law() * np.exp(0.1 * logs * np.log(SIZES / 1e5)[:, None]), noise=1e-6)).misfit[A_BY_N]
    larger = law(losses(by_law() * np.array([1, 1, 3])[:, None], noise=1e-6)).misfit[LARGEST]
    np.testing.assert_allclose([curved.value, crossed.value, larger.value], [0.1, 0.1, -np.log(3)], atol=0.02)


def test_an_interval_is_students_over_weighted_fits_of_each_seed() -> None:
    some = losses(by_law()[1:2], noise=0.01)
    found, points = law(some), effective_data(some)
    values = np.log([np.exp(point.logs[:, 0]) - point.amount for point in points])
    shares = [1 - point.amount / np.exp(point.logs[:, 0].mean()) for point in points]
    weights = np.abs([point.slope for point in points]) * shares
    slopes = [np.polyfit(np.log(AMOUNTS), values[:, seed], 1, w=weights)[0] for seed in range(3)]
    expected = stats.ttest_1samp(slopes, 0.0).confidence_interval()
    np.testing.assert_allclose([found.a.value, found.a.low, found.a.high], [np.mean(slopes), expected.low, expected.high])
    assert found.b.value is None and "one size: b is not identified" in found.b.note
    assert A_BY_N not in found.misfit and LARGEST not in found.misfit


def test_two_sizes_have_no_largest_to_leave_out_and_few_amounts_no_curvature() -> None:
    two = law(losses(by_law()[:2], noise=1e-6))
    assert set(two.misfit) == {CURVATURE, A_BY_N}
    some = losses(by_law(), noise=1e-6)
    few = law(some._replace(amounts=AMOUNTS[:2], tuned=some.tuned[:, :, :2]))
    assert set(few.misfit) == {A_BY_N, LARGEST}
    np.testing.assert_allclose([few.a.value, few.b.value], [A, B], atol=0.02)


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        ([(0, 0), (1, 0), (2, 0)], "3 of 12 points are left (9 not run or diverged), of 1 amounts of data"),
        ([(0, 0), (1, 1)], "2 of 12 points are left (9 not run or diverged, 1 beyond the low-data regime)"),
        ([(0, 0), (1, 1), (2, 2)], "3 of 12 points are left (9 not run or diverged), in which sizes and amounts of data do not vary apart"),
    ],
)
def test_too_few_points_are_a_reason_in_words(kept: list[tuple[int, int]], left: str) -> None:
    some = losses(by_law(), noise=1e-6)
    tuned = np.full(some.tuned.shape, np.nan)
    for place in kept:
        tuned[:, *place] = some.tuned[:, *place]
    amounts = AMOUNTS.copy()
    if "beyond" in left:
        tuned[:, 2, 3], amounts[3] = some.scratch[:, 2, -2], 2e6
    found = law(some._replace(tuned=tuned, amounts=amounts))
    assert found.reason.startswith(f"not fitted: {left}")
    assert found.a.value is found.b.value is found.k.value is None and found.a.note == found.reason and not found.misfit
