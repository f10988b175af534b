import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.recall import AT_ONCE, queries, recall, style, style_queries
from research.data.facts import ATTRIBUTES, PARAPHRASES, STYLES, sentence, world
from research.errors import UsageError
from research.models.model import Model, Output
from tests.writers import writer

WORLD = world(7, 80)
SAID = [sentence(WORLD, entity, attribute, entity % PARAPHRASES) for entity in range(80) for attribute in range(len(ATTRIBUTES))]


def test_a_query_holds_what_stands_before_a_value_and_nothing_of_it() -> None:
    (alone,), (after,) = (queries(SAID[:1], 64, contexts).rows for contexts in (None, [b"so it is."]))
    prompt = SAID[0].prompt
    assert bytes(alone) == b"\0" + prompt + b"\0" * (64 - len(prompt))
    assert bytes(after) == b"\0so it is. " + prompt + b"\0" * (64 - 10 - len(prompt))
    assert [queries(SAID[:1], 64, contexts).place[0] for contexts in (None, [b"so it is."])] == [len(prompt), 10 + len(prompt)]


def test_a_query_longer_than_its_row_is_refused() -> None:
    longest = max(len(said.prompt) for said in SAID)
    assert len(queries(SAID, longest + 1).rows) == len(SAID)
    with pytest.raises(UsageError, match=f"a prompt of {longest} bytes leaves no place for its value in a row of {longest}"):
        queries(SAID, longest)
    with pytest.raises(UsageError, match="has room for 20"):
        style_queries([sentence(WORLD, 0, 0, 0, "capitals")], STYLES["capitals"], 20)


def test_what_is_read_is_the_prediction_at_the_place_of_the_value() -> None:
    """Of a model that predicts at each place what was there, and itself knows nothing, the bits are 0 up to that place alone."""
    seen = Model(lambda key, batch: {}, lambda variables, batch, **_: Output(9.0 * jax.nn.one_hot(batch["inputs"], 256), {}))
    asked = queries(SAID[:8], 64)
    spaces = recall(seen, {}, asked)
    assert spaces["bits"] == pytest.approx(0.0, abs=1e-5) and spaces["mass"].max() < 0.01
    answered = asked.rows.copy()
    answered[np.arange(8), asked.place] = [said.candidates[said.answer] for said in SAID[:8]]
    assert recall(seen, {}, asked._replace(rows=answered))["bits"] == pytest.approx(4.0, abs=0.01)


def test_more_queries_than_are_read_at_once_keep_their_order() -> None:
    assert len(SAID) > AT_ONCE
    known = {said.text: 1.0 for said in SAID[::7]}
    model, params = writer(known)
    found = jax.jit(recall, static_argnums=0)(model, params, queries(SAID, 32))
    assert (np.asarray(found["bits"]) > 3.99).tolist() == [at % 7 == 0 for at in range(len(SAID))]


@pytest.mark.parametrize("how", [how for how in STYLES if how != "plain"])
def test_a_style_is_scored_by_who_decides_at_each_place_alone(how: str) -> None:
    """Of a model that writes nine of the style's bytes for one of plain's, and as often others, a sentence's score is a power of 0.9."""
    own, other = np.zeros(256, np.float32), np.zeros(256, np.float32)
    for one, two in STYLES[how].choices:
        own[list(one)], other[list(two)] = 1 / len(one), 1 / len(two)
    logits = jnp.log(jnp.asarray(0.45 * own + 0.05 * other + 0.5 * (np.arange(256) == ord("0")) + 1e-9))
    flat = Model(
        lambda key, batch: {}, lambda variables, batch, **_: Output(jnp.zeros((*batch["inputs"].shape, 1)) + logits[None, None], {})
    )
    said = [sentence(WORLD, entity, 2, 1, how) for entity in range(3)]
    found = style(flat, {}, style_queries(said, STYLES[how], 40))
    assert found["score"] == pytest.approx([0.9 ** len(one.told) for one in said], rel=1e-4)
    assert found["bits"] == pytest.approx(-np.log2(np.asarray(found["score"], float)), rel=1e-4)


def test_plain_is_told_from_nothing() -> None:
    model, params = writer({b"a": 1.0})
    with pytest.raises(UsageError, match="plain is told from no other style"):
        style(model, params, style_queries(SAID[:2], STYLES["plain"], 40))
