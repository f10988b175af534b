import itertools

import numpy as np
import pytest
from scipy import stats

from research.analysis.depths import Depth, by_document, center_of_gravity, depth, expected_layers, negative_shares, order
from research.findings import Estimate

CURVE = np.array([0.5, 0.6, 0.9, 0.8, 0.85])
LAYERS = np.arange(5)


def test_the_expected_layer_is_the_mean_of_where_the_score_is_gained() -> None:
    assert expected_layers(CURVE, LAYERS) == pytest.approx((1 * 0.1 + 2 * 0.3 - 3 * 0.1 + 4 * 0.05) / 0.35)
    assert expected_layers(CURVE, LAYERS, clip=True) == pytest.approx((0.1 + 0.6 + 0.2) / 0.45)
    assert negative_shares(CURVE) == pytest.approx(0.1 / 0.55)
    assert expected_layers(CURVE, 3 * LAYERS) == pytest.approx(3 * expected_layers(CURVE, LAYERS))
    assert expected_layers(np.array([[0.5, 0.5], [0.5, 0.4], [0.2, 0.7]]), LAYERS[:2]) == pytest.approx([np.nan, np.nan, 1.0], nan_ok=True)
    assert negative_shares(np.ones(5)) == 0


def test_a_mix_lies_where_its_weights_are_or_what_they_bring() -> None:
    mix = np.array([0.5, 0.25, 0.25])
    assert center_of_gravity(mix, np.arange(3)) == pytest.approx(0.75)
    assert center_of_gravity(mix, np.arange(3), np.array([1, 2, 8])) == pytest.approx((0.5 + 4) / 3)


def test_means_of_documents_are_over_their_scored_examples() -> None:
    documents, scored = np.array([4, 2, 4, 4, 9, 2]), np.array([1, 1, 1, 0, 0, 1])
    means, counts = by_document(np.stack([np.arange(6.0), np.ones(6)]), scored, documents)
    assert counts.tolist() == [2, 2]
    np.testing.assert_allclose(means, [[3, 1], [1, 1]])


def scores(seeds: int = 3, groups: int = 12, noise: float = 0.02, seed: int = 0) -> np.ndarray:
    return CURVE[:, None] + noise * np.random.default_rng(seed).standard_normal((seeds, len(CURVE), groups))


def test_a_depth_has_an_interval_over_bases_and_over_documents() -> None:
    raw, weights = scores(), np.arange(5, 17)
    found = depth(raw, weights, np.arange(3), LAYERS)
    each = [expected_layers(one @ weights / weights.sum(), LAYERS) for one in raw]
    kept = [np.delete(np.arange(12), group) for group in range(12)]
    without = [np.mean([expected_layers(one[:, k] @ weights[k] / weights[k].sum(), LAYERS) for one in raw]) for k in kept]
    np.testing.assert_allclose(found.values, each)
    np.testing.assert_allclose(found.replicates, without)
    over_bases = stats.t.ppf(0.975, 2) * np.std(each, ddof=1) / np.sqrt(3)
    effective = weights.sum() ** 2 / (weights**2).sum()
    over_documents = stats.t.ppf(0.975, effective - 1) * np.sqrt(11 / 12 * ((without - np.mean(without)) ** 2).sum())
    assert found.expected.value == pytest.approx(np.mean(each))
    assert found.expected.high - found.expected.value == pytest.approx(np.hypot(over_bases, over_documents))
    assert found.gain.value == pytest.approx(0.35, abs=0.02) and found.gain.low > 0
    assert 0.1 < found.negative < 0.3 and found.clipped.value > found.expected.value + 0.2


