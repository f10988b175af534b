import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.errors import UsageError
from research.optimizers import OptimizerSpec, adamw, learning_rate_at


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
def test_the_rate_rises_linearly_to_its_peak(schedule: str) -> None:
    spec = OptimizerSpec(110, schedule, warmup=10 / 110)
    np.testing.assert_allclose(learning_rate_at(spec, 2.0, jnp.arange(10)), 0.2 * np.arange(1, 11), rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "values"), [("constant", [1, 1, 1, 1]), ("cosine", [1, 0.5 + 0.125**0.5, 0.5, 0]), ("linear", [1, 0.75, 0.5, 0])]
)
def test_after_the_warm_up_comes_the_schedule(schedule: str, values: list[float]) -> None:
    spec = OptimizerSpec(110, schedule, warmup=10 / 110)
    np.testing.assert_allclose(learning_rate_at(spec, 3.0, jnp.array([10, 35, 60, 110])), 3.0 * np.array(values), rtol=1e-5, atol=1e-6)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert learning_rate_at(OptimizerSpec(10, warmup=0.0), 0.5, jnp.array(0)) == 0.5


def test_decay_leaves_norms_and_biases_alone() -> None:
    params = {"mlp": {"up": {"kernel": jnp.full(3, 2.0), "bias": jnp.full(3, 2.0)}}, "final_norm": {"scale": jnp.full(3, 2.0)}}
    tx = adamw(OptimizerSpec(10, warmup=0.0, weight_decay=0.1), 0.5)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_allclose(updates["mlp"]["up"]["kernel"], -0.1, rtol=1e-6)
    assert not updates["mlp"]["up"]["bias"].any() and not updates["final_norm"]["scale"].any()


def test_the_optimizer_is_optax_adamw_and_serves_traced_rates() -> None:
    spec = OptimizerSpec(10, warmup=0.0, clip=0.0)
    params, grads = {"w": jnp.array([1.0, -2.0])}, {"w": jnp.array([30.0, 0.1])}

    def moved(tx: optax.GradientTransformation):
        return tx.update(grads, tx.init(params), params)[0]["w"]

    rates = jnp.array([0.1, 0.01])
    expected = np.stack([moved(optax.adamw(float(rate), b1=0.9, b2=0.99, weight_decay=0.0)) for rate in rates])
    np.testing.assert_allclose(jax.vmap(lambda rate: moved(adamw(spec, rate)))(rates), expected, rtol=1e-5)


def test_a_gradient_above_the_clip_is_scaled_down_to_it() -> None:
    params, tx = {"w": jnp.zeros(2)}, adamw(OptimizerSpec(10, clip=1.0), 0.1)
    _, state = tx.update({"w": jnp.array([30.0, 40.0])}, tx.init(params), params)
    np.testing.assert_allclose(optax.tree.get(state, "mu")["w"], 0.1 * np.array([0.6, 0.8]), rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"schedule": "step"}, {"steps": 0}, {"warmup": 1.5}, {"warmup": -0.1}])
def test_what_makes_no_sense_is_a_users_mistake(wrong: dict) -> None:
    with pytest.raises(UsageError):
        OptimizerSpec(**{"steps": 10, **wrong})
