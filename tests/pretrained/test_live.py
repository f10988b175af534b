"""The installed transformers agrees in logits and in gradients: python -m pytest -m live (benchmarks/requirements.txt)."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.pretrained.checkpoint import places
from research.pretrained.sources import find
from tests.pretrained import make_goldens

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("default")]


def theirs(case: str, folder: Path, tokens: np.ndarray) -> tuple[np.ndarray, float, dict[str, np.ndarray]]:
    """Saves a case and returns its logits, the mean loss of next tokens, and the gradients by name, computed in float64."""
    import torch

    model = make_goldens.build(case)
    model.save_pretrained(folder, max_shard_size="90KB")
    model = model.double()
    inputs = torch.tensor(tokens)
    logits = model(inputs).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), inputs[:, 1:].reshape(-1))
    loss.backward()
    return logits.detach().numpy(), loss.item(), {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("case", make_goldens.CASES)
def test_logits_and_gradients_are_those_of_the_installed_transformers(case: str, tmp_path: Path) -> None:
    tokens = make_goldens.tokens(case)
    logits, loss, gradients = theirs(case, tmp_path, tokens)
    found = find(f"hf:{tmp_path}")
    config = DecoderConfig(**found.model, max_length=tokens.shape[1], scan=True)
    model = decoder(config)

    def of_params(params: Any) -> tuple[jax.Array, jax.Array]:
        ours = model.apply({"params": params}, {"inputs": tokens}).logits
        chosen = jnp.take_along_axis(jax.nn.log_softmax(ours[:, :-1]), tokens[:, 1:, None], axis=-1)
        return -chosen.mean(), ours

    with jax.default_matmul_precision("highest"):
        (our_loss, our_logits), our_gradients = jax.jit(jax.value_and_grad(of_params, has_aux=True))(found.load(config))
    assert np.abs(np.asarray(our_logits) - logits).max() <= 1e-5 * logits.std()
    np.testing.assert_allclose(our_loss, loss, rtol=1e-6)
    own = tree.flatten(our_gradients)
    renamed = {"lm_head.weight": "embed_out.weight"} if found.family == "gpt_neox" else {}
    by_name = {renamed.get(name, name): gradient for name, gradient in gradients.items()}
    for name, wanted in places(found.rows, found.model).items():
        for row, layer in wanted:
            gradient = row.layout.load(by_name[name], row.shape)
            mine = own[row.ours] if layer is None else own[row.ours][layer]
            largest = np.abs(gradient).max() if "key/bias" not in row.ours else np.abs(own[row.ours.replace("key", "query")]).max()
            assert np.abs(mine - gradient).max() <= 2e-5 * largest, name
