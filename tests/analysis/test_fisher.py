"""The Fisher's diagonal of a table of logits: sequence by sequence, token by weighted token, of labels that are drawn or given."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from research.analysis.fisher import fisher_diagonal
from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.model import Model, Output

VOCABULARY = 5
RNG = np.random.default_rng(0)
TABLE = {"logits": jnp.asarray(RNG.standard_normal((VOCABULARY, VOCABULARY)), jnp.float32)}
ROWS = jnp.asarray(RNG.integers(0, VOCABULARY, (6, 4)))
KEY = jax.random.key(0)
TABULAR = Model(lambda key, batch: {}, lambda variables, batch, **_: Output(variables["params"]["logits"][batch["inputs"]], {}))


def to_batch(rows: Any) -> dict[str, Any]:
    return {"inputs": rows[:, :-1], "targets": rows[:, 1:], "weights": jnp.ones(rows[:, 1:].shape)}


def squares(rows: np.ndarray) -> np.ndarray:
    """Returns the squared gradients of each row's summed loss in the table, (rows, vocabulary, vocabulary), of the text's own labels."""
    scores = softmax(np.asarray(TABLE["logits"], float), axis=1) - np.eye(VOCABULARY)[:, None]  # label, context, logit
    found = np.zeros((len(rows), VOCABULARY, VOCABULARY))
    for row, total in zip(np.asarray(rows), found, strict=True):
        for context, label in itertools.pairwise(row):
            total[context] += scores[label, context]
    return found**2


def of_data(rows: Any, batch: Any = to_batch) -> np.ndarray:
    return np.asarray(fisher_diagonal(TABULAR, TABLE, rows, batch, KEY, "data")["logits"])


def test_each_sequence_is_squared_alone_and_its_tokens_together() -> None:
    expected = squares(ROWS).sum(axis=0) / ROWS[:, 1:].size
    np.testing.assert_allclose(of_data(ROWS), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(of_data(np.asarray(ROWS)), expected, rtol=1e-5, atol=1e-7)
    batched = jax.grad(lambda table: -sum(jax.nn.log_softmax(table)[row[:-1], row[1:]].sum() for row in ROWS))(TABLE["logits"])
    assert np.abs(np.asarray(batched) ** 2 / ROWS[:, 1:].size - expected).max() > 0.1


def test_tokens_without_weight_neither_move_nor_count() -> None:
    def masked(rows: Any) -> dict[str, Any]:
        return {**to_batch(rows), "weights": jnp.ones(rows[:, 1:].shape).at[:, -1].set(0)}

    np.testing.assert_allclose(of_data(ROWS, masked), of_data(ROWS[:, :-1]), rtol=1e-6)
    drawn = fisher_diagonal(TABULAR, TABLE, ROWS, masked, KEY)["logits"]
    np.testing.assert_array_equal(np.asarray(drawn).any(axis=1), np.isin(np.arange(VOCABULARY), ROWS[:, :-2]))
    np.testing.assert_array_equal(of_data(ROWS, lambda rows: {**to_batch(rows), "weights": jnp.zeros(rows[:, 1:].shape)}), 0)


def test_drawn_labels_follow_the_model_and_the_key_not_the_text() -> None:
    def of(key: Any, rows: Any = ROWS, **params: Any) -> np.ndarray:
        return np.asarray(fisher_diagonal(TABULAR, params or TABLE, rows, to_batch, key)["logits"])

    np.testing.assert_array_equal(of(KEY), of(KEY))
    assert np.abs(of(KEY) - of(jax.random.key(1))).max() > 1e-2
    relabeled = ROWS.at[:, -1].add(1) % VOCABULARY  # the last token is a label only
    np.testing.assert_array_equal(of(KEY, relabeled), of(KEY))
    assert np.abs(of_data(relabeled) - of_data(ROWS)).max() > 1e-2
    sure = 50.0 * jnp.eye(VOCABULARY)
    np.testing.assert_allclose(of(KEY, logits=sure), 0, atol=1e-12)  # a model that is sure draws what it predicts


def test_equal_sequences_draw_labels_of_their_own() -> None:
    one = fisher_diagonal(TABULAR, TABLE, ROWS[:1], to_batch, KEY)["logits"]
    many = fisher_diagonal(TABULAR, TABLE, jnp.tile(ROWS[:1], (50, 1)), to_batch, KEY)["logits"]
    assert np.abs(np.asarray(many) - np.asarray(one)).max() > 1e-2


def test_a_decoder_has_a_fisher_like_its_weights_under_jit(short_type: str) -> None:
    model = decoder(DecoderConfig(vocab_size=VOCABULARY, d_model=8, n_layers=1, n_heads=1, n_kv_heads=1, d_mlp=8, max_length=4))
    params = model.init(KEY, to_batch(ROWS))["params"]
    short = jax.tree.map(lambda leaf: leaf.astype(short_type), params)
    found, of_short = (jax.jit(lambda p: fisher_diagonal(model, p, ROWS, to_batch, KEY))(each) for each in (params, short))
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, params)
    for leaf in jax.tree.leaves((found, of_short)):
        assert leaf.dtype == jnp.float32 and np.isfinite(leaf).all() and (leaf >= 0).all() and leaf.any()


def test_no_rows_and_unknown_labels_are_refused() -> None:
    with pytest.raises(UsageError, match="no sequences"):
        fisher_diagonal(TABULAR, TABLE, ROWS[:0], to_batch, KEY)
    with pytest.raises(UsageError, match="'true'"):
        fisher_diagonal(TABULAR, TABLE, ROWS, to_batch, KEY, "true")
