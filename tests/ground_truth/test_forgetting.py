"""GT7: forgetting of linear regressions at a known angle, the optimum of EWC, replay, the divergence and the Fisher in closed form."""

import functools
import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import softmax

from research.analysis.fisher import fisher_diagonal
from research.losses import anchored, kl_divergence
from research.models.model import Model, Output
from research.training.step import init_state, make_train_step

SIZE, RATE, STEPS = 4, 0.25, 600
LINEAR = Model(lambda key, batch: {}, lambda variables, batch, **_: Output(batch["x"] @ variables["params"]["w"], {}))


def half_square(model: Model, variables: Any, batch: Any, reference: Any = None, key: Any = None) -> tuple[jax.Array, dict]:
    """Returns half the mean square of what is missed."""
    missed = model.apply(variables, batch).logits - batch["y"]
    return 0.5 * jnp.square(missed).mean(), {"weight": jnp.ones(missed.shape)}


class Task(NamedTuple):
    """A regression without noise: y = x . truth, in float64."""

    x: np.ndarray
    truth: np.ndarray

    @property
    def hessian(self) -> np.ndarray:
        return self.x.T @ self.x / len(self.x)

    def batch(self) -> dict[str, jax.Array]:
        return {"x": jnp.asarray(self.x, jnp.float32), "y": jnp.asarray(self.x @ self.truth, jnp.float32)}

    def loss(self, w: np.ndarray) -> float:
        return float(half_square(LINEAR, {"params": {"w": jnp.asarray(w, jnp.float32)}}, self.batch())[0])


def task(rng: np.random.Generator, curvatures: np.ndarray, directions: np.ndarray, examples: int = 16) -> Task:
    """Returns a task whose Hessian has these curvatures (k,) along orthonormal directions (size, k), and a truth of its own."""
    columns = np.linalg.qr(rng.standard_normal((examples, len(curvatures))))[0]
    return Task(np.sqrt(examples) * (columns * np.sqrt(curvatures)) @ directions.T, rng.standard_normal(len(directions)))


def trained(batch: Any, start: np.ndarray, loss: Any = half_square, reference: Any = None, steps: int = STEPS) -> np.ndarray:
    """Returns the weights after gradient descent by the project's own step."""
    tx = optax.sgd(RATE)
    step = make_train_step(LINEAR, loss, tx)
    state = init_state({"params": {"w": jnp.asarray(start, jnp.float32)}}, {}, tx)
    run = jax.jit(lambda state: jax.lax.scan(lambda at, _: (step(at, batch, reference=reference)[0], None), state, None, steps)[0])
    return np.asarray(run(state).trainable["params"]["w"], float)


def optimum(*weighted: tuple[float, Task]) -> np.ndarray:
    """Returns the minimum of a sum of losses, each times its weight, by the normal equations."""
    curvature = sum(weight * each.hessian for weight, each in weighted)
    return np.linalg.solve(curvature, sum(weight * each.hessian @ each.truth for weight, each in weighted))


FIRST, SECOND = np.array([2.0, 0.7]), np.array([1.5, 0.4])


def planted(angles: np.ndarray) -> tuple[Task, Task]:
    """Returns two tasks of two directions each, at the principal angles `angles` (2,), turned as a whole out of the axes."""
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((SIZE, SIZE)))[0]
    first, away = turn[:, :2], turn[:, 2:]
    second = first * np.cos(angles) + away * np.sin(angles)
    rng = np.random.default_rng(2)
    return task(rng, FIRST, first), task(rng, SECOND, second)


def forgetting(one: Task, two: Task, angles: np.ndarray, steps: float = math.inf) -> float:
    """Returns what task one loses when task two is learned from one's optimum by `steps` of gradient descent.

    Descent on two moves along its directions v_i alone, of curvatures m_i: it is w1 + sum_i d_i (1 - (1 - rate m_i)^steps) v_i, with
    d_i = v_i . (w2 - w1). At w1 the first loss has no slope, so that it rises by half of the squared move times its curvatures c_j along
    its directions u_j. Of principal directions, u_j . v_i = cos(angle_i) where j = i and 0 elsewhere: the rise is
    sum_i c_i (cos(angle_i) d_i (1 - (1 - rate m_i)^steps))^2 / 2, which is that of a projection where steps are many.
    """
    values, vectors = np.linalg.eigh(two.hessian)
    directions = vectors[:, np.argsort(values)[:-3:-1]]  # in the order of SECOND
    gaps = directions.T @ (two.truth - one.truth)
    return float(0.5 * (FIRST * (np.cos(angles) * gaps * (1 - (1 - RATE * SECOND) ** steps)) ** 2).sum())


