"""GT9: at which depth a label becomes readable, in a transformer whose layer h computes hop h; what random labels cost; what nulls say."""

from typing import NamedTuple

import jax
import numpy as np
import pytest
from scipy.special import softmax

from research.analysis.codelength import block_ends, online_bits, ranks, trained_on
from research.analysis.control_tasks import control_labels, seen_types, selectivity
from research.analysis.depths import Depth, by_document, center_of_gravity, depth, order
from research.analysis.probes import Point, Population, Probed, check, up_to_layer

SEQUENCES, TIME, COLORS, REACH, HOPS = 140, 12, 4, 2, 3
TRAINED, CHOOSING = 60, 20  # sequences; the others are the test part
SEEDS = 3
READ = range(HOPS * REACH, TIME)  # positions from which all hops stay within the sequence
IDS, POINTERS, CURSORS = (slice(part * TIME, (part + 1) * TIME) for part in range(3))
OWN, SLOTS = slice(3 * TIME, 3 * TIME + COLORS), 3 * TIME + COLORS
WIDTH = SLOTS + HOPS * COLORS
TASKS = {"hop 1": 4, "hop 2": 4, "hop 3": 4, "color": 4, "distance": 2, "random": 4, "control": 4}  # and their classes


class Language(NamedTuple):
    """Streams behind the embedding (sequences, time, width); labels (tasks, examples), types and documents (examples,) where it is read."""

    stream: np.ndarray
    labels: np.ndarray
    types: np.ndarray
    documents: np.ndarray


def language(seed: int = 0) -> Language:
    """Returns sequences in which every position has a color, as many of each, and points 1 to REACH positions back.

    The label of hop h is the color where h pointers lead. Colors and pointers are drawn apart, so those before tell nothing of it.
    """
    generator = np.random.default_rng(seed)
    colors = generator.permuted(np.tile(np.arange(TIME) % COLORS, (SEQUENCES, 1)), axis=1)
    pointers = np.maximum(np.arange(TIME) - generator.integers(1, REACH + 1, (SEQUENCES, TIME)), 0)
    stream = np.zeros((SEQUENCES, TIME, WIDTH), np.float32)
    stream[..., IDS], stream[..., OWN] = np.eye(TIME), np.eye(COLORS)[colors]
    stream[..., POINTERS] = stream[..., CURSORS] = np.eye(TIME)[pointers]
    place, labels = np.tile(np.arange(TIME), (SEQUENCES, 1)), []
    distance = place - pointers - 1
    for _ in range(HOPS):
        place = np.take_along_axis(pointers, place, 1)
        labels.append(np.take_along_axis(colors, place, 1))
    labels += [colors, distance, generator.integers(0, COLORS, colors.shape)]
    flat = np.stack([label[:, READ].ravel() for label in labels])
    types = (np.arange(TIME) + TIME * (distance + REACH * colors))[:, READ].ravel()
    documents = np.repeat(np.arange(SEQUENCES), len(READ))
    return Language(stream, np.stack([*flat, control_labels(types, flat[0], seed)]), types, documents)


Head = tuple[np.ndarray, np.ndarray, np.ndarray]  # maps of the stream to queries, to keys, and to what is added to it


def composing() -> list[list[Head]]:
    """Returns the two heads of every layer, which move a cursor, at first the own pointer, one hop further.

    The first looks where the cursor is, brings the color there to the layer's slot, and adds the pointer there to the cursor; the second
    looks at its own position and takes the old cursor away.
    """
    sharp, layers = 60.0, []
    cursor, own = np.zeros((WIDTH, TIME)), np.zeros((WIDTH, TIME))
    move, drop = np.zeros((WIDTH, WIDTH)), np.zeros((WIDTH, WIDTH))
    cursor[CURSORS] = own[IDS] = move[POINTERS, CURSORS] = np.eye(TIME)
    drop[CURSORS, CURSORS] = -np.eye(TIME)
    for layer in range(HOPS):
        bring = move.copy()
        bring[OWN, SLOTS + layer * COLORS : SLOTS + (layer + 1) * COLORS] = np.eye(COLORS)
        layers.append([(sharp * cursor, own, bring), (sharp * own, own, drop)])
    return layers


