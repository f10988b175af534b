"""Weight matching: the best order among all on small nets, planted orders under noise, and one line for what cannot be matched."""

import functools
import itertools
import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from research import tree
from research.analysis.matching import match_permutations
from research.analysis.permutations import permuted
from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.symmetries import Axis, Symmetry, decoder_symmetries
from tests.models.drawing import drawn
from tests.models.permuting import moving

TOKENS = {"inputs": np.zeros((1, 4), np.int32)}
CONFIG = DecoderConfig(vocab_size=13, d_model=8, n_layers=2, n_heads=4, n_kv_heads=2, d_mlp=12, max_length=8, mlp="gated")
SYMMETRIES = decoder_symmetries(CONFIG)
HEADS = SYMMETRIES[1]


@functools.cache
def params(seed: int, config: DecoderConfig = CONFIG) -> dict[str, Any]:
    return drawn(decoder(config), TOKENS, seed)


def distance(a: Any, b: Any) -> float:
    pairs = zip(tree.flatten(a).values(), tree.flatten(b).values(), strict=True)
    return sum(float(((x.astype(float) - y.astype(float)) ** 2).sum()) for x, y in pairs)


def noisy(near: Any, noise: Any, size: float, where: str = "") -> Any:
    """Returns a tree with `size` times another added to the leaves at `where`."""
    other = tree.flatten(noise)
    return tree.unflatten({path: leaf + size * other[path] * bool(re.match(where, path)) for path, leaf in tree.flatten(near).items()})


def assert_undone(found: dict[str, np.ndarray], planted: dict[str, np.ndarray]) -> None:
    for name, order in planted.items():
        np.testing.assert_array_equal(found[name], np.argsort(order), err_msg=name)


