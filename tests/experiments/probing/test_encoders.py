"""Activations are those of the very byte, at the depth that is asked for, however layers are stacked."""

from typing import Any

import jax
import numpy as np
import pytest

from configs.probing import get_config
from experiments.probing.axes import PERIOD
from experiments.probing.drawn import Drawn, Examples
from experiments.probing.encoders import SIDE, TOGETHER, bag, characters, encoder, read, without_network
from research.cells.pretraining import example_batch
from research.cells.study import Study, model_of
from research.errors import UsageError
from research.models.model import Hidden, Model

LENGTH = 32
ROWS = np.random.default_rng(0).integers(1, 200, (SIDE * TOGETHER + 40, LENGTH)).astype(np.uint8)


def study(**model: Any) -> Study:
    """Returns the smoke variant's study with changes to its model."""
    config = get_config("smoke").to_dict()
    return Study.of({**config, "steps": 1, "target": "stdlib:code", "model": {**config["model"], "n_layers": 3, **model}})


def task(windows: np.ndarray, offsets: np.ndarray) -> Examples:
    """Returns a task of which only the places matter."""
    nothing = np.zeros(len(windows), int)
    return Examples("any", windows, offsets, np.stack([nothing, nothing]), nothing, nothing, 2, offsets, offsets)


PLACES = np.random.default_rng(1).permutation(len(ROWS))[:100], np.random.default_rng(2).integers(LENGTH // 2, LENGTH, 100)


def params(own: Study) -> Any:
    return model_of(own).init(jax.random.key(0), example_batch())["params"]


def test_a_stream_is_read_behind_each_layer_where_the_byte_is() -> None:
    own = study()
    weights = params(own)
    found, again = read(
        encoder(own, model_of(own), (0, 2, 3)), weights, ROWS, [task(*PLACES), task(PLACES[0][:7], PLACES[1][:7])], np.zeros
    )
    np.testing.assert_array_equal(found[0], weights["embedding"]["embedding"][ROWS[PLACES].astype(int)])
    for depth, layers in ((1, 2), (2, 3)):  # a decoder of so many layers ends there, but for its norm
        shorter = study(n_layers=layers)
        inputs = {"inputs": ROWS[PLACES[0]].astype(np.int32)}
        model = model_of(shorter)
        assert model.hidden is not None
        end = model.hidden({"params": weights}, inputs, capture=(f"^layers_{layers - 1}$",)).captured[f"layers_{layers - 1}"][0]
        np.testing.assert_allclose(found[depth], np.asarray(end)[np.arange(100), PLACES[1]], atol=1e-4)
    np.testing.assert_array_equal(again, found[:, :7])


def test_a_word_is_the_mean_over_its_tokens_and_short_windows_read_the_same() -> None:
    own = study()
    weights, reads = params(own), encoder(own, model_of(own), (0, 2))
    window, offset = np.array([3, 3, 5]), np.array([4, 4, 20])
    last, words = (task(window, offset)._replace(start=start) for start in (offset, offset - [0, 2, 3]))
    whole = reads.encode(weights, ROWS[:SIDE])
    at_last, pooled = read(reads, weights, ROWS, [last, words], np.zeros)
    np.testing.assert_allclose(at_last, whole[:, window, offset], atol=1e-5)  # though 8 and 32 tokens of these windows are read
    expected = [whole[:, row, end - back : end + 1].mean(1) for row, end, back in zip(window, offset, (0, 2, 3), strict=True)]
    np.testing.assert_allclose(pooled, np.stack(expected, axis=1), atol=1e-5)
    assert np.abs(pooled[:, 1:] - at_last[:, 1:]).max() > 0.1


def test_tasks_on_the_same_examples_share_one_array() -> None:
    own, one = study(), task(*PLACES)
    some = [one, one._replace(name="other"), task(PLACES[0][:5], PLACES[1][:5])]
    first, again, other = read(encoder(own, model_of(own), (0, 1)), params(own), ROWS, some, np.zeros)
    assert first is again and other.shape[1] == 5


def test_scanned_layers_come_as_one_stack_and_read_the_same() -> None:
    plain, scanned = study(), study(scan=True)
    weights = params(plain)
    layers = jax.tree.map(lambda *leaves: np.stack(leaves), *(weights[f"layers_{i}"] for i in range(3)))
    stacked = {**{name: leaf for name, leaf in weights.items() if not name.startswith("layers_")}, "layers": layers}
    some = [task(*PLACES)]
    one, other = (
        read(encoder(own, model_of(own), (0, 1, 3)), its, ROWS, some, np.zeros)[0] for own, its in ((plain, weights), (scanned, stacked))
    )
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_model_without_the_paths_is_refused() -> None:
    own = study()
    bare = Model(model_of(own).init, model_of(own).apply)
    with pytest.raises(UsageError, match="no stream before its head"):
        encoder(own, bare, (0, 1)).encode(params(own), ROWS[:SIDE])
    other = Model(bare.init, bare.apply, hidden=lambda *_, **__: Hidden(np.zeros(1), {"table": np.zeros(1)}))
    with pytest.raises(UsageError, match=r"no activations at \^embedding\$ .*; its paths are table"):
        encoder(own, other, (0, 1)).encode(params(own), ROWS[:SIDE])


def test_characters_are_the_byte_the_one_before_and_the_place() -> None:
    found = characters(ROWS, task(*PLACES))[0]
    known = np.unique(ROWS)
    window, offset = PLACES
    assert found.shape == (100, 2 * len(known) + PERIOD) and (found.sum(1) == 3).all()
    assert (known[found[:, : len(known)].argmax(1)] == ROWS[window, offset]).all()
    assert (known[found[:, len(known) : 2 * len(known)].argmax(1)] == ROWS[window, offset - 1]).all()
    assert (found[:, 2 * len(known) :].argmax(1) == offset % PERIOD).all()
    longer = without_network("last8", Drawn(ROWS, ROWS, ()), task(window, offset))[0]
    assert (longer.sum(1) == 9).all()
    assert (known[longer[:, 7 * len(known) : 8 * len(known)].argmax(1)] == ROWS[window, offset - 7]).all()


def test_a_bag_is_what_the_window_so_far_holds_without_its_order() -> None:
    window, offset = PLACES
    found = bag(ROWS, task(window, offset))[0]
    known = np.unique(ROWS)
    for place in (0, 17, 99):
        seen = ROWS[window[place], : offset[place] + 1]
        np.testing.assert_allclose(found[place], [(seen == byte).mean() for byte in known], rtol=1e-6)
