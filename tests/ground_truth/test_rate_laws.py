"""Best learning rates that are known: of gradient descent on quadratics and on a linear LoRA teacher; laws must find them, or say no."""

import numpy as np
import pytest

from research.analysis.contrasts import contrast
from research.analysis.learning_rates import parabola_optimum
from research.analysis.rate_laws import LAWS, Settings, error, exponent, left_out, plane, predicted
from research.analysis.wording import ALIKE, LESS, verdict
from research.findings import finding

STEP, STEPS, WIDTH = 1.1, 40, 64
FEW = 3  # steps of students: after many a rank of 1 has converged to the last bit at many rates
RANKS = np.array([2, 4, 8, 16])  # at rank 1 there is one eigenvalue, and its inverse, not twice that, is the edge
RULES = {"fixed": lambda r: 32.0 / r, "equal": lambda r: 1.0 + 0 * r, "rslora": lambda r: 8 / np.sqrt(r)}
POWERS = {"fixed": 2.0, "equal": 0.0, "rslora": 1.0}  # of the rank in 1 / scale^2


def found(loss, around):
    """The best rate that the estimator reads on a grid that does not know it."""
    grid = around * STEP ** (np.arange(-14, 15) + 0.3)
    with np.errstate(over="ignore", invalid="ignore"):  # beyond twice the inverse eigenvalue descent diverges
        return np.log(parabola_optimum(grid, np.array([loss(rate) for rate in grid])).learning_rate)


def lowest(loss, around):
    """The best rate by search, a hundredth fine."""
    rates = around * np.geomspace(0.2, 5, 323)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.log(rates[np.nanargmin([loss(rate) for rate in rates])])


def quadratics(descend):
    """Best rates of quadratics whose largest eigenvalues spread over a factor of 100, and these."""
    tops = np.geomspace(0.1, 10, 12)
    shape, start = np.linspace(0.1, 1, 20), np.random.default_rng(0).normal(size=20)
    losses = [lambda rate, h=top * shape: descend(h, start, rate) for top in tops]
    around = [1.8 / top if descend is by_gradient else np.abs(start).max() / STEPS for top in tops]
    return tops, np.array([found(loss, at) for loss, at in zip(losses, around, strict=True)]), losses, around


def by_gradient(h, start, rate):
    return 0.5 * (h * (start * (1 - rate * h) ** STEPS) ** 2).sum()


def by_sign(h, start, rate):
    x = start.copy()
    for _ in range(STEPS):
        x = x - rate * np.sign(h * x)
    return 0.5 * (h * x**2).sum()


def settings_of(curvature):
    n = len(curvature)
    return Settings(np.repeat("one", n), np.arange(1.0, n + 1), np.ones(n), np.asarray(curvature, float), WIDTH)


def missed(law, settings, log_rates):
    return float(error(left_out(LAWS[law], settings, log_rates[:, None], settings.rank), settings)[0])


def test_a_quadratics_best_rate_is_found_to_a_step_of_the_grid():
    _, rates, losses, around = quadratics(by_gradient)
    known = np.array([lowest(loss, at) for loss, at in zip(losses, around, strict=True)])
    assert np.abs(rates - known).max() < np.log(STEP)


def test_gradient_descent_on_quadratics_follows_the_inverse_of_the_largest_eigenvalue():
    tops, rates, *_ = quadratics(by_gradient)
    settings = settings_of(tops)
    assert missed("1 / lambda_max", settings, rates) < 0.05
    assert missed("power of lambda_max", settings, rates) < 0.05
    assert missed("constant", settings, rates) > 1
    line = predicted(LAWS["power of lambda_max"], settings, rates, np.full(12, True))
    assert exponent(np.log(tops), line) == pytest.approx(-1, abs=0.02)


def test_steps_of_fixed_size_do_not_though_they_meet_the_same_eigenvalues():
    tops, rates, *_ = quadratics(by_sign)
    settings = settings_of(tops)
    assert missed("1 / lambda_max", settings, rates) > 1
    assert missed("constant", settings, rates) < 0.05


def teacher(rank, scale, rng):
    """A linear LoRA student of a teacher so small that A hardly moves: its loss after descent, and the closed form with A at rest."""
    target = 1e-4 * rng.normal(size=(WIDTH, WIDTH))
    start = rng.normal(size=(WIDTH, rank)) / np.sqrt(WIDTH)

    def descended(rate):
        a, b = start.copy(), np.zeros((rank, WIDTH))
        for _ in range(FEW):
            left = scale * a @ b - target
            a, b = a - rate * scale * left @ b.T, b - rate * scale * a.T @ left
        return 0.5 * ((scale * a @ b - target) ** 2).sum()

    u, values, _ = np.linalg.svd(start, full_matrices=False)
    energy = ((u.T @ target) ** 2).sum(axis=1)

    def closed(rate):
        return 0.5 * (energy * (1 - rate * scale**2 * values**2) ** (2 * FEW)).sum()

    return descended, closed, (scale * values.max()) ** 2


