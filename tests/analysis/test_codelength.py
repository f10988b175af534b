import numpy as np
import pytest

from research.analysis.codelength import block_ends, online_bits, ranks, trained_on
from research.errors import UsageError


def test_blocks_end_at_the_published_fractions_where_there_are_examples_enough() -> None:
    assert block_ends(100_000, 10) == (100, 200, 400, 800, 1600, 3200, 6250, 12_500, 25_000, 50_000, 100_000)
    assert block_ends(4000, 17) == (64, 128, 250, 500, 1000, 2000, 4000)
    assert block_ends(4000, 16)[0] == 32
    with pytest.raises(UsageError, match="30 examples of 10 classes make no two blocks"):
        block_ends(30, 10)


def test_examples_are_sent_in_a_random_order_of_whole_documents() -> None:
    documents = np.repeat([7, 3, 9, 1], [2, 3, 1, 4])
    part = documents != 9
    places = [ranks(part, documents, seed) for seed in range(20)]
    for one in places:
        assert one[~part] == -1 and sorted(one[part]) == list(range(9))
        assert all(np.ptp(one[documents == name]) + 1 == (documents == name).sum() for name in (7, 3, 1))
    assert {int(one.argmin()) for one in [np.where(one < 0, 99, one) for one in places]} == {0, 2, 6}
    assert (ranks(part, documents, 3) == places[3]).all()
    assert len({tuple(one) for one in places}) > 3


def test_a_code_is_the_first_block_at_log2_k_and_each_other_by_the_probe_of_all_before() -> None:
    ends, classes = (2, 3, 6), 4
    places = np.array([5, 0, -1, 2, 1, 3, 4])
    assert (trained_on(places, ends) == [[0, 1, 0, 0, 1, 0, 0], [0, 1, 0, 1, 1, 0, 0]]).all()
    bits = np.array([np.full(7, 10.0), np.full(7, 100.0)]) + np.arange(7)
    online = online_bits(bits, places, ends, classes)
    np.testing.assert_array_equal(online, [100, 2, 0, 13, 2, 105, 106])
    many = online_bits(np.stack([bits, 2 * bits]), places, ends, classes)
    np.testing.assert_array_equal(many, [online, np.where(online == 2, 2, 2 * online)])