def gaussian(seed: int = 1) -> list[list[Head]]:
    """Returns the null: maps of the same shapes, their entries drawn at the scale of an initializer."""
    drawn = np.random.default_rng(seed)
    return [[tuple(drawn.standard_normal(w.shape) / np.sqrt(WIDTH) for w in head) for head in layer] for layer in composing()]


def encode(layers: list[list[Head]], stream: np.ndarray) -> np.ndarray:
    """Returns the stream behind the embedding and behind every layer, where it is read: (layers + 1, examples, width)."""
    found = [stream]
    for heads in layers:
        scores = [np.einsum("btk,bsk->bts", found[-1] @ query, found[-1] @ key) for query, key, _ in heads]
        found.append(found[-1] + sum(softmax(one, axis=-1) @ (found[-1] @ value) for one, (_, _, value) in zip(scores, heads, strict=True)))
    return np.stack([state[:, READ].reshape(-1, WIDTH) for state in found]).astype(np.float32)


LANGUAGE = language()
TEST = LANGUAGE.documents >= TRAINED + CHOOSING
SHUFFLED = np.stack([np.random.default_rng(seed).permutation(TRAINED + CHOOSING) for seed in range(SEEDS)])
CHOICE = np.stack([np.isin(LANGUAGE.documents, one[TRAINED:]) for one in SHUFFLED])
PLACES = ranks(~CHOICE[0], LANGUAGE.documents, 0)  # what the online code sends: all but what chooses the ridge
ENDS = block_ends(int((PLACES >= 0).sum()), COLORS)
TRAIN = np.concatenate([~CHOICE & ~TEST, trained_on(PLACES, ENDS)]).astype(np.float32)
CHOOSES = np.concatenate([CHOICE, np.tile(CHOICE[:1], (len(ENDS) - 1, 1))]).astype(np.float32)
PROBE = jax.jit(up_to_layer, static_argnums=2)


class Reader(NamedTuple):
    """An encoder's activations and what is probed on them."""

    population: Population

    def __call__(self, task: str, split: int, last: int) -> Probed:
        point = Point(*map(np.int32, (last, split, list(TASKS).index(task))))
        return jax.device_get(PROBE(point, self.population, COLORS))

    def depth(self, task: str) -> Depth:
        correct = np.stack([[self(task, seed, last).correct for last in range(HOPS + 1)] for seed in range(SEEDS)])
        return depth(*by_document(correct, TEST, LANGUAGE.documents), np.arange(SEEDS), np.arange(HOPS + 1))

    def online(self, task: str, last: int) -> np.ndarray:
        each = np.stack([self(task, SEEDS + block, last).bits for block in range(len(ENDS) - 1)])
        return online_bits(each, PLACES, ENDS, TASKS[task])


def reader(layers: list[list[Head]]) -> Reader:
    population = Population(encode(layers, LANGUAGE.stream), LANGUAGE.labels, np.array(list(TASKS.values())), TRAIN, CHOOSES)
    assert check(population, list(TASKS)) == COLORS
    return Reader(jax.device_put(population))


@pytest.fixture(scope="module")
def composed() -> Reader:
    return reader(composing())


@pytest.fixture(scope="module")
def null() -> Reader:
    return reader(gaussian())


def test_the_transformer_computes_a_hop_in_each_layer() -> None:
    streams = encode(composing(), LANGUAGE.stream)
    for hop in range(1, HOPS + 1):
        slot = streams[..., SLOTS + (hop - 1) * COLORS : SLOTS + hop * COLORS]
        assert (slot[:hop] == 0).all()
        np.testing.assert_allclose(slot[hop:], np.tile(np.eye(COLORS)[LANGUAGE.labels[hop - 1]], (HOPS + 1 - hop, 1, 1)), atol=1e-6)


def test_the_expected_layer_of_a_hop_is_its_number_and_the_order_is_sure(composed: Reader) -> None:
    found = {hop: composed.depth(f"hop {hop}") for hop in (3, 1, 2)}
    for hop, one in found.items():
        assert one.expected.value == pytest.approx(hop, abs=0.1)
        assert one.clipped.value == pytest.approx(hop, abs=0.1) and one.negative < 0.1
        assert one.gain.value == pytest.approx(1 - 1 / COLORS, abs=0.06)
    sure = order(list(found.values()), np.ones(SEQUENCES - TRAINED - CHOOSING), np.arange(SEEDS))
    assert sure.orders[0][0] == (1, 2, 0) and sure.orders[0][1] > 0.99
    assert sure.earlier[1, 2] > 0.99 and sure.earlier[2, 0] > 0.99