def taught(seed):
    """Measured and known logarithms of the best rate, and the largest eigenvalue, of each rule and rank."""
    rules = [(name, rank, float(scale(rank))) for name, scale in RULES.items() for rank in RANKS]
    made = []
    for index, (_, rank, scale) in enumerate(rules):
        descended, closed, top = teacher(rank, scale, np.random.default_rng([seed, index]))
        made.append((found(descended, 1.5 / top), lowest(closed, 1.5 / top), top))
    rates, known, tops = np.array(made).T
    names, ranks, scales = zip(*rules, strict=True)
    return Settings(np.array(names), np.array(ranks, float), np.array(scales), tops, WIDTH), rates, known


@pytest.fixture(scope="module")
def students():
    return [taught(seed) for seed in range(2)]


def test_a_linear_students_best_rates_and_their_powers_are_those_of_the_closed_form(students):
    for settings, rates, known in students:
        assert np.abs(rates - known).max() < np.log(STEP)
        for rule, power in POWERS.items():
            own = settings.rule == rule
            read, true = (exponent(np.log(settings.rank[own]), side[own]) for side in (rates, known))
            assert read == pytest.approx(true, abs=0.05)
            assert read == pytest.approx(power, abs=0.35)  # A's largest singular value grows with the rank, too


def test_of_a_linear_student_the_inverse_eigenvalue_is_a_law_and_a_constant_is_none(students):
    for settings, rates, _ in students:
        groups = settings.rank
        missed_by = {
            name: error(left_out(law, settings, rates[:, None], groups), settings)[0] for name, law in LAWS.items() if name != "width"
        }
        # Descent's best rate is 1 to 2 over the eigenvalue, by how the others lie; a power of the rank can learn even that.
        assert missed_by["1 / lambda_max"] < min(missed_by.values()) + 0.1
        assert missed_by["1 / lambda_max"] < 0.2 < 0.5 < missed_by["first step"]
        assert missed_by["constant"] > 1
        powers = plane(settings, rates)
        assert powers["scale"] == pytest.approx(-2, abs=0.15)


def planted(rng, noise, power=0.3, scale=-0.8):
    """Settings of three rules and ranks, and best rates of seeds that follow a power of each, with noise; (settings, log rates)."""
    rows = [(name, rank, float(of(rank))) for name, of in RULES.items() for rank in (1, 2, 8, 32)]
    names, ranks, scales = zip(*rows, strict=True)
    settings = Settings(np.array(names), np.array(ranks, float), np.array(scales), np.ones(len(rows)), WIDTH)
    rates = -4 + power * np.log(settings.rank) + scale * np.log(settings.scale)
    return settings, rates[:, None] + noise * rng.normal(size=(len(rows), 3))


def test_the_interval_of_a_power_holds_the_planted_one():
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        settings, rates = planted(rng, 0.2)
        own = settings.rule == "fixed"
        estimate = contrast(exponent(np.log(settings.rank[own]), rates[own]), np.arange(3))
        held += estimate.low <= 0.3 + 0.8 <= estimate.high
    assert 0.93 <= held / 400 <= 0.98


def test_a_planted_plane_is_told_from_one_rate_and_noise_is_not():
    rng, verdicts = np.random.default_rng(2), {True: [], False: []}
    for planned in (True, False):
        for _ in range(40):
            settings, rates = planted(rng, 0.2, *((0.3, -0.8) if planned else (0.0, 0.0)))
            errors = [error(left_out(LAWS[law], settings, rates, settings.rank), settings) for law in ("rank and scale", "constant")]
            estimate = contrast(errors[0] - errors[1], np.arange(3))
            verdicts[planned].append(verdict(finding("contrast", {}, estimate, "1")))
    assert verdicts[True].count(LESS) >= 38
    assert verdicts[False].count(LESS) <= 2
    assert ALIKE in verdicts[False]


def test_a_law_says_nothing_of_what_it_was_not_fitted_to():
    settings, rates = planted(np.random.default_rng(3), 0.0)
    assert np.isnan(left_out(LAWS["rank, by rule"], settings, rates, settings.rule)).all()
    assert np.abs(left_out(LAWS["rank and scale"], settings, rates, settings.rule)).max() < 1e-9
    stated = np.isfinite(left_out(LAWS["width"], settings, rates, settings.rank)[:, 0])
    np.testing.assert_array_equal(stated, np.isclose(settings.scale * settings.rank, 32))


def test_one_setting_under_two_rules_is_left_out_under_both():
    settings, rates = planted(np.random.default_rng(4), 0.0)
    twice = np.append(np.arange(12), 0)
    both = settings.at(twice)._replace(rule=np.append(settings.rule, "other"))
    groups = np.append(np.array([f"{i}" for i in range(12)]), "12")
    spoiled = rates[twice].copy()
    spoiled[[0, 12]] += 5.0  # each of the pair would forgive the other
    residuals = left_out(LAWS["rank and scale"], both, spoiled, groups)
    np.testing.assert_allclose(residuals[[0, 12]], -5.0, atol=1e-9)
    assert error(residuals, both) == pytest.approx(np.sqrt(error(residuals[:12], settings) ** 2))  # and counts once
