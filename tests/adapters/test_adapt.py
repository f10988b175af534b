"""An adapted model is the base at initialization, and equals `merge` ever after."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters.adapt import adapt, attach
from research.adapters.lora import LoRA
from research.adapters.merging import merge
from research.adapters.subspace import Subspace
from research.errors import UsageError
from research.models.configuration import BIASES, DecoderConfig
from research.models.decoder import decoder
from research.models.model import Variables
from tests.models.drawing import drawn
from tests.models.families import FAMILIES

TINY = {"d_model": 16, "d_mlp": 32, "n_heads": 2, "n_kv_heads": 1, "max_length": 8}
BATCH = {"inputs": jnp.arange(16).reshape(2, 8) * 7 % 256}
FAMILY = {"scan": True, "remat": "full", "mlp": "gated", "bias": BIASES, "norm": "layer", "positions": "learned"}
EVERY = ("(kernel|embedding)$",)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (LoRA(("nowhere",), 2), "layers_0/attention/query/kernel"),
        (LoRA(("query",), 17), "min"),
        (LoRA(("query",), 2, ranks=(("mlp", 3),)), "ranks"),
        (LoRA(("query",), 2, alphas=(("vlaue", 3.0),)), "alphas"),
        (LoRA(("embedding",), 2), "tied"),
        (LoRA((), 2), "empty"),
    ],
)
def test_what_does_not_fit_is_refused(spec: LoRA, word: str) -> None:
    adapted = adapt(decoder(DecoderConfig(**TINY, tied=True)), spec)
    with pytest.raises(UsageError, match=word):
        jax.eval_shape(adapted.init, jax.random.key(0), BATCH)


def test_per_path_ranks_and_alphas_and_scalings() -> None:
    spec = LoRA(("attention/",), 2, alpha=6.0, scaling="rslora", ranks=(("out", 4),), alphas=(("query", 3.0),))
    adapted = adapt(decoder(DecoderConfig(**TINY)), spec)
    leaves = tree.flatten(jax.eval_shape(adapted.init, jax.random.key(0), BATCH))
    assert leaves["adapter/layers_1/attention/out/A"].shape == (16, 4)
    assert leaves["adapter/layers_1/attention/key/A"].shape == (16, 2)
    scales = tree.flatten(jax.jit(lambda: adapted.init(jax.random.key(0), BATCH)["constants"])())
    np.testing.assert_allclose(scales["layers_0/attention/out/scale"], 6.0 / 4**0.5)
    np.testing.assert_allclose(scales["layers_0/attention/query/scale"], 3.0 / 2**0.5)


def test_a_rank_is_a_prefix_of_a_larger_one_and_padding_is_zero() -> None:
    model = decoder(DecoderConfig(**TINY))
    params = drawn(model, BATCH)["params"]

    @functools.partial(jax.jit, static_argnums=0)
    def attached(padded_to: int, rank: int | None) -> dict[str, jax.Array]:
        return tree.flatten(attach(jax.random.key(1), model, params, BATCH, LoRA(("mlp/",), padded_to, 6.0), rank=rank))

    padded, solo = jax.device_get((attached(8, 3), attached(3, None)))
    for path, wanted in solo.items():
        if path.endswith("/A"):
            np.testing.assert_allclose(padded[path][:, :3], wanted, rtol=1e-6)  # the same numbers, drawn by two programs
            np.testing.assert_array_equal(padded[path][:, 3:], 0.0)
        elif path.endswith("/scale"):
            np.testing.assert_allclose(padded[path], wanted)


def test_partition_moves_what_matches_and_never_everything_by_default() -> None:
    variables = drawn(adapt(decoder(DecoderConfig(**TINY)), LoRA(("mlp/",), 2, 5.0)), BATCH)
    moves, stays = tree.partition(variables, ("^adapter/",))
    assert set(moves) == {"adapter"} and "adapter" not in stays
    assert jax.tree.structure(tree.combine(moves, stays)) == jax.tree.structure(tree.unflatten(tree.flatten(variables)))
    for patterns in ((), ("^adaptor/",)):
        with pytest.raises(UsageError):
            tree.partition(variables, patterns)


@pytest.mark.parametrize(
    "spec",
    [LoRA(EVERY, 2, 5.0, dropout=0.5), LoRA(EVERY, 2, 5.0, form="fused"), Subspace(3, "count_sketch")],
    ids=["factored", "fused", "subspace"],
)
def test_the_parts_are_adapted_as_the_whole_is(spec: LoRA | Subspace) -> None:
    model = decoder(DecoderConfig(**{**TINY, **FAMILIES["olmo2"], "scan": True, "bias": BIASES}))
    both = adapt(model, spec)
    variables = drawn(both, BATCH)
    if isinstance(spec, Subspace):
        variables["constants"] = jax.jit(both.init)(jax.random.key(0), BATCH)["constants"]

    @jax.jit
    def computed(variables: Variables, key: jax.Array | None) -> tuple[jax.Array, jax.Array, jax.Array]:
        plain = {"params": variables["params"]} if key is None else {"params": merge(variables)["params"]}
        assert both.hidden is not None and both.head is not None
        stream = both.hidden(variables, BATCH, key=key).stream
        return both.apply(variables, BATCH, key=key).logits, both.head(variables, stream, key=key), model.apply(plain, BATCH).logits

    for key in (None, jax.random.key(0)) if isinstance(spec, LoRA) and spec.dropout else (None,):
        whole, parts, other = computed(variables, key)
        np.testing.assert_array_equal(whole, parts)
        assert np.abs(whole - other).max() > 0.01 * np.abs(whole).max()  # the adapter, or its dropout, does something
