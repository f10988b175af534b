"""GT6: a net and its own permutation have a barrier between them, and none once they are matched; the planted order is found."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.landscape import barrier
from research.analysis.matching import match_permutations
from research.analysis.permutations import permuted
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.symmetries import decoder_symmetries
from tests.models.drawing import drawn
from tests.models.permuting import moving

SIZES: dict[str, Any] = {"vocab_size": 64, "d_model": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "d_mlp": 64, "max_length": 16}
TOKENS = {"inputs": np.random.default_rng(0).integers(0, 64, (8, 16)).astype(np.int32)}


@pytest.mark.parametrize("switches", [{}, {"mlp": "gated", "tied": True, "scan": True, "norm": "layer", "bias": ("qkv", "mlp", "norm")}])
def test_the_barrier_between_a_net_and_its_own_permutation_vanishes(switches: dict[str, Any]) -> None:
    model, symmetries = decoder(DecoderConfig(**SIZES, **switches)), decoder_symmetries(DecoderConfig(**SIZES, **switches))
    net = drawn(model, TOKENS)
    labels = jax.jit(model.apply)(net, TOKENS).logits.argmax(-1)  # of which the net itself is a solution
    batch = {**TOKENS, "labels": labels}

    def loss(variables: Any, batch: Any) -> jax.Array:
        logits = model.apply(variables, batch).logits
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), batch["labels"][..., None], -1).mean()

    planted = moving(symmetries)
    other = permuted(net, planted, symmetries)
    matched, found = match_permutations(net, other, symmetries)
    assert barrier(loss, net, other, batch).height > 1.0
    assert abs(barrier(loss, net, matched, batch).height) < 1e-6
    for name, order in planted.items():
        np.testing.assert_array_equal(found[name], np.argsort(order), err_msg=name)