def orders_of(symmetry: Symmetry) -> list[np.ndarray]:
    whole = [np.array(order) for order in itertools.permutations(range(symmetry.size))]
    groups = [order.reshape(-1, symmetry.group) // symmetry.group for order in whole]
    return [order for order, kept in zip(whole, groups, strict=True) if (kept == kept[:, :1]).all()]


@pytest.mark.parametrize("seed", range(6))
def test_heads_are_matched_as_the_best_of_all_orders_that_keep_groups(seed: int) -> None:
    config = DecoderConfig(**{**vars(CONFIG), "n_heads": 6, "n_kv_heads": 3})
    heads, a, b = decoder_symmetries(config)[1], params(2 * seed, config), params(2 * seed + 1, config)
    orders = orders_of(heads)
    assert len(orders) == 48
    distances = [distance(a, permuted(b, {heads.name: order}, [heads])) for order in orders]
    matched, found = match_permutations(a, b, [heads])
    np.testing.assert_array_equal(found[heads.name], orders[int(np.argmin(distances))])
    assert distance(a, matched) == pytest.approx(min(distances))


@pytest.mark.parametrize("seed", range(3))
def test_no_single_symmetry_can_come_closer_once_none_changes(seed: int) -> None:
    a, b = params(0), params(seed + 1)
    matched, found = match_permutations(a, b, SYMMETRIES, seed=seed)
    assert distance(a, matched) < distance(a, b)
    again, none = match_permutations(a, matched, SYMMETRIES, seed=seed + 1)
    assert distance(a, again) == distance(a, matched) and all((order == np.arange(len(order))).all() for order in none.values())
    rng = np.random.default_rng(seed)
    for symmetry in SYMMETRIES:
        for swap in range(20):
            other = permuted(matched, moving([symmetry], int(rng.integers(1 << 30)) + swap), [symmetry])
            assert distance(a, other) >= distance(a, matched)
    for path, leaf in tree.flatten(permuted(b, found, SYMMETRIES)).items():
        np.testing.assert_array_equal(leaf, tree.flatten(matched)[path])


@pytest.mark.parametrize("switches", [{"scan": True}, {"n_kv_heads": 4, "tied": True}, {"norm": "layer", "qk_norm": "projection"}])
def test_a_planted_order_is_found_under_noise(switches: dict[str, Any]) -> None:
    config = DecoderConfig(**{**vars(CONFIG), "vocab_size": 64, "d_model": 16, "head_dim": 4, "rotary_dim": 4, **switches})
    symmetries = decoder_symmetries(config)
    a, planted = params(0, config), moving(symmetries)
    _, found = match_permutations(a, permuted(noisy(a, params(1, config), 0.3), planted, symmetries), symmetries)
    assert_undone(found, planted)


@pytest.mark.parametrize("seed", [4, 5])
def test_a_planted_order_is_found_by_four_tokens_among_many_neurons(seed: int) -> None:
    """In b's own order its neurons would be so much noise to the stream that nothing is found from there."""
    wide = {"vocab_size": 4, "d_model": 16, "head_dim": 4, "rotary_dim": 4, "d_mlp": 64, "n_layers": 3}
    config = DecoderConfig(**{**vars(CONFIG), **wide})
    symmetries = decoder_symmetries(config)
    planted = moving(symmetries, seed)
    assert_undone(match_permutations(params(seed, config), permuted(params(seed, config), planted, symmetries), symmetries)[1], planted)


ROWS = Symmetry("rows", 2, (Axis("hint", -1), Axis("table", -2), Axis("sure", -2)))
COLUMNS = Symmetry("columns", 3, (Axis("table", -1),))
ANCHORED = Symmetry("anchored", 3, (Axis("sure", -1), Axis("anchor", -1)))


def test_what_the_first_round_left_out_is_read_afterwards() -> None:
    """The hint says that the rows are in order, the sure leaf that they are not, and nothing but the rows moves."""
    leaves = {"hint": np.array([1.0, 0.9]), "sure": np.array([[5.0, 0.0, 1.0], [0.0, 5.0, 1.0]]), "anchor": np.array([10.0, 20.0, 30.0])}
    symmetries = [ROWS._replace(axes=(ROWS.axes[0], ROWS.axes[2])), ANCHORED]
    _, found = match_permutations(leaves, {**leaves, "sure": leaves["sure"][::-1]}, symmetries)
    assert found["rows"].tolist() == [1, 0] and found["anchored"].tolist() == [0, 1, 2]


def test_what_was_matched_beside_a_wrong_order_is_matched_again() -> None:
    """The columns were matched while the rows were wrong."""
    leaves = {"hint": np.array([1.0, 0.9]), "sure": np.array([[5.0, 0.0, 1.0], [0.0, 5.0, 1.0]]), "anchor": np.array([10.0, 20.0, 30.0])}
    a = {**leaves, "table": np.array([[1.0, 0.0, 0.2], [0.1, 1.0, 0.0]])}
    b = {**leaves, "sure": leaves["sure"][::-1], "table": a["table"][::-1, [2, 0, 1]]}
    matched, found = match_permutations(a, b, [ROWS, COLUMNS, ANCHORED])
    assert found["rows"].tolist() == [1, 0] and found["columns"].tolist() == [1, 2, 0]
    np.testing.assert_array_equal(matched["table"], a["table"])


@pytest.mark.parametrize("seed", range(3))
def test_what_comes_first_is_corrected_by_what_comes_later(seed: int) -> None:
    """Embedding, norm and head are mostly noise: the stream is found by the layers alone, in later rounds."""
    config = DecoderConfig(**{**vars(CONFIG), "d_model": 16, "head_dim": 4, "rotary_dim": 4, "d_mlp": 32})
    symmetries = decoder_symmetries(config)
    a, planted = params(seed, config), moving(symmetries, seed)
    b = permuted(noisy(a, params(100 + seed, config), 3.0, "params/[^l]"), planted, symmetries)
    first_alone = [symmetries[0]._replace(axes=tuple(axis for axis in symmetries[0].axes if "layers" not in axis.path))]
    assert (match_permutations(a, b, first_alone)[1]["stream"] != np.argsort(planted["stream"])).any()
    assert_undone(match_permutations(a, b, symmetries)[1], planted)


def test_a_start_that_leads_away_is_left_for_the_order_as_it_came() -> None:
    """Embedding, norm and head alone are in another order: following them takes the layers, which agree, apart."""
    outside = [SYMMETRIES[0]._replace(axes=tuple(axis for axis in SYMMETRIES[0].axes if "layers" not in axis.path))]
    a = params(0)
    b = permuted(a, moving(outside), outside)
    matched, found = match_permutations(a, b, SYMMETRIES)
    assert distance(a, matched) == distance(a, b)
    assert all((order == np.arange(len(order))).all() for order in found.values())


def test_leaves_keep_their_type_and_inputs_are_left_alone() -> None:
    a, b = params(0), params(1)
    halves = {"params": {"embedding": {"embedding": b["params"]["embedding"]["embedding"].astype(ml_dtypes.bfloat16)}}}
    only = [Symmetry("stream", 8, (Axis("params/embedding/embedding", -1),))]
    kept = halves["params"]["embedding"]["embedding"].copy()
    matched, _ = match_permutations({"params": {"embedding": a["params"]["embedding"]}}, halves, only)
    assert matched["params"]["embedding"]["embedding"].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(halves["params"]["embedding"]["embedding"], kept)


def broken(path: str, value: np.ndarray) -> dict[str, Any]:
    return tree.unflatten({**tree.flatten(params(1)), path: value})


def test_what_cannot_be_matched_is_one_line() -> None:
    path = "params/layers_0/mlp/up/kernel"
    with pytest.raises(UsageError, match=rf"{path} is \(8, 12\) in one solution, \(8, 13\) in the other"):
        match_permutations(params(0), broken(path, np.zeros((8, 13))), SYMMETRIES)
    with pytest.raises(UsageError, match="params/extra is in one of the solutions only"):
        match_permutations(params(0), broken("params/extra", np.zeros(3)), SYMMETRIES)
    with pytest.raises(UsageError, match="weights of layers_0/neurons are not finite"):
        match_permutations(params(0), broken(path, np.full((8, 12), np.nan)), SYMMETRIES[2:])
    twice = Symmetry("twice", 8, (Axis("params/square", -1), Axis("params/square", -2)))
    with pytest.raises(UsageError, match="symmetry twice moves two axes of params/square"):
        match_permutations({"params": {"square": np.eye(8)}}, {"params": {"square": np.eye(8)}}, [twice])
    deeper = DecoderConfig(**{**vars(CONFIG), "n_layers": 3})
    with pytest.raises(UsageError, match="symmetry stream is of params/layers_2/attention_norm/scale; the paths are: params/embedding"):
        match_permutations(params(0), params(1), decoder_symmetries(deeper))
    wider = DecoderConfig(**{**vars(CONFIG), "d_mlp": 14})
    wanted = re.escape(f"symmetry layers_0/neurons needs 14 entries along axis -1 of {path}, of shape (8, 12)")
    with pytest.raises(UsageError, match=wanted):
        match_permutations(params(0), params(1), decoder_symmetries(wider))


@pytest.mark.parametrize(
    ("order", "words"),
    [([0, 1, 2], "must hold each of 0 to 3 once"), ([0, 1, 1, 2], "must hold each"), ([0, 2, 1, 3], "takes apart a group")],
)
def test_what_is_no_permutation_is_one_line(order: list[int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        permuted(params(0), {HEADS.name: order}, [HEADS])
