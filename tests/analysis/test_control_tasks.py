import numpy as np
import pytest

from research.analysis.control_tasks import control_labels, seen_types, selectivity

WORDS = np.array(["the", "cat", "saw", "the", "dog", "a", "cat"])


def test_a_control_label_is_its_types_and_nothing_elses() -> None:
    labels = np.array([0, 1, 2, 0, 1, 0, 1])
    for seed in range(20):
        found = control_labels(WORDS, labels, seed)
        assert found[0] == found[3] and found[1] == found[6] and set(found) <= {0, 1, 2}
    other = np.random.default_rng(0).permutation(labels)
    assert (control_labels(WORDS, other, 4) == control_labels(WORDS, labels, 4)).all()  # of a label, only how often it occurs counts
    assert len({tuple(control_labels(WORDS, labels, seed)) for seed in range(20)}) > 10


def test_control_labels_occur_as_often_as_labels_do() -> None:
    labels = np.repeat([0, 2, 3], [5000, 3000, 2000])
    found = np.bincount(control_labels(np.arange(10_000), labels, 1), minlength=4) / 10_000
    np.testing.assert_allclose(found, [0.5, 0, 0.3, 0.2], atol=0.02)
    coin = [control_labels(np.arange(2), np.array([1, 0]), seed)[0] for seed in range(200)]
    assert np.mean(coin) == pytest.approx(0.5, abs=0.15)


def test_control_labels_are_the_same_everywhere_and_none_stays_none() -> None:
    labels = np.array([0, 1, 2, -1, 1, 0, 1])
    assert control_labels(WORDS, labels, 0).tolist() == [1, 0, 1, -1, 0, 0, 0]


def test_selectivity_is_a_difference_and_tells_of_types_that_were_not_trained_on() -> None:
    train, scored = np.array([1, 1, 0, 0, 0, 0, 0]), np.array([0, 0, 1, 1, 1, 1, 1])
    seen = seen_types(WORDS, train)
    assert seen.tolist() == [True, True, False, True, False, False, True]
    right = np.array([[0, 0, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0, 0]])
    control = np.array([[1, 1, 0, 1, 0, 1, 0], [1, 1, 0, 0, 0, 1, 0]])
    found = selectivity(right, control, scored, seen)
    np.testing.assert_allclose(found.accuracy, [0.8, 0])
    np.testing.assert_allclose(found.control, [0.4, 0.2])
    np.testing.assert_allclose(found.selectivity, [0.4, -0.2])
    np.testing.assert_allclose(found.seen, [0.5, 0])
    assert found.unseen == pytest.approx(0.6)
    assert np.isnan(selectivity(right, control, scored, np.zeros(7, bool)).seen).all()
    with pytest.raises(ValueError, match="no example"):
        selectivity(right, control, np.zeros(7), seen)
