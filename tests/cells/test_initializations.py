from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.cells.bases import Bases
from research.cells.initializations import Initialization, base_of, check, gaussian, maker, parse, places, rotated, shuffled
from research.errors import UsageError

VECTOR = np.arange(64, dtype=np.float32)
PARAMS = {
    "embedding": {"embedding": jnp.asarray(VECTOR.reshape(8, 8))},
    "head": {"kernel": jnp.asarray(VECTOR.reshape(4, 16) + 100)},
    "layers": {"mlp": {"up": {"kernel": jnp.asarray(np.stack([VECTOR, VECTOR + 1000]).reshape(2, 16, 4))}}},
}


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("pretrained", Initialization("pretrained", "", 1.0)),
        ("random", Initialization("random", "", 1.0)),
        ("shuffled@10%", Initialization("shuffled", "", 0.1)),
        ("pretrained:stdlib:docs", Initialization("pretrained", "stdlib:docs", 1.0)),
        ("pretrained:stdlib:docs@2.5%", Initialization("pretrained", "stdlib:docs", 0.025)),
    ],
)
def test_words_are_taken_apart(word: str, meaning: Initialization) -> None:
    assert parse(word) == meaning


@pytest.mark.parametrize(
    "word", ["", "pretrain", "pretrained@", "pretrained@10", "pretrained@0%", "pretrained@101%", "pretrained:", "random@10%", "random:docs"]
)
def test_other_words_are_a_users_mistake(word: str) -> None:
    with pytest.raises(UsageError, match="inits has"):
        parse(word)


def test_shuffling_keeps_the_entries_of_each_tensor_and_changes_their_order() -> None:
    result = tree.flatten(shuffled(PARAMS, 0))
    assert list(result) == list(tree.flatten(PARAMS))
    for path, leaf in tree.flatten(PARAMS).items():
        assert result[path].shape == leaf.shape and result[path].dtype == leaf.dtype
        np.testing.assert_array_equal(np.sort(result[path], axis=None), np.sort(leaf, axis=None))
        assert np.mean(np.asarray(result[path]) == np.asarray(leaf)) < 0.2


def test_seeds_and_tensors_are_permuted_differently_and_repeatably() -> None:
    one, again, other = (tree.flatten(shuffled(PARAMS, seed)) for seed in (0, 0, 1))
    for path in one:
        np.testing.assert_array_equal(one[path], again[path])
        assert np.any(one[path] != other[path])
    assert np.any(np.ravel(one["embedding/embedding"]) != np.ravel(one["head/kernel"]) - 100)


def test_stacked_layers_keep_their_own_entries_in_their_own_order() -> None:
    first, second = np.asarray(shuffled(PARAMS, 0)["layers"]["mlp"]["up"]["kernel"]).reshape(2, -1)
    np.testing.assert_array_equal(np.sort(first), VECTOR)
    np.testing.assert_array_equal(np.sort(second), VECTOR + 1000)
    assert np.any(first != second - 1000)


def test_gaussian_weights_keep_mean_and_deviation_of_each_layer_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    kernel = np.stack([rng.exponential(scale, (40, 50)) for scale in (1.0, 3.0)]).astype(np.float32)
    params = {"layers": {"up": {"kernel": kernel}, "norm": {"scale": np.arange(4.0)}}}
    new, other = gaussian(params, 1)["layers"], gaussian(params, 2)["layers"]
    drawn = new["up"]["kernel"]
    np.testing.assert_allclose(drawn.mean((1, 2)), kernel.mean((1, 2)), rtol=0.1)
    np.testing.assert_allclose(drawn.std((1, 2)), kernel.std((1, 2)), rtol=0.1)
    assert (drawn < 0).mean() > 0.05 > (kernel < 0).mean()  # exponential entries have none
    assert np.abs(np.corrcoef(drawn.ravel(), kernel.ravel())[0, 1]) < 0.8 and not np.array_equal(drawn, other["up"]["kernel"])
    np.testing.assert_array_equal(new["norm"]["scale"], np.arange(4.0))


