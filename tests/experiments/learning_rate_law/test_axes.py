"""The axes: rules give each rank an alpha, one alpha is trained once, and what cannot be is one line before anything is written."""

import pytest

from configs import learning_rate_law
from experiments.learning_rate_law import check, plan
from experiments.learning_rate_law.axes import RateSweep
from experiments.learning_rate_law.rules import parse
from research.errors import UsageError


def config(**changes):
    made = learning_rate_law.get_config("smoke")
    with made.unlocked():
        for key, value in changes.items():
            made[key] = value
    return made


def sweep(**changes):
    return RateSweep.of(config(**changes).to_dict())


@pytest.mark.parametrize(("rule", "scales"), [("fixed@32", (32, 8, 2)), ("equal@2", (2, 2, 2)), ("rslora@8", (8, 4, 2))])
def test_a_rule_gives_each_rank_its_scale(rule, scales):
    assert tuple(parse(rule).recipe(rank) / rank for rank in (1, 4, 16)) == pytest.approx(scales)


def test_rules_that_give_a_rank_one_alpha_share_its_cells():
    both, alone = sweep(rules=("fixed@4", "equal@1")), sweep(rules=("fixed@4",))
    assert (4, 4.0) in both.settings and both.settings.count((4, 4.0)) == 1
    assert len(both.settings) == len(alone.settings) + 2
    cells = both.parts()[0].results()
    assert len({(c["init"], c["rank"], c["alpha"], c["seed"], c["rate_of"]) for c in cells}) == len(cells)


def test_the_first_target_is_trained_on_from_all_starts_and_the_others_from_the_first():
    first, second = sweep().parts()
    assert (first.inits, second.inits) == (("pretrained", "random"), ("pretrained",))
    assert len(first.results()) == 2 * len(second.results())


def test_results_are_looked_for_around_what_selection_found_of_the_same_setting():
    part = sweep().parts()[0]
    assert {c["rate_of"][0] for c in part.results()} == {c["arm"] for c in part.selection()}
    assert {c["rate_of"][1] for c in part.results()} == {0.4, 1.0, 2.5}
    assert {c["seed"] for c in part.results()}.isdisjoint(c["seed"] for c in part.selection())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rules": ("fixed",)}, "a strength above 0, such as fixed@32"),
        ({"rules": ("free@1",)}, "choose among fixed, equal, rslora"),
        ({"rules": ("fixed@4", "fixed@4.0")}, "stands there twice"),
        ({"ranks": (1, 2)}, "at least 3 of 1 or more"),
        ({"ranks": (0, 1, 2)}, "at least 3 of 1 or more"),
        ({"ranks": (1, 2, 64)}, "rank 64 is above"),
        ({"factors": (0.5, 2.0, 4.0)}, "1 among them"),
        ({"factors": (1.0, 2.0)}, "at least 3 above 0"),
        ({"factors": (1.0, 1.001, 1.002)}, "at least 1.1 times one another"),
        ({"read_at": (1.5,)}, "shares of the steps"),
        ({"learning_rates": {"lora": (1e-3, 1e-2), "full": (1e-3, 1e-2, 1e-1)}}, "learning_rates.lora"),
        ({"curvature": {"windows": 8, "products": 1}}, "curvature.products = 1"),
        ({"inits": ("pretrained", "trained")}, "trained"),
        ({"targets": ("generated:restaurants", "generated:restaurants")}, "stands there twice"),
        ({"seeds": 0}, "seeds = 0"),
        ({"selection_steps": 31}, "selection_steps = 31"),
    ],
)
def test_what_cannot_be_is_one_line(changes, said):
    with pytest.raises(UsageError, match=said.replace("(", r"\(")) as error:
        check(config(**changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("variant", ["", "smoke"])
def test_a_plan_counts_every_cell(variant):
    made = learning_rate_law.get_config(variant)
    own = RateSweep.of(made.to_dict())
    assert plan(made).cells == sum(len(part.selection()) + len(part.results()) for part in own.parts())
