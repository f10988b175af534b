"""An adapted model is the base at initialization, and equals `merge` ever after."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters.adapt import adapt, attach
from research.adapters.lora import LoRA
from research.errors import UsageError
from research.models.decoder import DecoderConfig, decoder

TINY = {"d_model": 16, "d_mlp": 32, "n_heads": 2, "n_kv_heads": 1, "max_length": 8}
BATCH = {"inputs": jnp.arange(16).reshape(2, 8) * 7 % 256}
FAMILY = {"scan": True, "remat": "full", "mlp": "gated", "bias": True, "norm": "layer", "positions": "learned"}
EVERY = ("(kernel|embedding)$",)


def moved(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Random A and B, so that the adapter does something."""
    noisy = {
        p: x + 0.3 * jax.random.normal(jax.random.key(i), x.shape) for i, (p, x) in enumerate(tree.flatten(variables["adapter"]).items())
    }
    return {**variables, "adapter": tree.unflatten(noisy)}


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
        adapted.init(jax.random.key(0), BATCH)


def test_per_path_ranks_and_alphas_and_scalings() -> None:
    spec = LoRA(("attention/",), 2, alpha=6.0, scaling="rslora", ranks=(("out", 4),), alphas=(("query", 3.0),))
    variables = tree.flatten(adapt(decoder(DecoderConfig(**TINY)), spec).init(jax.random.key(0), BATCH))
    assert variables["adapter/layers_1/attention/out/A"].shape == (16, 4)
    assert variables["adapter/layers_1/attention/key/A"].shape == (16, 2)
    np.testing.assert_allclose(variables["constants/layers_0/attention/out/scale"], 6.0 / 4**0.5)
    np.testing.assert_allclose(variables["constants/layers_0/attention/query/scale"], 3.0 / 2**0.5)


def test_a_rank_is_a_prefix_of_a_larger_one_and_padding_is_zero() -> None:
    model = decoder(DecoderConfig(**TINY))
    params = model.init(jax.random.key(0), BATCH)["params"]
    padded = tree.flatten(attach(jax.random.key(1), model, params, BATCH, LoRA(("mlp/",), 8, 6.0), rank=jnp.int32(3)))
    solo = tree.flatten(attach(jax.random.key(1), model, params, BATCH, LoRA(("mlp/",), 3, 6.0)))
    for path, wanted in solo.items():
        if path.endswith("/A"):
            np.testing.assert_array_equal(padded[path][:, :3], wanted)
            np.testing.assert_array_equal(padded[path][:, 3:], 0.0)
        elif path.endswith("/scale"):
            np.testing.assert_allclose(padded[path], wanted)


def test_dropout_acts_in_training_only_and_needs_the_factored_form() -> None:
    adapted = adapt(decoder(DecoderConfig(**TINY)), LoRA(("mlp/",), 2, 5.0, dropout=0.5))
    variables = moved(adapted.init(jax.random.key(0), BATCH))
    one, two, plain = (adapted.apply(variables, BATCH, key=k).logits for k in (jax.random.key(1), jax.random.key(2), None))
    assert float(jnp.abs(one - two).max()) > 0
    np.testing.assert_array_equal(plain, adapted.apply(variables, BATCH).logits)
    with pytest.raises(UsageError, match="factored"):
        LoRA(("mlp/",), 2, 5.0, dropout=0.5, form="fused")


def test_partition_moves_what_matches_and_never_everything_by_default() -> None:
    variables = adapt(decoder(DecoderConfig(**TINY)), LoRA(("mlp/",), 2, 5.0)).init(jax.random.key(0), BATCH)
    moves, stays = tree.partition(variables, ("^adapter/",))
    assert set(moves) == {"adapter"} and "adapter" not in stays
    assert jax.tree.structure(tree.combine(moves, stays)) == jax.tree.structure(tree.unflatten(tree.flatten(variables)))
    for patterns in ((), ("^adaptor/",)):
        with pytest.raises(UsageError):
            tree.partition(variables, patterns)
