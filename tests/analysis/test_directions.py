"""Directions have the norms of the weights' filters, whatever the shape in which Flax keeps these."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from research.analysis import directions
from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder

DECODER = {"vocab_size": 11, "d_model": 8, "n_layers": 2, "n_heads": 2, "d_mlp": 12}


def norms(leaf: Any, over: Sequence[int]) -> np.ndarray:
    return np.sqrt(np.square(np.asarray(leaf, np.float64)).sum(axis=tuple(over)))


def leaves_of(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def drawn(init: Callable[..., Any]) -> Any:
    """Normal numbers in the shapes of a model's parameters, without compiling it."""
    shapes, rng = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))["params"], np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)


class Layers(nn.Module):
    """One of each shape of Flax."""

    @nn.compact
    def __call__(self, tokens_bt: jax.Array) -> jax.Array:
        x_btd = nn.Embed(11, 8, name="embedding")(tokens_bt)
        x_btd = nn.MultiHeadDotProductAttention(num_heads=2, name="attention")(x_btd)
        x_btd = nn.Conv(8, kernel_size=(3,), name="convolution")(x_btd)
        return nn.Dense(5, name="dense")(nn.LayerNorm(name="norm")(x_btd))


def test_filters_have_the_norms_of_the_weights() -> None:
    params = drawn(Layers().init)
    found, weights = leaves_of(directions.gaussian(params, jax.random.key(1))), leaves_of(params)
    over = {"embedding/embedding": [1], "convolution/kernel": [0, 1], "dense/kernel": [0], "attention/out/kernel": [0, 1]}
    over |= {f"attention/{name}/kernel": [0] for name in ("query", "key", "value")}
    assert {len(norms(weights[path], axes).ravel()) for path, axes in over.items()} == {11, 8, 5}  # eight: 2 heads of 4, never 2 or 4
    for path, leaf in found.items():
        if path in over:
            np.testing.assert_allclose(norms(leaf, over[path]), norms(weights[path], over[path]), rtol=1e-5, err_msg=path)
            assert norms(leaf - weights[path], range(leaf.ndim)) > 0.5 * norms(leaf, range(leaf.ndim))  # not the weights themselves
        else:
            assert path.endswith(("bias", "scale"))
            assert not np.any(leaf)


def test_each_layer_of_a_stack_has_filters_of_its_own() -> None:
    model = decoder(DecoderConfig(**DECODER, scan=True, bias=("qkv", "out", "mlp", "norm"), norm="layer"))
    params = drawn(lambda key, tokens_bt: model.init(key, {"inputs": tokens_bt}))
    found, weights = leaves_of(directions.gaussian(params, jax.random.key(1))), leaves_of(params)
    over = {"attention/query": [1], "attention/out": [1, 2], "mlp/up": [1], "mlp/down": [1]}
    for module, axes in over.items():
        path = f"layers/{module}/kernel"
        np.testing.assert_allclose(norms(found[path], axes), norms(weights[path], axes), rtol=1e-5, err_msg=path)
        assert not np.any(found[f"layers/{module}/bias"])  # (layers, heads, entries) for queries, and no vector for that
    kept = leaves_of(directions.gaussian(params, jax.random.key(1), vectors="keep"))["layers/attention_norm/scale"]
    np.testing.assert_allclose(norms(kept, [1]), norms(weights["layers/attention_norm/scale"], [1]), rtol=1e-5)
    by_layer = leaves_of(directions.gaussian(params, jax.random.key(1), "layer"))["layers/mlp/up/kernel"]
    np.testing.assert_allclose(norms(by_layer, [1, 2]), norms(weights["layers/mlp/up/kernel"], [1, 2]), rtol=1e-5)


def test_numbered_layers_are_no_stack() -> None:
    params = {"layers": [{"kernel": jax.random.normal(jax.random.key(0), (3, 4))}]}
    found = directions.gaussian(params, jax.random.key(1))["layers"][0]["kernel"]
    np.testing.assert_allclose(norms(found, [0]), norms(params["layers"][0]["kernel"], [0]), rtol=1e-5)