@pytest.mark.parametrize("degrees", [(0, 0), (30, 60), (60, 30), (90, 45), (90, 90)])
def test_forgetting_at_a_known_angle_is_its_closed_form(degrees: tuple[float, float]) -> None:
    angles = np.radians(degrees)
    one, two = planted(angles)
    assert one.loss(one.truth) < 1e-9
    for steps in (1, 5, STEPS):
        end = trained(two.batch(), one.truth, steps=steps)
        assert one.loss(end) == pytest.approx(forgetting(one, two, angles, steps), abs=1e-5)
    assert two.loss(end) < 1e-9  # two is at its optimum
    assert one.loss(end) == pytest.approx(forgetting(one, two, angles), abs=1e-5)
    assert (one.loss(end) < 1e-9) == (degrees == (90, 90))


def with_importance(two: Task, one: Task, importance: np.ndarray, strength: float = 1.0) -> np.ndarray:
    start = {"w": jnp.asarray(one.truth, jnp.float32)}
    reference = {"params": start, "importance": {"w": jnp.asarray(importance, jnp.float32)}, "strength": jnp.float32(strength)}
    return trained(two.batch(), one.truth, functools.partial(anchored, loss=half_square), reference)


def pair(turned: bool) -> tuple[Task, Task]:
    """Returns two tasks with curvature everywhere; the first's lies along the axes, or is turned out of them."""
    rng = np.random.default_rng(3)
    one, two = (np.linalg.qr(rng.standard_normal((SIZE, SIZE)))[0] for _ in range(2))
    return task(rng, np.array([2.0, 1.0, 0.5, 0.25]), one if turned else np.eye(SIZE)), task(rng, np.array([1.5, 1.0, 0.3, 0.2]), two)


def test_ewc_with_the_exact_hessian_reaches_the_joint_optimum() -> None:
    one, two = pair(turned=False)
    joint = optimum((1, one), (1, two))
    np.testing.assert_allclose(one.hessian, np.diag(np.diag(one.hessian)), atol=1e-12)
    np.testing.assert_allclose(with_importance(two, one, np.diag(one.hessian)), joint, atol=1e-5)
    np.testing.assert_allclose(with_importance(two, one, np.diag(one.hessian), 0.3), optimum((0.3, one), (1, two)), atol=1e-5)
    for elsewhere in (with_importance(two, one, np.diag(one.hessian), 0.3), with_importance(two, one, np.ones(SIZE))):
        assert np.abs(elsewhere - joint).max() > 0.05


