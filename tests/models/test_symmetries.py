"""A network's permutations leave its function as it is, and each of their axes is needed for that."""

from typing import Any

import jax
import numpy as np
import pytest

from research.analysis.permutations import permuted
from research.models.classifiers import ClassifierConfig, classifier
from research.models.configuration import BIASES, DecoderConfig
from research.models.decoder import decoder
from research.models.model import Model
from research.models.symmetries import Symmetry, classifier_symmetries, decoder_symmetries
from tests.models.drawing import drawn
from tests.models.families import FAMILIES
from tests.models.permuting import moving

TINY = {"vocab_size": 11, "d_model": 8, "n_layers": 2, "n_heads": 4, "n_kv_heads": 4, "d_mlp": 12, "max_length": 8, "head_dim": 4}
TOKENS = {"inputs": np.random.default_rng(0).integers(0, 11, (2, 5)).astype(np.int32)}
LAYER = {"norm": "layer", "bias": BIASES}
SWITCHES: dict[str, dict[str, Any]] = {
    "default": {},
    **{name: switches | {"n_kv_heads": 2, "head_dim": 8, "n_layers": 1} for name, switches in FAMILIES.items()},
    "scanned": {"scan": True, "mlp": "gated", "n_kv_heads": 2, **LAYER},
    "post_norm_of_projections": {"qk_norm": "projection", "norm_place": "post", "n_kv_heads": 2, "n_layers": 1, **LAYER},
    "parallel_norm_of_heads": {"qk_norm": "head", "parallel": True, "norm_place": "post", "n_kv_heads": 2, "n_layers": 1, **LAYER},
}
IMAGES = {"inputs": np.random.default_rng(0).random((3, 18 * 20), np.float32)}
CLASSIFIERS = [ClassifierConfig("mlp", (18, 20), (7, 5)), ClassifierConfig("lenet", (18, 20))]


def assert_each_axis_is_needed(model: Model, batch: Any, symmetries: tuple[Symmetry, ...], idle: set[str]) -> None:
    """All axes together leave the logits as they are; without one of them they change, unless its leaf does nothing, as `idle` says."""
    variables = drawn(model, batch)
    program = jax.jit(lambda variables: model.apply(variables, batch).logits)
    logits = np.asarray(program(variables))

    def change(symmetries: list[Symmetry]) -> float:
        return float(np.abs(np.asarray(program(permuted(variables, moving(symmetries), symmetries))) - logits).max() / logits.std())

    assert change(list(symmetries)) < 1e-5
    without_effect = set()
    for symmetry in symmetries:
        assert change([symmetry]) < 1e-5
        for left_out in symmetry.axes:
            rest = tuple(axis for axis in symmetry.axes if axis != left_out)
            if change([symmetry._replace(axes=rest)]) < 1e-4:
                without_effect.add(left_out.path)
    assert without_effect == idle


@pytest.mark.parametrize("name", SWITCHES)
def test_permutations_of_a_decoder_change_nothing_and_need_each_axis(name: str) -> None:
    config = DecoderConfig(**{**TINY, **SWITCHES[name]})
    # what is added to all keys moves a query's scores alike, which softmax does not see, unless positions turn the keys first
    idle = {"params/layers_0/attention/key/bias"} if name == "gpt2" else set()
    assert_each_axis_is_needed(decoder(config), TOKENS, decoder_symmetries(config), idle)


@pytest.mark.parametrize("config", CLASSIFIERS, ids=lambda config: config.kind)
def test_permutations_of_a_classifier_change_nothing_and_need_each_axis(config: ClassifierConfig) -> None:
    assert_each_axis_is_needed(classifier(config), IMAGES, classifier_symmetries(config), set())


def test_what_moves_in_a_decoder_is_named_by_layer() -> None:
    symmetries = decoder_symmetries(DecoderConfig(**{**TINY, "n_kv_heads": 2}))
    assert [(s.name, s.size, s.group) for s in symmetries] == [
        ("stream", 8, 1),
        ("layers_0/heads", 4, 2),
        ("layers_0/neurons", 12, 1),
        ("layers_1/heads", 4, 2),
        ("layers_1/neurons", 12, 1),
    ]