def test_labels_that_are_all_read_at_the_embedding_have_no_depth_and_no_order(composed: Reader) -> None:
    found = [composed.depth(task) for task in ("color", "distance")]
    for one in found:
        assert one.expected.value is None and "no depth" in one.expected.note
        assert one.gain.value == pytest.approx(0, abs=0.01)
    with pytest.raises(ValueError, match="no depth"):
        order(found, np.ones(SEQUENCES - TRAINED - CHOOSING), np.arange(SEEDS))


def test_a_random_encoder_says_no_more_than_its_embedding(null: Reader) -> None:
    for hop in (1, HOPS):
        found = null.depth(f"hop {hop}")
        assert found.expected.value is None and abs(found.gain.value) < 0.06
    assert null("color", 0, HOPS).correct[TEST].mean() > 0.99  # what the embedding says is not lost


def test_random_labels_cost_their_uniform_bits_and_are_not_selected(composed: Reader) -> None:
    assert composed.online("random", HOPS).sum() == pytest.approx(np.log2(COLORS) * (PLACES >= 0).sum(), rel=0.03)
    seen, control = seen_types(LANGUAGE.types, TRAIN[0]), composed("control", 0, HOPS).correct
    random, third = (selectivity(composed(task, 0, HOPS).correct, control, TEST, seen) for task in ("random", "hop 3"))
    assert random.selectivity <= 0 and random.accuracy == pytest.approx(1 / COLORS, abs=0.06)
    assert third.selectivity > 0.3 and third.accuracy > 0.99


def test_a_hop_is_cheap_from_the_layer_that_computes_it_and_not_before(composed: Reader) -> None:
    for last, least, most in ((2, 4, 50), (1, 0.95, 1.05)):
        compression = np.log2(COLORS) * (PLACES >= 0).sum() / composed.online("hop 2", last).sum()
        assert least < compression < most


def test_the_mix_looks_at_layers_that_know_and_its_center_of_gravity_follows(composed: Reader) -> None:
    found = [composed(f"hop {hop}", 0, HOPS) for hop in range(1, HOPS + 1)]
    for hop, one in enumerate(found, 1):
        assert one.mix[:hop].max() < one.mix[hop:].min()
    centers = [float(center_of_gravity(one.mix, np.arange(HOPS + 1), one.norms)) for one in found]
    assert centers == sorted(centers)


EXAMPLES, MOST, SURE = 3000, 10, 0.8  # MOST: blocks, for two codes of one shape
ENTROPY = -SURE * np.log2(SURE) - (1 - SURE) * np.log2((1 - SURE) / (COLORS - 1))


def test_a_code_tends_to_the_entropy_of_noisy_labels() -> None:
    """Features say the color, which is the label with probability SURE and else any other: H bits each, and what is paid to learn that."""
    drawn = np.random.default_rng(0)
    colors = drawn.integers(0, COLORS, EXAMPLES)
    noisy = np.where(drawn.random(EXAMPLES) < SURE, colors, (colors + drawn.integers(1, COLORS, EXAMPLES)) % COLORS)
    known = -np.log2(np.where(noisy == colors, SURE, (1 - SURE) / (COLORS - 1)))  # what they cost who knows the language
    choice, paid = np.arange(EXAMPLES) >= EXAMPLES - 500, []
    for sent in (250, 2500):
        places, ends = ranks(np.arange(EXAMPLES) < sent, np.arange(EXAMPLES), 0), block_ends(sent, COLORS)
        train = np.zeros((MOST, EXAMPLES), np.float32)
        train[: len(ends) - 1] = trained_on(places, ends)
        features = np.eye(COLORS, dtype=np.float32)[colors][None]
        population = Population(features, noisy[None], np.array([COLORS]), train, np.tile(choice, (MOST, 1)))
        bits = [PROBE(Point(*np.int32([0, block, 0])), population, COLORS).bits for block in range(len(ends) - 1)]
        online = online_bits(np.stack(bits), places, ends, COLORS)
        paid.append((online - known)[places >= 0].mean())
    assert online.sum() / sent == pytest.approx(ENTROPY, abs=0.06)
    assert paid[0] > 0.05 and paid[1] > 0 and paid[1] < 0.03
