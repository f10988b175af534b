from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from research.analysis.depths import center_of_gravity
from research.analysis.probes import FINE, RIDGES, Point, Population, Probed, at_layer, axes, check, crossed, trained_most, up_to_layer
from research.errors import UsageError
from research.training.spread import spread

LAYERS, N, WIDTH, CLASSES = 3, 360, 6, (5, 3)
MOST = 6  # more than any task has
AT_LAYER = jax.jit(at_layer, static_argnums=2, static_argnames="trained")
UP_TO = jax.jit(up_to_layer, static_argnums=2, static_argnames=("trained", "leveled"))


def drawn(seed: int = 0) -> Population:
    """Returns layers of features that are scaled and shifted as they come, and labels that the second layer decides, noisily."""
    generator = np.random.default_rng(seed)
    plain = generator.standard_normal((LAYERS, N, WIDTH))
    plain[..., 1] += plain[..., 0]  # correlated
    scores = plain[1] @ generator.standard_normal((WIDTH, max(CLASSES)))
    labels = [(scores[:, :count] + generator.gumbel(size=(N, count))).argmax(1) for count in CLASSES]
    part = generator.permuted(np.tile(np.arange(N) % 3, (2, 1)), axis=1)
    features = plain * np.logspace(-2, 2, WIDTH) + np.linspace(-50, 50, WIDTH)
    return Population(features.astype(np.float32), np.stack(labels), np.array(CLASSES), np.float32(part == 0), np.float32(part == 1))


POPULATION = drawn()


def probe(
    program: Callable[..., Any], depth: int, population: Population = POPULATION, split: int = 0, task: int = 0, **named: Any
) -> Probed:
    return jax.device_get(program(Point(*map(np.int32, (depth, split, task))), population, MOST, **named))


def peer(ridge: float, layer: int = 1, split: int = 0, task: int = 0) -> np.ndarray:
    """Returns scikit-learn's -log2 p of each label: standardized by training examples, its bias a feature whose ridge is 1."""
    labels, train = POPULATION.labels[task], POPULATION.train[split] > 0
    features = POPULATION.features[layer].astype(float)
    features = (features - features[train].mean(0)) / features[train].std(0)
    features = np.c_[features, np.full(N, np.sqrt(ridge))]
    fitted = LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(features[train], labels[train])
    return -fitted.predict_log_proba(features)[np.arange(N), labels] / np.log(2)


@pytest.mark.parametrize("task", [0, 1])
@pytest.mark.parametrize("split", [0, 1])
def test_a_probe_is_the_optimum_of_the_ridge_that_validation_chooses(split: int, task: int) -> None:
    found = probe(AT_LAYER, 1, split=split, task=task)
    scores = [peer(ridge, 1, split, task)[POPULATION.validation[split] > 0].mean() for ridge in RIDGES]
    assert found.ridge == RIDGES[int(np.argmin(scores))]
    expected = peer(float(found.ridge), 1, split, task)
    np.testing.assert_allclose(found.bits, expected, atol=0.01)
    np.testing.assert_allclose(found.bits.mean(), expected.mean(), atol=1e-4)
    assert 0 < found.gradient <= FINE
    assert found.correct.mean() > 0.5 and set(found.correct) == {0.0, 1.0}
    assert (found.correct == 1)[found.bits < 1].all()  # likelier than all others together


def test_the_scale_and_place_of_features_are_nothing() -> None:
    moved = POPULATION._replace(features=(POPULATION.features + 3) * np.float32([5, 1, 2, 9, 0.1, 1]))
    np.testing.assert_allclose(probe(AT_LAYER, 1, moved).bits, probe(AT_LAYER, 1).bits, atol=0.01)


def test_what_a_test_example_is_moves_no_other() -> None:
    other = np.flatnonzero(POPULATION.train[0] + POPULATION.validation[0] == 0)[:50]
    features, labels = POPULATION.features.copy(), POPULATION.labels.copy()
    features[:, other], labels[:, other] = 1e3, 0
    kept = np.setdiff1d(np.arange(N), other)
    np.testing.assert_array_equal(
        probe(AT_LAYER, 1, POPULATION._replace(features=features, labels=labels)).bits[kept], probe(AT_LAYER, 1).bits[kept]
    )


def test_sizes_are_data() -> None:
    """A weight of 0, and a label of -1, are an example left out; a class more to pad with is none."""
    some = np.arange(N) % 4 > 0
    cut = POPULATION._replace(**{name: getattr(POPULATION, name)[..., some] for name in ("labels", "train", "validation")})
    alone = jax.jit(at_layer, static_argnums=2)(
        Point(*np.int32([1, 0, 0])), cut._replace(features=POPULATION.features[:, some]), max(CLASSES)
    )
    weighted = POPULATION._replace(train=POPULATION.train * some, validation=POPULATION.validation * some)
    unlabeled = POPULATION._replace(labels=np.where(some, POPULATION.labels, -1))
    for masked in (weighted, unlabeled):
        np.testing.assert_allclose(probe(AT_LAYER, 1, masked).bits[some], alone.bits, atol=0.003)
    found = probe(AT_LAYER, 1, unlabeled)
    assert not found.bits[~some].any() and not found.correct[~some].any()