def test_the_diagonal_of_a_turned_hessian_does_not_reach_it() -> None:
    one, two = pair(turned=True)
    joint = optimum((1, one), (1, two))
    assert np.abs(with_importance(two, one, np.diag(one.hessian)) - joint).max() > 0.05
    np.testing.assert_allclose(trained(two.batch(), one.truth), two.truth, atol=1e-4)  # without an anchor it goes all the way


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_replay_of_half_is_joint_training(share: float) -> None:
    one, two = pair(turned=True)
    old = int(share * 16)  # of 16 equal parts

    def mixed(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.concatenate([a] * old + [b] * (16 - old))

    found = trained(jax.tree.map(mixed, one.batch(), two.batch()), one.truth)
    np.testing.assert_allclose(found, optimum((share, one), (1 - share, two)), atol=1e-5)
    assert (np.abs(found - optimum((1, one), (1, two))).max() < 1e-5) == (share == 0.5)


VOCABULARY = 5
TABULAR = Model(lambda key, batch: {}, lambda variables, batch, **_: Output(variables["params"]["logits"][batch["inputs"]], {}))


def test_the_divergence_of_tables_is_that_of_enumeration_and_has_a_direction() -> None:
    rng = np.random.default_rng(4)
    base, tuned = 2 * rng.standard_normal((2, VOCABULARY, VOCABULARY)).astype(np.float32)
    contexts, weights = rng.integers(0, VOCABULARY, (3, 7)), (rng.random((3, 7)) < 0.7).astype(np.float32)
    batch = {"inputs": jnp.asarray(contexts), "targets": jnp.asarray(contexts), "weights": jnp.asarray(weights)}

    def measured(of: np.ndarray, reference: np.ndarray) -> float:
        sides = ({"params": {"logits": jnp.asarray(side)}} for side in (of, reference))
        return float(kl_divergence(TABULAR, next(sides), batch, next(sides))[0])

    def enumerated(p: np.ndarray, q: np.ndarray) -> float:
        total = 0.0
        for context, weight in zip(contexts.ravel(), weights.ravel(), strict=True):
            p_of, q_of = softmax(p[context].astype(float)), softmax(q[context].astype(float))
            total += weight * sum(p_of[word] * math.log(p_of[word] / q_of[word]) for word in range(VOCABULARY))
        return total / weights.sum()

    assert measured(tuned, base) == pytest.approx(enumerated(base, tuned), rel=1e-5)  # KL(base || tuned): what the base knew
    assert measured(base, tuned) == pytest.approx(enumerated(tuned, base), rel=1e-5)
    assert abs(enumerated(base, tuned) - enumerated(tuned, base)) > 0.05


LABELS, FEATURES, TIME = 3, 2, 2
REGRESSION = Model(lambda key, batch: {}, lambda variables, batch, **_: Output(batch["inputs"] @ variables["params"]["w"], {}))


def regression_batch(rows: Any) -> dict[str, Any]:
    """Rows (sequences, time, features + label) as a batch."""
    return {"inputs": rows[..., :-1], "targets": rows[..., -1].astype(jnp.int32), "weights": jnp.ones(rows.shape[:-1])}


def regression_problem() -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Returns weights, inputs (sequences, time, features), and the closed form of the Fisher's diagonal: the mean of x^2 p (1 - p)."""
    rng = np.random.default_rng(5)
    w, x = rng.standard_normal((FEATURES, LABELS)), rng.standard_normal((4, TIME, FEATURES))
    p = softmax(x @ w, axis=-1)
    exact = np.einsum("stf,stl->fl", x**2, p * (1 - p)) / (4 * TIME)
    return {"w": jnp.asarray(w, jnp.float32)}, x, exact


def labeled(x: np.ndarray, labels: Any) -> jax.Array:
    return jnp.asarray(np.concatenate([x, np.broadcast_to(np.asarray(labels, float), x.shape[:-1])[..., None]], axis=-1), jnp.float32)


def of_labels(w: dict[str, Any], x: np.ndarray, labels: Any) -> np.ndarray:
    return np.asarray(fisher_diagonal(REGRESSION, w, labeled(x, labels), regression_batch, jax.random.key(0), "data")["w"], float)


def test_the_expected_fisher_by_enumeration_of_labels_is_its_closed_form() -> None:
    w, x, exact = regression_problem()
    expected = np.zeros((FEATURES, LABELS))
    for sequence, labels in itertools.product(x, itertools.product(range(LABELS), repeat=TIME)):
        p = softmax(sequence @ np.asarray(w["w"], float), axis=-1)[range(TIME), list(labels)].prod()
        expected += p * of_labels(w, sequence[None], labels) / len(x)
    np.testing.assert_allclose(expected, exact, rtol=1e-5)


def test_the_fisher_of_the_models_labels_is_its_closed_form_within_its_error() -> None:
    w, x, exact = regression_problem()
    rows = labeled(x, 0)  # labels of which nothing is taken
    one = jax.jit(jax.vmap(lambda key: fisher_diagonal(REGRESSION, w, rows, regression_batch, key)["w"]))
    draws = np.asarray(one(jax.random.split(jax.random.key(1), 4000)), float)
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - exact) < 4 * error).all() and (error < 0.03 * exact).all()
    hessian = jax.hessian(lambda at: -jax.nn.log_softmax(jnp.asarray(x, jnp.float32).reshape(-1, FEATURES) @ at)[:, 0].mean())(w["w"])
    np.testing.assert_allclose(np.einsum("flfl->fl", hessian), exact, rtol=1e-5)  # of the mean loss: what EWC's importance has to be


def test_the_empirical_fisher_of_wrong_labels_is_another() -> None:
    w, x, exact = regression_problem()
    wrong = softmax(x @ np.asarray(w["w"], float), axis=-1).argmin(axis=-1)
    assert (of_labels(w, x, wrong) > 1.5 * exact).any()
    assert np.abs(of_labels(w, x, wrong) / exact - 1).max() > 0.5
