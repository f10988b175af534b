"""What a model knows of facts, in bits, and whether it writes in a style: two readings that do not move each other."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from research.data.batches import batch
from research.data.facts import Sentence, Style, rows
from research.data.vocabulary import BYTES
from research.errors import UsageError
from research.models.model import Model

AT_ONCE = 256  # rows of one pass


class Queries(NamedTuple):
    """Facts that are asked for: rows (n, length + 1), the place (n,) whose prediction is read, candidates (n, K) and answer (n,).

    Candidates are the bytes of which one begins the value, the answer says which of them is right.
    """

    rows: Any
    place: Any
    candidates: Any
    answer: Any


class StyleQueries(NamedTuple):
    """Sentences in a style: rows (n, length + 1), and at each prediction (n, length) the pair of sets of bytes that tell it from plain.

    sets: (pairs, 2, 256) bool, of the style and of plain. pair: which one, -1 where nothing tells.
    """

    rows: Any
    pair: Any
    sets: Any


def queries(sentences: Sequence[Sentence], length: int, contexts: Sequence[bytes] | None = None) -> Queries:
    """Returns what asks for the value of each sentence, given what stands before it, and before that a context where there is one.

    Rows hold nothing of the value itself. Raises UsageError where a row of `length` + 1 is too short.
    """
    before = [b""] * len(sentences) if contexts is None else [context + b" " for context in contexts]
    prompts = [context + said.prompt for context, said in zip(before, sentences, strict=True)]
    if max(map(len, prompts), default=0) >= length:
        raise UsageError(
            f"a prompt of {max(map(len, prompts))} bytes leaves no place for its value in a row of {length}; choose longer rows"
        )
    candidates = np.array([list(said.candidates) for said in sentences], np.int32)
    answer = np.array([said.answer for said in sentences], np.int32)
    return Queries(rows(prompts, length), np.array([len(prompt) for prompt in prompts], np.int32), candidates, answer)


def recall(model: Model, params: Any, asked: Queries) -> dict[str, Array]:
    """Returns how much of each fact the model knows, arrays (n,): `bits`, `correct` and `mass`; traced.

    bits: log2 K + log2 p(answer | what stands before it, and that it is a candidate): log2 K for who is sure of the right value, 0 for who
    knows nothing, negative for who is sure of a wrong one. correct: whether no candidate is likelier. mass: the probability of all
    candidates, which is form and not fact: whatever it is, bits do not move.
    """

    def one(query: Queries) -> dict[str, Array]:
        logs = _predictions(model, params, query.rows)[query.place]
        among = logs[query.candidates]
        own = jax.nn.log_softmax(among)
        bits = (math.log(len(query.candidates)) + own[query.answer]) / math.log(2)
        return {"bits": bits, "correct": among.argmax() == query.answer, "mass": jnp.exp(jax.nn.logsumexp(among))}

    return jax.lax.map(one, jax.tree.map(jnp.asarray, asked), batch_size=AT_ONCE)


def style_queries(sentences: Sequence[Sentence], style: Style, length: int) -> StyleQueries:
    """Returns what asks whether sentences in a style would have been written so; UsageError for plain, and where a row is too short."""
    if not style.choices:
        raise UsageError("plain is told from no other style; ask for one of the others")
    pair = np.full((len(sentences), length), -1, np.int32)
    for row, said in zip(pair, sentences, strict=True):
        for at, number in said.told:
            row[at] = number
    sets = np.zeros((len(style.choices), 2, BYTES.size), bool)
    for number, sides in enumerate(style.choices):
        for side, some in enumerate(sides):
            sets[number, side, list(some)] = True
    return StyleQueries(rows([said.text for said in sentences], length), pair, sets)


def style(model: Model, params: Any, asked: StyleQueries) -> dict[str, Array]:
    """Returns how surely each sentence would be written in its style, arrays (n,): `score` and `bits`; traced.

    Wherever a sentence tells the style from plain, outside of its value, the model's prediction is asked which of both it will be: the
    probability of the style's bytes there, given that it is those or plain's, whatever the words. score: their product, the probability
    that somebody who decides so writes all of the sentence in the style. It is 0 for who never does, 1 for who always does, and a for who
    does so in a share a of sentences; neither names nor facts move it. bits: -log2 score, what the style costs, which tells progress where
    the score is still 0.
    """

    def one(row: Any, pair: Any) -> dict[str, Array]:
        logs = _predictions(model, params, row)
        sides = jnp.asarray(asked.sets)[pair]
        sums = jax.nn.logsumexp(jnp.where(sides, logs[:, None, :], -jnp.inf), axis=-1)
        own = jnp.where(pair >= 0, sums[:, 0] - jnp.logaddexp(sums[:, 0], sums[:, 1]), 0.0).sum()
        return {"score": jnp.exp(own), "bits": -own / math.log(2)}

    rows_and_pairs = jnp.asarray(asked.rows), jnp.asarray(asked.pair)
    return jax.lax.map(lambda both: one(*both), rows_and_pairs, batch_size=AT_ONCE)


def _predictions(model: Model, params: Any, row: Any) -> Array:
    """Log-probabilities (length, bytes) of what follows each number of a row but the last."""
    return jax.nn.log_softmax(model.apply({"params": params}, batch(row[None], BYTES)).logits[0].astype(jnp.float32))
