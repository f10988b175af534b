"""The losses of weighted tokens, against NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import rel_entr, softmax

from research.losses import cross_entropy, kl_divergence
from research.models.model import Model, Output

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((2, 4, 5)).astype(np.float32) * 3.0
BATCH = {"targets": RNG.integers(0, 5, (2, 4)).astype(np.int32), "weights": np.array([[1, 0, 1, 1], [0, 0, 2.5, 0]], np.float32)}


def identity(variables: dict, batch: dict, *, key: jax.Array | None = None) -> Output:
    return Output(variables["logits"], {})


GIVEN = Model(lambda key, batch: {}, identity)


def nll(logits: np.ndarray) -> np.ndarray:
    """Returns the negative log-likelihood of each target, in float64."""
    logits = logits.astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -np.take_along_axis(logs, BATCH["targets"][..., None], -1)[..., 0]


def loss(logits: np.ndarray, **batch: np.ndarray) -> tuple[jax.Array, dict]:
    return cross_entropy(GIVEN, {"logits": jnp.asarray(logits)}, {**BATCH, **batch})


def test_the_loss_is_the_weighted_mean_of_numpy() -> None:
    value, metrics = loss(LOGITS)
    np.testing.assert_allclose(value, (nll(LOGITS) * BATCH["weights"]).sum() / 5.5, rtol=1e-6)
    np.testing.assert_allclose(metrics["nll"], nll(LOGITS) * BATCH["weights"], rtol=1e-5)  # token by token
    np.testing.assert_array_equal(metrics["weight"], BATCH["weights"])
    np.testing.assert_array_equal(metrics["correct"], (LOGITS.argmax(-1) == BATCH["targets"]) * BATCH["weights"])
    assert 0 < metrics["correct"].sum() < metrics["weight"].sum() == 5.5


def test_even_logits_cost_the_log_of_the_vocabulary() -> None:
    np.testing.assert_allclose(loss(np.full_like(LOGITS, 7.0))[0], np.log(5.0), rtol=1e-6)


def test_tokens_of_weight_zero_do_not_count() -> None:
    masked = BATCH["weights"] == 0
    other = np.where(masked[..., None], 50.0 * LOGITS[..., ::-1], LOGITS)
    np.testing.assert_array_equal(loss(other)[0], loss(LOGITS)[0])
    assert abs(float(loss(other, weights=np.ones((2, 4), np.float32))[0] - loss(LOGITS, weights=np.ones((2, 4), np.float32))[0])) > 1.0


def test_masked_tokens_have_no_gradient_and_the_others_softmax_minus_target() -> None:
    grad = np.asarray(jax.grad(lambda x: loss(x)[0])(jnp.asarray(LOGITS)))
    np.testing.assert_array_equal(grad[BATCH["weights"] == 0], 0.0)
    exact = np.exp(LOGITS.astype(np.float64))
    exact = exact / exact.sum(-1, keepdims=True) - np.eye(5)[BATCH["targets"]]
    np.testing.assert_allclose(grad, exact * BATCH["weights"][..., None] / 5.5, atol=1e-6)


def test_a_batch_without_weight_costs_nothing() -> None:
    value, grad = jax.value_and_grad(lambda x: loss(x, weights=np.zeros((2, 4), np.float32))[0])(jnp.asarray(LOGITS))
    assert value == 0.0
    np.testing.assert_array_equal(grad, 0.0)


def test_halved_logits_are_summed_in_float32(short_type: str) -> None:
    rounded = jnp.asarray(LOGITS, short_type)
    value, _ = loss(rounded)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, (nll(np.asarray(rounded, np.float32)) * BATCH["weights"]).sum() / 5.5, rtol=1e-6)


def test_large_logits_stay_finite() -> None:
    value, grad = jax.value_and_grad(lambda x: loss(x)[0])(jnp.asarray(1e4 * LOGITS))
    assert np.isfinite(value) and np.isfinite(grad).all()


def test_the_reference_changes_nothing() -> None:
    with_reference = cross_entropy(GIVEN, {"logits": jnp.asarray(LOGITS)}, BATCH, {"logits": jnp.zeros_like(LOGITS)})
    assert with_reference[0] == loss(LOGITS)[0]


def test_the_divergence_is_that_of_scipy_and_moves_the_student_only() -> None:
    other = LOGITS[::-1] + 1.0

    def divergence(student: jax.Array, teacher: jax.Array) -> jax.Array:
        return kl_divergence(GIVEN, {"logits": student}, BATCH, {"logits": teacher})[0]

    per_token = rel_entr(softmax(other.astype(np.float64), -1), softmax(LOGITS.astype(np.float64), -1)).sum(-1)
    value, (to_student, to_teacher) = jax.value_and_grad(divergence, (0, 1))(jnp.asarray(LOGITS), jnp.asarray(other))
    np.testing.assert_allclose(value, (per_token * BATCH["weights"]).sum() / 5.5, rtol=1e-5)
    np.testing.assert_array_equal(to_teacher, 0.0)
    difference = softmax(LOGITS, -1) - softmax(other, -1)
    np.testing.assert_allclose(to_student, difference * BATCH["weights"][..., None] / 5.5, atol=1e-6)
    assert divergence(jnp.asarray(LOGITS), jnp.asarray(LOGITS)) == 0.0
