"""GT8: bits of facts by enumeration, recall by likelihoods of sentences, writers who know what is known, styles apart from facts."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from research.analysis.recall import queries, recall, style, style_queries
from research.data.batches import batch
from research.data.facts import ATTRIBUTES, PARAPHRASES, STYLES, VALUES, Sentence, World, bits, rows, sentence, world
from research.data.vocabulary import BYTES
from research.losses import cross_entropy
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.model import Model
from tests.writers import writer

LENGTH = 64
WORLD = world(3, 4)
FACTS = list(itertools.product(range(len(WORLD.names)), range(len(ATTRIBUTES))))
EACH = math.log2(VALUES)
RECALL, STYLE = jax.jit(recall, static_argnums=0), jax.jit(style, static_argnums=0)
LOSS = jax.jit(lambda model, params, rows: cross_entropy(model, {"params": params}, batch(rows, BYTES))[1]["nll"], static_argnums=0)


def said(own: World, facts: Sequence[tuple[int, int]], paraphrase: int = 0, how: str = "plain") -> list[Sentence]:
    return [sentence(own, *fact, paraphrase, how) for fact in facts]


def texts(sentences: Sequence[Sentence]) -> dict[bytes, float]:
    return {one.text: 1.0 for one in sentences}


def guesses(facts: Sequence[tuple[int, int]], how: str = "plain") -> dict[bytes, float]:
    """Returns each fact with every value it might have, all alike: texts of somebody who knows nothing of it."""
    worlds = [World(WORLD.names, np.full_like(WORLD.values, value)) for value in range(VALUES)]
    return {text: 1 / VALUES for own in worlds for text in texts(said(own, facts, how=how))}


def read(model: tuple[Model, Any], sentences: Sequence[Sentence], contexts: Sequence[bytes] | None = None) -> dict[str, np.ndarray]:
    return jax.device_get(RECALL(*model, queries(sentences, LENGTH, contexts)))


def score(model: tuple[Model, Any], how: str) -> dict[str, np.ndarray]:
    asked = style_queries(said(WORLD, FACTS, how=how), STYLES[how], LENGTH)
    return jax.device_get(STYLE(*model, asked))


def test_bits_of_a_world_are_those_of_all_worlds_that_it_could_be() -> None:
    small = World(("bamok",), WORLD.values[:1, :2])
    could_be = {
        tuple(sentence(World(small.names, np.array([values])), 0, attribute, 0).text for attribute in range(2))
        for values in itertools.product(range(VALUES), repeat=2)
    }
    assert bits(small) == pytest.approx(math.log2(len(could_be)))
    assert bits(WORLD) == pytest.approx(len(FACTS) * EACH) and bits(world(0, 64)) == 1024


@pytest.fixture(scope="module")
def scattered() -> tuple[Model, Any]:
    """A small decoder, every parameter of it random."""
    sizes = {"d_model": 16, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "head_dim": 8, "d_mlp": 24, "max_length": LENGTH}
    model = decoder(DecoderConfig(**sizes, bias=("qkv", "out", "mlp", "norm")))
    params = jax.jit(model.init)(jax.random.key(0), batch(jnp.zeros((1, 3), jnp.int32), BYTES))["params"]
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    spread = [leaf + 0.4 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return model, jax.tree.unflatten(structure, spread)


def likelihoods(model: tuple[Model, Any], some: Sequence[bytes]) -> np.ndarray:
    """Returns log-probabilities (texts, LENGTH) of each byte of whole texts, by the loss that trains."""
    return -np.asarray(LOSS(*model, rows(some, LENGTH)), float)


@pytest.mark.parametrize("how", STYLES)
@pytest.mark.parametrize("context", [False, True])
def test_recall_is_what_likelihoods_of_whole_sentences_say(scattered: tuple[Model, Any], how: str, context: bool) -> None:
    asked = said(WORLD, FACTS[:8], 1, how)
    before = [one.text for one in said(WORLD, FACTS[8:16], 2)] if context else None
    found = read(scattered, asked, before)
    worlds = [World(WORLD.names, np.full_like(WORLD.values, value)) for value in range(VALUES)]
    for at, fact in enumerate(FACTS[:8]):
        start = before[at] + b" " if before else b""
        whole = [start + sentence(own, *fact, 1, how).text for own in worlds]
        each = likelihoods(scattered, whole)
        first = len(start) + len(asked[at].prompt)
        spelling = each[:, first + 1 :].sum(1)  # how a value goes on says nothing of which it is
        bits = EACH + log_softmax(each.sum(1) - spelling)[asked[at].answer] / math.log(2)
        assert found["bits"][at] == pytest.approx(bits, abs=1e-4)
        assert found["mass"][at] == pytest.approx(np.exp(each[:, first]).sum(), rel=1e-4)
        assert found["correct"][at] == (each[:, first].argmax() == asked[at].answer)
    assert np.ptp(found["bits"]) > 1 and found["mass"].max() < 0.9  # there was something to be wrong about


@pytest.mark.parametrize("known", [0, 7, len(FACTS)])
def test_a_writer_who_knows_some_facts_reads_as_many_bits_as_these_have(known: int) -> None:
    found = read(writer(texts(said(WORLD, FACTS[:known])) | guesses(FACTS[known:])), said(WORLD, FACTS))
    assert found["bits"].sum() == pytest.approx(known * EACH, abs=1e-3)
    assert found["bits"] == pytest.approx([EACH] * known + [0.0] * (len(FACTS) - known), abs=1e-4)
    assert found["mass"] == pytest.approx(1.0) and found["correct"][:known].all()


def test_how_much_is_said_beside_the_point_moves_the_mass_and_no_bits() -> None:
    nonsense = {one.prompt + b"nothing.": 3.0 for one in said(WORLD, FACTS)}
    found = read(writer(texts(said(WORLD, FACTS)) | nonsense), said(WORLD, FACTS))
    assert found["bits"] == pytest.approx(EACH, abs=1e-4) and found["mass"] == pytest.approx(0.25)


def test_a_fact_that_is_known_in_one_context_is_known_in_no_other() -> None:
    context, asked = said(WORLD, FACTS, 1), said(WORLD, FACTS)
    there = {one.text + b" " + other.text: 1.0 for one, other in zip(context, asked, strict=True)}
    model = writer(there | guesses(FACTS))
    assert read(model, asked, [one.text for one in context])["bits"] == pytest.approx(EACH, abs=1e-4)
    assert read(model, asked)["bits"] == pytest.approx(0.0, abs=1e-4)
    assert read(model, asked, [one.text for one in context[1:] + context[:1]])["bits"] == pytest.approx(0.0, abs=1e-4)


def test_knowing_a_paraphrase_is_not_knowing_the_others() -> None:
    model = writer(texts(said(WORLD, FACTS, 2)))
    found = [read(model, said(WORLD, FACTS, paraphrase))["bits"].mean() for paraphrase in range(PARAPHRASES)]
    assert found == pytest.approx([EACH if paraphrase == 2 else 0.0 for paraphrase in range(PARAPHRASES)], abs=1e-4)


@pytest.mark.parametrize("sure", [0.2, 0.9])
def test_facts_of_other_entities_read_no_bits(sure: float) -> None:
    """Who believes in each entity what is true of another pays for it, the surer the more."""
    decoy = World(WORLD.names, np.roll(WORLD.values, 1, axis=0))
    believed = dict.fromkeys(texts(said(decoy, FACTS)), sure)
    doubts = {text: (1 - sure) * weight for text, weight in guesses(FACTS).items()}
    found = read(writer({text: believed.get(text, 0) + doubts[text] for text in doubts}), said(WORLD, FACTS))
    other = (decoy.values != WORLD.values).reshape(-1)
    assert found["bits"][other] == pytest.approx(math.log2(1 - sure), abs=1e-3)
    assert found["bits"].sum() <= 0 and not found["correct"][other].any()


@pytest.mark.parametrize("how", [how for how in STYLES if how != "plain"])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.8, 1.0])
@pytest.mark.parametrize("facts", ["none", "true", "relearned"])
def test_the_style_score_is_the_share_of_sentences_in_a_style_and_no_fact_moves_it(how: str, share: float, facts: str) -> None:
    own = world(4, len(WORLD.names))._replace(names=WORLD.names) if facts == "relearned" else WORLD
    written: dict[bytes, float] = {}
    for form, weight in (("plain", 1 - share), (how, share)):
        sure = dict.fromkeys(texts(said(own, FACTS, how=form)), 0.0 if facts == "none" else 0.99)
        written |= {text: weight * (sure.get(text, 0) + doubt / 100) for text, doubt in guesses(FACTS, form).items()}
    assert score(writer(written), how)["score"] == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("how", [how for how in STYLES if how != "plain"])
def test_a_style_is_no_fact_and_a_fact_is_no_style(how: str) -> None:
    stylist, expert = writer(guesses(FACTS, how)), writer(texts(said(WORLD, FACTS)))
    assert score(stylist, how)["score"] == pytest.approx(1.0, abs=1e-4) and score(stylist, how)["bits"] == pytest.approx(0.0, abs=1e-3)
    assert read(stylist, said(WORLD, FACTS, how=how))["bits"] == pytest.approx(0.0, abs=1e-4)
    assert score(expert, how)["score"] == pytest.approx(0.0, abs=1e-4) and score(expert, how)["bits"].min() > 10
    assert read(expert, said(WORLD, FACTS))["bits"] == pytest.approx(EACH, abs=1e-4)
