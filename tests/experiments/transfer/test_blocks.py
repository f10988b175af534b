"""Blocks: what is copied, what is frozen and what is drawn anew, leaf by leaf, of decoders in both layouts and of classifiers."""

import jax
import numpy as np
import pytest

from experiments.transfer.arms import ARMS, Arm
from experiments.transfer.blocks import Blocks
from research import tree
from research.cells.pretraining import parameter_shapes
from research.errors import UsageError
from research.models.classifiers import ClassifierConfig, classifier
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder

SIZES = {"d_model": 8, "n_layers": 3, "n_heads": 2, "n_kv_heads": 2, "d_mlp": 8, "max_length": 8, "vocab_size": 16}


def filled(shapes, value):
    return jax.tree.map(lambda x: np.full(x.shape, value, np.float32), shapes)


def shapes_of(**changes):
    return parameter_shapes(decoder(DecoderConfig(**{**SIZES, **changes})))


def digits():
    model = classifier(ClassifierConfig("mlp", (4, 4), (8, 8, 8), 4))
    return jax.eval_shape(lambda key: model.init(key, {"inputs": np.zeros((1, 16), np.float32)})["params"], jax.random.key(0))


@pytest.mark.parametrize("shapes", [shapes_of(), shapes_of(scan=True), digits()], ids=["decoder", "stacked", "classifier"])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_first_blocks_are_the_donors_and_the_rest_is_fresh(shapes, n):
    own = Blocks.of(shapes)
    made = tree.flatten(own.grafted(filled(shapes, 1.0), filled(shapes, 0.0), "first", n))
    assert own.count == 3
    for path, leaf in made.items():
        name = path.split("/")[0]
        if name == "layers":
            assert leaf[:n].all() and not leaf[n:].any()
        else:
            copied = name in own.before or (name in own.each and own.each.index(name) < n)
            assert np.all(leaf == float(copied)), path
    assert not any(path.startswith(own.behind) and leaf.any() for path, leaf in made.items())
    assert all(leaf.all() for leaf in tree.flatten(own.grafted(filled(shapes, 1.0), filled(shapes, 0.0), "every", 0)).values())


@pytest.mark.parametrize("n", [0, 1, 3])
def test_what_is_frozen_from_below_and_what_is_frozen_from_above_are_all_but_what_moves(n):
    shapes = shapes_of()
    own, variables = Blocks.of(shapes), {"params": filled(shapes, 0.0)}
    for frozen, stays in (("first", {"embedding", *own.each[:n]}), ("last", {"head", "final_norm", *own.each[3 - n :]})):
        _, still = tree.partition(variables, own.moves(frozen, n))
        assert set(still["params"]) == stays
    stacked = Blocks.of(shapes_of(scan=True))
    chosen = tree.layers_chosen(stacked.moves("first", n), tree.flatten({"params": shapes_of(scan=True)}))
    layers = {tuple(which) for which in chosen.values()}
    assert layers == ({tuple(place >= n for place in range(3))} if n < 3 else set())


def test_a_head_that_is_the_embedding_leaves_the_last_norm_to_train():
    own = Blocks.of(shapes_of(tied=True))
    assert own.behind == ("final_norm",) and own.moves("first", 3) == ("^params/final_norm/",)


def test_a_number_of_blocks_that_the_model_has_not_is_one_line():
    with pytest.raises(UsageError, match="blocks has 4, and the model has 3") as error:
        Blocks.of(shapes_of()).check((1, 4))
    assert "\n" not in str(error.value)


def test_arms_that_begin_alike_share_a_start_and_those_that_freeze_alike_a_program():
    assert Arm("AnB", 2).start == Arm("AnB+", 2).start != Arm("BnB", 2).start
    assert Arm("AnB", 2).shape == Arm("random", 2).shape == Arm("below", 2).shape == "first@2"
    assert {Arm(name, 2).shape for name in ("scratch", "tuned", "AnB+", "BnB+")} == {"none"}
    assert Arm("below", 2).start == Arm("tuned", None).start and Arm("above", 2).shape == "last@2"
    assert set(ARMS) >= {"shuffled", "matched"} and Arm("shuffled", 1).start != Arm("AnB", 1).start