def test_every_point_is_what_it_is_alone() -> None:
    points = crossed(range(LAYERS), range(2), range(2))
    assert [tuple(int(index[at]) for index in points) for at in (0, 1, 2, 11)] == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (2, 1, 1)]
    together = spread(lambda point, population: at_layer(point, population, MOST))(points, POPULATION)
    side_by_side = jax.jit(jax.vmap(lambda point, population: at_layer(point, population, MOST), in_axes=(0, None)))(points, POPULATION)
    for at, (depth, split, task) in enumerate(zip(*points, strict=True)):
        alone = probe(AT_LAYER, depth, split=split, task=task)
        np.testing.assert_allclose(together.bits[at], alone.bits, atol=1e-4)
        np.testing.assert_allclose(side_by_side.bits[at], alone.bits, atol=0.01)


def test_which_axes_and_rows_a_program_takes_changes_no_probe() -> None:
    fewest = trained_most(POPULATION.train)
    assert fewest == N * 3 // 8 and POPULATION.train.sum(1).max() == N // 3
    for program, cumulative in ((AT_LAYER, False), (UP_TO, True)):
        found = axes(POPULATION.features, cumulative)
        np.testing.assert_allclose(np.swapaxes(found, 1, 2) @ found, np.tile(np.eye(WIDTH), (LAYERS, 1, 1)), atol=1e-5)
        given = POPULATION._replace(axes=found)
        np.testing.assert_allclose(probe(program, 1, given, trained=fewest).bits, probe(program, 1).bits, atol=0.01)
    with pytest.raises(AssertionError):  # rows that are too few are seen
        np.testing.assert_allclose(probe(AT_LAYER, 1, trained=fewest // 2).bits, probe(AT_LAYER, 1).bits, atol=0.01)


def test_a_class_that_training_lacks_costs_bits_and_not_infinitely_many() -> None:
    train = POPULATION.train * (POPULATION.labels[0] != 2)
    bits = probe(AT_LAYER, 1, POPULATION._replace(train=train)).bits[POPULATION.labels[0] == 2]
    assert 2 < bits.mean() < 12 and bits.max() < 30


def test_a_feature_that_does_not_vary_in_training_is_none() -> None:
    features = POPULATION.features.copy()
    features[..., 0] = 7 + 100 * (POPULATION.train[0] == 0)
    without = np.delete(features, 0, axis=-1)
    alone = jax.jit(at_layer, static_argnums=2)(Point(*np.int32([1, 0, 0])), POPULATION._replace(features=without), MOST)
    np.testing.assert_allclose(probe(AT_LAYER, 1, POPULATION._replace(features=features)).bits, alone.bits, atol=0.003)


def test_a_cumulative_probe_begins_with_the_first_layer_and_sees_none_above() -> None:
    np.testing.assert_allclose(probe(UP_TO, 0).bits, probe(AT_LAYER, 0).bits, atol=0.003)
    found = probe(UP_TO, 1)
    above = POPULATION._replace(features=np.concatenate([POPULATION.features[:2], 1e3 * POPULATION.features[:1] + 5]))
    np.testing.assert_allclose(probe(UP_TO, 1, above).bits, found.bits, atol=1e-4)
    assert found.mix[2] == 0 and found.norms[2] == 0 and found.mix.sum() == pytest.approx(1)
    assert found.mix[1] > 0.8  # the layer that decides the labels
    assert found.bits.mean() < probe(UP_TO, 0).bits.mean() - 0.3


def test_a_mix_follows_norms_unless_layers_are_leveled() -> None:
    """Of two layers that know the label equally well, the one that is larger takes the mix of raw layers, whichever it is."""
    noise = np.random.default_rng(1).standard_normal((2, N, WIDTH)) * POPULATION.features[1].std(0)
    twins = POPULATION._replace(features=(POPULATION.features[1] + noise - POPULATION.features[1].mean(0)).astype(np.float32))
    even = probe(UP_TO, 1, twins)
    for larger in (0, 1):
        scaled = twins._replace(features=twins.features * np.where(np.arange(2) == larger, 10, 1).astype(np.float32)[:, None, None])
        leveled, raw = probe(UP_TO, 1, scaled), probe(UP_TO, 1, scaled, leveled=False)
        np.testing.assert_allclose(leveled.mix, even.mix, atol=0.01)
        np.testing.assert_allclose(leveled.norms, 1, atol=1e-3)
        assert 0.3 < even.mix[larger] < 0.7 and raw.mix[larger] > 0.9
        assert raw.norms[larger] == pytest.approx(10 * raw.norms[1 - larger], rel=0.2)
        assert center_of_gravity(raw.mix, np.arange(2), raw.norms) == pytest.approx(larger, abs=0.02)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"classes": np.array([5, 1])}, "'b' has one class"),
        ({"classes": np.array([4, 3])}, "'a' of 4 classes has a label 4"),
        ({"classes": np.array([5, N + 1])}, f"'b' of {N + 1} classes has {N} examples"),
        ({"train": np.zeros((2, N))}, "0 to train on"),
        ({"validation": np.zeros((2, N))}, "no labels in a validation part"),
    ],
)
def test_a_task_that_cannot_be_probed_is_refused(changed: dict[str, Any], complaint: str) -> None:
    assert check(POPULATION, ["a", "b"]) == max(CLASSES)
    with pytest.raises(UsageError, match=complaint):
        check(POPULATION._replace(**changed), ["a", "b"])
