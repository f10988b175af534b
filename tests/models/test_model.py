"""`from_linen`: a linen module as a pair of pure functions."""

import flax.linen as nn
import jax
import numpy as np

from research.models.model import Batch, count, from_linen


class Foreign(nn.Module):
    """A dense layer called twice, and dropout."""

    @nn.compact
    def __call__(self, batch: Batch, deterministic: bool = True) -> jax.Array:
        dense = nn.Dense(3, name="dense")
        return nn.Dropout(0.5, deterministic=deterministic, name="drop")(dense(dense(batch["inputs"])))


BATCH = {"inputs": np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)}
MODEL = from_linen(Foreign(), ("dense/kernel$",))


def test_the_pair_is_pure_and_a_key_turns_dropout_on() -> None:
    variables = MODEL.init(jax.random.key(0), BATCH)
    assert set(variables) == {"params"} and MODEL.tied == ("dense/kernel$",)
    w, b = variables["params"]["dense"]["kernel"], variables["params"]["dense"]["bias"]
    plain = MODEL.apply(variables, BATCH).logits
    np.testing.assert_allclose(plain, (BATCH["inputs"] @ w + b[None]) @ w + b[None], rtol=1e-5, atol=1e-6)
    dropped = np.asarray(MODEL.apply(variables, BATCH, key=jax.random.key(1)).logits)
    assert 0 < (dropped == 0).sum() < dropped.size
    np.testing.assert_allclose(dropped[dropped != 0], 2 * np.asarray(plain)[dropped != 0], rtol=1e-6)


def test_captured_is_what_a_pattern_names_and_at_first_call() -> None:
    variables = MODEL.init(jax.random.key(0), BATCH)
    out = MODEL.apply(variables, BATCH, capture=("^dense$",))
    assert list(out.captured) == ["dense"]
    np.testing.assert_allclose(out.captured["dense"], BATCH["inputs"] @ variables["params"]["dense"]["kernel"], rtol=1e-5, atol=1e-6)
    assert set(MODEL.apply(variables, BATCH, capture=("dense", "drop")).captured) == {"dense", "drop"}


def test_count_takes_arrays_and_shapes() -> None:
    assert count(MODEL.init(jax.random.key(0), BATCH)) == 12
    assert count(jax.eval_shape(MODEL.init, jax.random.key(0), BATCH)) == 12
    assert count({}) == 0
