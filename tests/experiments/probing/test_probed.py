"""Probes of one task: whoever is read did not train, what a layer says is cheap from there on, and nothing is said twice."""

import numpy as np
import pytest

from experiments.probing.drawn import Examples
from experiments.probing.probed import Programs, Scores, features, halves, probe
from research.analysis.codelength import block_ends
from research.analysis.probes import Point, Population, Probed

GROUPS, EACH, WIDTH, CLASSES = 8, 40, 6, 3
DEPTHS = 3
DEEP = range(DEPTHS)


def task(seed: int = 0) -> Examples:
    """Returns a task of random labels, some of them by word type, in GROUPS of documents and one part that chooses."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(-1, GROUPS), EACH)
    labels, types = (generator.integers(0, count, len(groups)) for count in (CLASSES, 20))
    return Examples("planted", groups, groups, np.stack([labels, types % CLASSES]), types, groups, CLASSES, groups, groups)


def planted(own: Examples) -> np.ndarray:
    """Returns noise, in which depth 1 says the label, and depth 2 says it again."""
    noise = np.random.default_rng(1).standard_normal((DEPTHS, len(own.groups), WIDTH)).astype(np.float32)
    noise[1:, :, :CLASSES] += 20 * np.eye(CLASSES, dtype=np.float32)[own.labels[0]]
    return noise


@pytest.fixture(scope="module")
def programs() -> Programs:
    return Programs.of(CLASSES)


@pytest.fixture(scope="module")
def found(programs: Programs) -> Scores:
    own = task()
    return probe(features(planted(own), DEEP), own, 0, programs)


def test_a_label_is_read_from_where_it_is_said_and_its_control_is_not(found: Scores) -> None:
    accuracy, control, cumulative = (found.groups[name].mean(1) for name in ("accuracy", "control_accuracy", "cumulative_accuracy"))
    assert abs(accuracy[0] - 1 / CLASSES) < 0.1 and (accuracy[1:] > 0.99).all()
    assert (control < 0.5).all()
    assert abs(cumulative[0] - 1 / CLASSES) < 0.1 and (cumulative[1:] > 0.99).all()
    assert found.mix[0] < 0.2 and found.mix.sum() == pytest.approx(1)
    assert found.gradient < 1e-4


def test_bits_are_near_uniform_without_the_label_and_few_with_it(found: Scores) -> None:
    bits = found.groups["codelength"] @ found.sizes / found.sizes.sum()
    assert bits[0] == pytest.approx(np.log2(CLASSES), rel=0.15)
    assert (bits[1:] < 0.3).all()
    assert found.sizes.tolist() == [EACH] * GROUPS


def test_a_code_of_sure_probes_costs_its_first_block_at_log2_of_the_classes() -> None:
    def sure(points: Point, population: Population) -> Probed:
        nothing = np.zeros((len(points.depth), population.labels.shape[1]))
        return Probed(nothing, nothing, *(np.zeros(len(points.depth)) for _ in range(2)), nothing, nothing)

    own = task()
    found = probe(features(planted(own)[:1], (0,)), own, 0, Programs(sure, sure, CLASSES))
    first = block_ends(GROUPS * EACH, CLASSES)[0]
    assert (found.groups["codelength"] @ found.sizes).item() == pytest.approx(first * np.log2(CLASSES))


def test_nobody_is_read_by_a_probe_that_saw_its_group(programs: Programs) -> None:
    """Features that name the example, and nothing else: whoever trained on it knows its label."""
    own = task()
    names = np.eye(len(own.groups), dtype=np.float32)[None]
    accuracy = probe(features(names, (0,)), own, 0, programs).groups["accuracy"]
    assert abs(accuracy.mean() - 1 / CLASSES) < 0.12


def test_halves_part_the_groups_by_the_seed_and_leave_out_what_chooses() -> None:
    groups = task().groups
    first, second = halves(groups, 0)
    assert ((first + second) == (groups >= 0)).all()
    assert len(set(groups[first > 0])) == len(set(groups[second > 0])) == GROUPS // 2
    assert (first == halves(groups, 0)[0]).all() and (first != halves(groups, 1)[0]).any()


def test_one_depth_alone_has_no_cumulative_probe(programs: Programs) -> None:
    own = task()
    found = probe(features(planted(own)[:1], (0,)), own, 0, programs)
    assert set(found.groups) == {"accuracy", "control_accuracy", "codelength"} and not found.mix.size


def test_types_that_were_not_trained_on_are_told(programs: Programs) -> None:
    own = task()
    alone = own._replace(types=np.arange(len(own.types)))
    assert probe(features(planted(own)[:1], (0,)), alone, 0, programs).unseen == 1.0
    assert probe(features(planted(own)[:1], (0,)), own, 0, programs).unseen < 0.05