@pytest.mark.parametrize("gain", [0.0, -0.2])
def test_where_nothing_is_gained_there_is_no_depth_and_the_gain_says_why(gain: float) -> None:
    raw = 0.5 + gain * (np.arange(5) / 4)[:, None] + 0.02 * np.random.default_rng(1).standard_normal((3, 5, 12))
    found = depth(raw, np.ones(12), np.arange(3), LAYERS)
    for one in (found.expected, found.clipped):
        assert one[:3] == (None, None, None) and one.note.startswith("no depth: all layers gain")
    assert found.gain.value == pytest.approx(gain, abs=0.02)
    assert depth(raw[:1, :, :1].repeat(2, 2), np.ones(2), np.arange(1), LAYERS).gain.low is None


def test_seeds_of_one_base_count_once() -> None:
    raw = scores(4)
    found = depth(raw, np.ones(12), np.array([0, 0, 1, 1]), LAYERS)
    assert found.expected.n == 2 and found.expected.value == pytest.approx(found.values.mean())


def told(values: np.ndarray, replicates: np.ndarray) -> list[Depth]:
    """Returns depths of tasks, of values (tasks, seeds) and replicates (tasks, groups)."""
    some = Estimate(1.0, None, None, 1, "")
    return [Depth(some, some, some, 0.0, own, left_out) for own, left_out in zip(values, replicates, strict=True)]


def test_the_order_of_two_tasks_is_as_sure_as_t_says() -> None:
    replicates = np.stack([np.linspace(-1, 1, 20), np.cos(np.arange(20))]) * 0.05
    weights, values = np.ones(20), np.array([[2.0], [2.15]])
    difference = replicates[1] - replicates[0]
    error = np.sqrt(19 / 20 * ((difference - difference.mean()) ** 2).sum())
    found = order(told(values, values + replicates), weights, np.arange(1))
    assert found.earlier[0, 1] == pytest.approx(stats.t.cdf(0.15 / error, 19), abs=0.01)
    assert dict(found.orders)[(0, 1)] == pytest.approx(found.earlier[0, 1])
    bases = np.array([[2.0, 2.1, 2.4], [2.2, 2.2, 2.6]])
    gap = bases[1] - bases[0]
    alone = order(told(bases, np.zeros((2, 20))), weights, np.arange(3))
    assert alone.earlier[0, 1] == pytest.approx(stats.t.cdf(gap.mean() / (gap.std(ddof=1) / np.sqrt(3)), 2), abs=0.01)


def test_luck_that_tasks_share_makes_no_order_unsure() -> None:
    shared = 0.5 * np.linspace(-1, 1, 20)
    found = order(told(np.array([[2.0], [2.1], [2.2]]), np.array([[2.0], [2.1], [2.2]]) + shared), np.ones(20), np.arange(1))
    assert found.orders == (((0, 1, 2), 1.0),)


def test_tasks_that_nothing_tells_apart_have_all_orders() -> None:
    same = np.tile(2.0 + 0.1 * np.linspace(-1, 1, 20), (3, 1))
    found = order(told(np.full((3, 2), 2.0), same), np.ones(20), np.arange(2))
    assert {one for one, _ in found.orders} == set(itertools.permutations(range(3)))
    assert [chance for _, chance in found.orders] == pytest.approx([1 / 6] * 6, abs=0.02)
    np.testing.assert_allclose(found.earlier, 0.5, atol=0.02)
    assert list(dict(found.orders).values()) == sorted(dict(found.orders).values(), reverse=True)


def test_what_carries_no_order_is_an_error() -> None:
    none, some = (depth(gain * scores(), np.ones(12), np.arange(3), LAYERS) for gain in (0, 1))
    with pytest.raises(ValueError, match="no depth; leave it out"):
        order([some, none], np.ones(12), np.arange(3))
    assert order([some, some], np.ones(12), np.arange(3)).earlier[0, 1] == 0.5
    with pytest.raises(ValueError, match="no depth; leave it out"):
        order(told(np.array([[np.nan], [1.0]]), np.ones((2, 20))), np.ones(20), np.arange(1))
    with pytest.raises(ValueError, match="one base and 3 groups"):
        order(told(np.ones((2, 1)), np.ones((2, 3))), np.ones(3), np.arange(1))