def test_weights_in_boxes_are_seen_without_them() -> None:
    table = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    boxed = {"table": {"bias": nn.Partitioned(table, (None, None)), "embedding": nn.Partitioned(table, (None, None))}}
    model = nnx.state(nnx.Embed(6, 4, rngs=nnx.Rngs(0)))
    bias, by_row = jax.tree.leaves(directions.gaussian(boxed, jax.random.key(1)))
    assert not np.any(bias)
    np.testing.assert_allclose(norms(by_row, [1]), norms(table, [1]), rtol=1e-5)
    (by_row,) = jax.tree.leaves(directions.gaussian(model, jax.random.key(1)))
    np.testing.assert_allclose(norms(by_row, [1]), norms(model["embedding"][...], [1]), rtol=1e-5)


def test_layer_and_global_norms_and_vectors_as_asked() -> None:
    params = {"kernel": 2 * jnp.ones((3, 4)), "bias": jnp.ones(4), "step": jnp.int32(7)}
    whole = directions.gaussian(params, jax.random.key(0), "global", "keep")
    assert norms(np.concatenate([np.ravel(leaf) for leaf in whole.values()]), [0]) == pytest.approx(np.sqrt(4 * 12 + 4), rel=1e-5)
    assert whole["step"] == 0  # no weight
    assert np.any(whole["bias"])
    assert not np.any(directions.gaussian(params, jax.random.key(0), "global")["bias"])
    layer = directions.gaussian(params, jax.random.key(0), "layer", "keep")
    assert norms(layer["kernel"], [0, 1]) == pytest.approx(np.sqrt(48), rel=1e-5)
    assert norms(layer["bias"], [0]) == pytest.approx(2, rel=1e-5)


def test_a_filter_of_norm_zero_stays_and_only_zero_weights_are_refused() -> None:
    params = {"A": jnp.ones((4, 2)), "B": jnp.zeros((2, 3))}
    found = directions.gaussian(params, jax.random.key(0))
    assert np.any(found["A"])
    assert not np.any(found["B"])
    assert np.any(directions.gaussian(params, jax.random.key(0), "global")["B"])
    for normalize in directions.NORMALIZE:
        with pytest.raises(UsageError, match="norm zero"):
            directions.gaussian(jax.tree.map(jnp.zeros_like, params), jax.random.key(0), normalize)
    with pytest.raises(UsageError, match="vectors='keep'"):
        directions.gaussian({"theta": jnp.ones(3)}, jax.random.key(0))
    with pytest.raises(UsageError, match="normalize='filters'"):
        directions.gaussian(params, jax.random.key(0), "filters")


def test_many_directions_at_once_are_gaussian_and_those_of_their_keys() -> None:
    params, keys = {"kernel": jnp.ones((50, 40))}, jax.random.split(jax.random.key(0), 3)
    many = jax.vmap(lambda key: directions.gaussian(params, key, "layer"))(keys)
    np.testing.assert_allclose(many["kernel"][1], directions.gaussian(params, keys[1], "layer")["kernel"], rtol=1e-5)
    assert abs(np.corrcoef(np.reshape(many["kernel"], (3, -1)))[0, 1]) < 0.1  # every key has a direction of its own
    numbers = np.ravel(many["kernel"])  # of a scale of 1, for the weights have it: normal numbers, not uniform ones
    assert np.mean(np.abs(numbers) < 1) == pytest.approx(0.6827, abs=0.02)
    assert abs(numbers.mean()) < 0.05


def test_the_line_between_solutions_leads_from_one_to_the_other() -> None:
    a, b = {"w": jnp.array([1.0, 2.0], jnp.bfloat16)}, {"w": jnp.array([1.0078125, 4.0], jnp.bfloat16)}
    way = directions.between(a, b)
    np.testing.assert_array_equal(way["w"], np.float32([0.0078125, 2]))
    for other, path in (({"v": a["w"]}, "v"), ({"w": jnp.ones(3)}, "w"), ({}, "w")):
        with pytest.raises(UsageError, match=f"^the second solution is of .* {path}\\b"):
            directions.between(a, other)


