"""An adapter of a model that Lowlands did not write acts as `merge` says, or is refused; it never does nothing in silence."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.adapters.adapt import adapt
from research.adapters.lora import LoRA, targeted
from research.adapters.merging import merge
from research.adapters.sites import Site
from research.errors import UsageError
from research.models.model import from_linen


class Layer(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, None]:
        return nn.tanh(nn.Dense(4, name="dense")(x)), None


class Scanned(nn.Module):
    @nn.compact
    def __call__(self, batch: dict, deterministic: bool = True) -> jax.Array:
        return nn.scan(Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)(name="layers")(batch["inputs"])[0]


class Mapped(nn.Module):
    @nn.compact
    def __call__(self, batch: dict, deterministic: bool = True) -> jax.Array:
        return nn.vmap(nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True})(4, name="dense")(batch["inputs"])


class OtherAxis(nn.Module):
    @nn.compact
    def __call__(self, batch: dict, deterministic: bool = True) -> jax.Array:
        return nn.DenseGeneral(3, axis=1, name="dense")(batch["inputs"])


class Batched(nn.Module):
    @nn.compact
    def __call__(self, batch: dict, deterministic: bool = True) -> jax.Array:
        return nn.DenseGeneral(4, axis=-1, batch_dims=0, name="dense")(batch["inputs"][:, 0].repeat(2, 0))


class Plain(nn.Module):
    @nn.compact
    def __call__(self, batch: dict, deterministic: bool = True) -> jax.Array:
        return nn.Dense(3, name="dense")(batch["inputs"])


class Keyword(nn.Module):
    @nn.compact
    def __call__(self, batch: dict, deterministic: bool = True) -> jax.Array:
        return nn.Dense(3, name="dense")(inputs=batch["inputs"])


class Attending(nn.Module):
    @nn.compact
    def __call__(self, batch: dict, deterministic: bool = True) -> jax.Array:
        embed = nn.Embed(9, 4, name="dense")
        return embed.attend(embed(batch["inputs"].astype(int) % 9))


X = np.random.default_rng(0).standard_normal((2, 4, 4)).astype(np.float32)
INTEGERS, HALVES = np.arange(8, dtype=np.int32).reshape(2, 4), jnp.asarray(X, jnp.bfloat16)
REFUSED = {"scan": (Scanned(), X), "vmap": (Mapped(), X), "axis": (OtherAxis(), X), "batch": (Batched(), X), "attending": (Attending(), X)}
SERVED = {"integers": (Plain(), INTEGERS), "bfloat16": (Plain(), HALVES), "keyword": (Keyword(), X)}


@pytest.mark.parametrize("case", REFUSED)
def test_what_an_adapter_cannot_serve_is_refused(case: str) -> None:
    module, x = REFUSED[case]
    with pytest.raises(UsageError, match="would do nothing|matches nothing"):
        jax.eval_shape(adapt(from_linen(module), LoRA(("dense",), 2, 5.0)).init, jax.random.key(0), {"inputs": x})


@pytest.mark.parametrize("form", ["factored", "fused"])
@pytest.mark.parametrize("case", SERVED)
def test_unusual_inputs_give_what_merge_gives(case: str, form: str) -> None:
    module, x = SERVED[case]
    model = from_linen(module)
    adapted = adapt(model, LoRA(("dense",), 2, 5.0, form=form))
    variables = adapted.init(jax.random.key(0), {"inputs": x})
    variables = {**variables, "adapter": jax.tree.map(lambda leaf: leaf + 0.3, variables["adapter"])}
    got, wanted = adapted.apply(variables, {"inputs": x}).logits, model.apply(merge(variables), {"inputs": x}).logits
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, atol=2e-5 * float(jnp.abs(wanted).max()))


def test_a_rank_pattern_that_another_hides_is_an_error() -> None:
    sites = {path: Site(path, path, 8, 8, ()) for path in ("a/query/kernel", "a/value/kernel")}
    with pytest.raises(UsageError, match="'query' applies to nothing"):
        targeted(sites, LoRA(("kernel",), 2, 5.0, ranks=(("a/", 3), ("query", 4))))
    assert targeted(sites, LoRA(("kernel",), 2, 5.0, ranks=(("query", 4), ("a/", 3))))["a/query/kernel"][1] == 4
