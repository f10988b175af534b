"""The axes: every difference is paired, rates are chosen where they are said to be, and what cannot be is one line."""

import re

import numpy as np
import pytest

from configs import transfer
from experiments.transfer import check, plan
from experiments.transfer.axes import SplitSweep, TransferSweep
from experiments.transfer.halves import halves
from experiments.transfer.subject import ORDER
from research.data.batches import orders
from research.data.labeled import load_labeled
from research.errors import UsageError


def config(variant="smoke", **changes):
    made = transfer.get_config(variant)
    with made.unlocked():
        for key, value in changes.items():
            made[key] = value
    return made


def test_all_arms_of_a_seed_share_it_and_rates_are_those_of_the_nearest_number_of_blocks():
    sweep = TransferSweep.of(config("", seeds=2).to_dict())
    cells = sweep.results()
    assert {c["seed"] for c in cells if c["name"] == "AnB"} == {c["seed"] for c in cells if c["name"] == "scratch"} == {0, 1}
    chosen = {c["arm"] for c in sweep.selection()}
    assert {c["rate_of"][0] for c in cells} == chosen
    assert {c["rate_of"][0] for c in cells if c["arm"] == "AnB@2"} == {"AnB@1"}  # the lower of two that are as near
    assert {c["seed"] for c in cells}.isdisjoint(c["seed"] for c in sweep.selection())


def test_the_arms_read_other_batches_than_the_donors():
    """B's arms would otherwise see B's own windows again, in B's order, and A's would not."""
    for seed in range(5):
        donors, cells = orders([seed], 0, 50, 8, 10_000), orders([ORDER + seed], 0, 50, 8, 10_000)
        assert len(np.intersect1d(donors, cells)) < 0.1 * donors.size


def test_splits_have_seeds_of_their_own_and_halves_share_no_class():
    sweeps = SplitSweep.all_of(config("mnist", seeds=3, selection_seeds=2).to_dict())
    seeds = [seed for sweep in sweeps for seed in sweep.all_seeds()]
    assert len(set(seeds)) == len(seeds) == 9
    data = load_labeled("sklearn:digits", 300)
    drawn = [halves(data, split) for split in range(4)]
    assert len({theirs.classes for theirs, _ in drawn}) > 1
    for theirs, own in drawn:
        assert len(theirs.classes) == len(own.classes) == 5 and not set(theirs.classes) & set(own.classes)
        for half in (theirs, own):
            for part, rows in half.parts.items():
                mine = data.parts[part][[label in half.classes for label in data.parts[part][:, -1]]]
                assert [half.classes[label] for label in rows[:, -1]] == mine[:, -1].tolist() and (rows[:, :-1] == mine[:, :-1]).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arms": ("scratch", "CnB")}, "arms has 'CnB': choose among scratch, tuned, BnB"),
        ({"arms": ("AnB", "BnB")}, "all are compared with scratch; add it"),
        ({"arms": ("scratch", "matched")}, "leave it out"),
        ({"arms": ("scratch", "scratch")}, "stands there twice"),
        ({"blocks": (1, 3)}, "blocks has 3, and the model has 2"),
        ({"blocks": (-1, 1)}, "blocks has -1"),
        ({"blocks": (2,)}, "rates at some of the blocks"),
        ({"learning_rates": (1e-3, 1e-2)}, "at least 3"),
        ({"read_at": (1.0,)}, "shares of the steps"),
        ({"selection_steps": 33}, "selection_steps = 33"),
        ({"target": "stdlib:code"}, "source and target are both stdlib:code"),
        ({"seeds": 0}, "seeds = 0"),
    ],
)
def test_what_cannot_be_is_one_line(changes, said):
    with pytest.raises(UsageError, match=re.escape(said)) as error:
        check(config(**changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"blocks": (1, 5), "rates_at": (1,)}, "the model has 4"), ({"hidden": (0, 8)}, "at least 1"), ({"seeds": 0}, "seeds = 0")],
)
def test_what_cannot_be_of_classifiers_is_one_line_too(changes, said):
    with pytest.raises(UsageError, match=said):
        check(config("mnist", images="sklearn:digits", validation_images=300, **changes))


def test_a_plan_counts_every_cell():
    made = config()
    own = TransferSweep.of(made.to_dict())
    assert plan(made).cells == len(own.selection()) + len(own.results()) + len(made.learning_rates) + made.seeds
    images = config("mnist", images="sklearn:digits", validation_images=300)
    first = SplitSweep.all_of(images.to_dict())[0]
    assert plan(images).cells == images.seeds * (len(first.selection()) + len(first.results()) + len(images.learning_rates) + 1)