def test_the_plane_of_a_trajectory_within_a_plane_explains_all_and_keeps_its_shape() -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((7, 2)))[0].T
    inside = np.array([[4.0, 1], [3, -1], [1, 2], [0, 0]])
    points = [{"a": row[:6].reshape(2, 3), "b": row[6:]} for row in inside @ basis + rng.standard_normal(7)]
    found = directions.principal(points)
    assert found.shares.sum() == pytest.approx(1)
    assert found.shares[0] > found.shares[1]
    np.testing.assert_allclose(np.square(found.coordinates).sum(axis=1), np.square(inside).sum(axis=1), atol=1e-6)  # distances to the end
    np.testing.assert_array_less(-1e-9, found.coordinates[0])
    flat = np.stack([np.concatenate([tree["a"].ravel(), tree["b"]]) for tree in found.directions])
    np.testing.assert_allclose(flat @ flat.T, np.eye(2), atol=1e-6)
    for point, place in zip(points, found.coordinates, strict=True):
        np.testing.assert_allclose(directions.projected(jax.tree.map(np.subtract, point, points[-1]), found.directions), place, atol=1e-6)
    stacked = directions.principal(jax.tree.map(lambda *leaves: jnp.stack(leaves), *points))
    np.testing.assert_allclose(stacked.coordinates, found.coordinates, atol=1e-5)


def test_the_components_are_those_of_a_singular_value_decomposition() -> None:
    rng = np.random.default_rng(1)
    points = rng.standard_normal((6, 12)) * np.geomspace(5, 0.1, 12)
    found = directions.principal({"w": points.reshape(6, 4, 3)})
    _, values, rows = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(found.shares, values[:2] ** 2 / (values**2).sum(), rtol=1e-9)
    for tree, row in zip(found.directions, rows, strict=False):
        assert abs(tree["w"].ravel() @ row) == pytest.approx(1, abs=1e-6)


def test_a_random_walk_fills_its_plane_as_much_as_its_closed_form_says() -> None:
    walk = np.cumsum(np.random.default_rng(2).standard_normal((100, 20000)), axis=0)
    expected = np.array([6, 6 / 4]) / np.pi**2
    np.testing.assert_allclose(directions.principal({"w": walk.astype(np.float32)}).shares, expected, atol=0.015)


def test_no_plane_of_points_on_a_line_of_two_points_or_of_two_models() -> None:
    line = [{"w": np.float32(x) * np.ones(3, np.float32)} for x in (0.1, 0.7, 2.3)]
    with pytest.raises(UsageError, match="on one line"):
        directions.principal(line)
    with pytest.raises(UsageError, match="on one line"):
        directions.principal([line[0]] * 3)
    with pytest.raises(UsageError, match="a plane of 2 points"):
        directions.principal(line[:2])
    with pytest.raises(UsageError, match="point 2 of the trajectory is of shape"):
        directions.principal([*line[:2], {"w": np.ones(4)}])


def test_the_projection_is_the_closest_point_of_directions_that_are_not_orthogonal() -> None:
    plane = [{"w": np.array([2.0, 0, 0])}, {"w": np.array([3.0, 1, 0])}]
    np.testing.assert_allclose(directions.projected({"w": np.array([7.0, 1, 9])}, plane), [2, 1])
    with pytest.raises(UsageError, match="do not span a plane"):
        directions.projected({"w": np.ones(3)}, [plane[0], {"w": -0.5 * plane[0]["w"]}])
    with pytest.raises(UsageError, match="do not span a plane"):
        directions.projected({"w": np.ones(3)}, [plane[0], {"w": np.zeros(3)}])
    with pytest.raises(UsageError, match="direction 1 is of another tree .* w$"):
        directions.projected({"w": np.ones(3)}, [plane[0], {}])
