"""Axes of data: nested amounts of a seed's own text, rates of the nearest amount, runs stopped at their lowest, one line of bad input."""

import itertools
import re

import pandas as pd
import pytest

from configs import transfer
from experiments.transfer import check, plan
from experiments.transfer.data_axes import DataSweep, first_windows
from research.analysis.learning_rates import choose, lowest
from research.errors import UsageError


def config(**changes):
    made = transfer.get_config("data")
    with made.unlocked():
        for key, value in changes.items():
            made[key] = value
    return made


def test_both_arms_have_the_amounts_and_scratch_alone_those_beyond_each_at_the_nearest_rate():
    both, further = DataSweep.parts_of(config(seeds=2).to_dict(), 16, 6000)
    assert set(both.arms) == {"scratch", "tuned"} and set(further.arms) == {"scratch"} and further.steps > both.steps
    for part in (both, further):
        chosen = {c["arm"] for c in part.selection()}
        assert {c["rate_of"][0] for c in part.results()} == chosen
        assert {c["seed"] for c in part.results()} == {0, 1} and min(c["seed"] for c in part.selection()) >= 1000
    assert {c["init"] for c in both.results() if c["trains"] == "tuned"} == {"pretrained"}


def test_seeds_have_text_of_their_own_that_stays_theirs_as_seeds_are_added():
    few, many = (first_windows([*range(n), 1000], 20_000, 8000) for n in (3, 5))
    assert few.items() <= many.items() and max(many.values()) + 8000 <= 20_000
    starts = sorted(first for seed, first in many.items() if seed < 1000)
    assert min(after - before for before, after in itertools.pairwise(starts)) > 1000
    assert set(first_windows(range(3), 8000, 8000).values()) == {0}
    with pytest.raises(UsageError, match="an amount of 8001 windows is more than the 8000"):
        first_windows(range(3), 8000, 8001)


def test_a_rate_is_chosen_by_the_lowest_loss_on_the_way_and_the_decoy_by_the_end_is_another():
    losses = {1e-3: (4.0, 3.9, 3.8), 3e-3: (3.5, 3.7, 4.5), 1e-2: (3.6, 5.0, None)}
    rows = [
        {
            "cell": str(rate),
            "init": "random",
            "arm": "scratch@64",
            "trains": "scratch",
            "rank": None,
            "seed": 1000,
            "step": step,
            "value": loss,
        }
        for rate, some in losses.items()
        for step, loss in zip((10, 20, 30), some, strict=True)
    ]
    frame = pd.DataFrame(rows).assign(metric="validation_loss").rename(columns={})
    frame["learning_rate"] = frame["cell"].astype(float)
    assert choose(frame, 30)["learning_rate"][0] == 1e-3
    found = choose(lowest(frame), 30)
    assert found["learning_rate"][0] == pytest.approx(5e-3, rel=0.4) and not found["on_edge"][0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amounts": (1024, 1000)}, "ascending"),
        ({"amounts": (1000, 2048)}, "1000 bytes is not of whole windows"),
        ({"amounts": (2048,)}, "two amounts or more for both arms"),
        ({"scratch_amounts": (2048, 65_536)}, "beyond them"),
        ({"scratch_amounts": ()}, "scratch_amounts = : one or more"),
        ({"widths": (32, 16)}, "widths = 32,16"),
        ({"rates_at": (2048,)}, "none is among scratch's amounts"),
        ({"rates_at": (999,)}, "999, which is no amount"),
        ({"learning_rates": {"scratch": (1e-3, 1e-2), "tuned": (1e-3, 1e-2)}}, "learning_rates.scratch = (0.001, 0.01): at least 3"),
        ({"read_at": ()}, "at which a run may be stopped"),
        ({"target": "stdlib:code"}, "source and target are both stdlib:code"),
        ({"base": "hf:somewhere"}, "leave base=own"),
        ({"seeds": 0}, "seeds = 0"),
    ],
)
def test_what_cannot_be_is_one_line(changes, said):
    with pytest.raises(UsageError, match=re.escape(said)) as error:
        check(config(**changes))
    assert "\n" not in str(error.value)


def test_a_rate_that_falls_is_refused_and_a_plan_counts_every_cell():
    made = config()
    with made.unlocked():
        made.optimizer.schedule = "cosine"
    with pytest.raises(UsageError, match="a rate that does not fall"):
        check(made)
    own = config(widths=(16,), seeds=2)
    parts = DataSweep.parts_of(own.to_dict(), 16, 6000)
    assert plan(own).cells == sum(len(part.selection()) + len(part.results()) for part in parts)