@pytest.mark.parametrize(
    ("word", "base", "said"),
    [
        ("pretrained@20%", "hf:x", "pretrained elsewhere"),
        ("shuffled:stdlib:docs", "gguf:x", "pretrained elsewhere"),
        ("pretrained@step3000", "gguf:x", "base=hf:NAME"),
        ("pretrained@step3000", "own", "base=hf:NAME"),
        ("peft:folder", "own", "base=hf:NAME"),
    ],
)
def test_words_are_of_bases_from_here_or_from_elsewhere(word: str, base: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check([word], base)
    check(["pretrained", "gaussian", "rotated", "random"], base)
    check(["pretrained@step3000"], "hf:someone/model")


def test_an_adapter_that_is_not_there_and_a_revision_of_a_folder_are_refused_early(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        check(["pretrained", "peft:nowhere"], "hf:someone/model")
    with pytest.raises(UsageError, match="base=hf:NAME"):
        check(["pretrained@step3000"], f"hf:{tmp_path}")


def test_equal_bases_are_stacked_once() -> None:
    made = {"w": jnp.arange(6.0)}
    index = places(["pretrained", "shuffled", "random"], [0, 1], 1)
    make = maker(index, lambda init, seed: made, lambda seed: {"w": jnp.full(6, float(seed))})
    bases = Bases(make, 5, together=True).stack(0)
    assert bases["w"].shape == (5, 6)
    assert index["pretrained", 0] == index["pretrained", 1] and len(set(index.values())) == 5
    np.testing.assert_array_equal(bases["w"][index["random", 1]], np.ones(6))
    np.testing.assert_array_equal(np.sort(bases["w"][index["shuffled", 1]]), np.arange(6.0))


def test_seeds_draw_pretrained_bases_in_turn() -> None:
    index = places(["pretrained", "pretrained@100%", "pretrained@10%", "random"], [0, 1, 2], 2)
    assert index["pretrained", 0] == index["pretrained", 2] == index["pretrained@100%", 0] != index["pretrained", 1]
    assert len(set(index.values())) == 2 + 2 + 3


def test_rotating_keeps_the_singular_values_of_each_matrix_and_layer_and_nothing_else() -> None:
    generator = np.random.default_rng(1)
    params = {
        "embedding": {"embedding": generator.standard_normal((40, 6))},
        "final_norm": {"scale": generator.standard_normal(6)},
        "layers": {"attention": {"out": {"kernel": generator.standard_normal((2, 2, 3, 6))}, "query": {"bias": np.ones((2, 2, 3))}}},
    }
    made, again, other = (tree.flatten(rotated(params, seed)) for seed in (0, 0, 1))
    for path, leaf in tree.flatten(params).items():
        assert made[path].shape == leaf.shape and made[path].dtype == leaf.dtype
        np.testing.assert_array_equal(made[path], again[path])
        if not path.endswith(("kernel", "embedding")):
            np.testing.assert_array_equal(made[path], leaf)
            continue
        matrices = [x.reshape(-1, 6) for x in (leaf if path.startswith("layers") else [leaf])]
        turned = [x.reshape(-1, 6) for x in (made[path] if path.startswith("layers") else [made[path]])]
        for before, after in zip(matrices, turned, strict=True):
            np.testing.assert_allclose(np.linalg.svd(after)[1], np.linalg.svd(before)[1], rtol=1e-10)
            assert np.abs(before - after).max() > 0.5
        assert np.abs(made[path] - other[path]).max() > 0.5


def test_rotations_are_uniform() -> None:
    """A matrix of rank one turns into u v^T with u and v on the sphere: each square has the mean 1 / n, and signs are even."""
    matrix = {"head": {"kernel": np.outer(np.eye(5)[0], np.eye(3)[0])}}
    drawn = np.stack([rotated(matrix, seed)["head"]["kernel"] for seed in range(400)])
    np.testing.assert_allclose((drawn**2).mean(axis=0), np.full((5, 3), 1 / 15), atol=0.02)
    assert np.abs(drawn.mean(axis=0)).max() < 0.06


def test_a_seed_knows_the_base_it_starts_from() -> None:
    assert [base_of("pretrained@10%", seed, 3) for seed in (0, 1, 4, 1000)] == [0, 1, 1, 1]
    assert base_of("shuffled", 4, 3) == base_of("rotated", 4, 3) == 1 and base_of("random", 4, 3) == 4
