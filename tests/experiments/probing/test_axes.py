"""Axes that cannot be are refused in one line, before anything is read."""

import dataclasses
from typing import Any

import pytest

from configs.probing import get_config
from experiments.probing.axes import ProbingSweep
from experiments.probing.subject import Probing
from research.cells.study import Study
from research.data.vocabulary import BYTES
from research.errors import UsageError


def config(**changes: Any) -> dict[str, Any]:
    """Returns the smoke variant's plain config with changes."""
    return {**get_config("smoke").to_dict(), **changes}


def test_all_depths_are_read_unless_some_are_named() -> None:
    assert ProbingSweep.of(config()).depths == (0, 1, 2)
    assert ProbingSweep.of(config(depths=(0, 2))).depths == (0, 2)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"depths": (0, 3)}, r"depths has 3: this model has depths 0 \(the embedding\) to 2"),
        ({"depths": (1, 2)}, "from 0, the embedding"),
        ({"depths": (0,)}, "to one or more"),
        ({"tasks": ("boundary", "spelling")}, "tasks has 'spelling': choose among boundary"),
        ({"tasks": ()}, "tasks is empty"),
        ({"tasks": ("boundary", "boundary")}, "stands there twice"),
        ({"languages": ("stdlib:code",)}, "'language' has one class"),
        ({"languages": ("stdlib:code", "stdlib:code")}, "stands there twice"),
        ({"inits": ("random",)}, "add it"),
        ({"inits": ("pretrained", "made")}, "inits has 'made'"),
        ({"groups": 6}, "an even number from 8 on"),
        ({"groups": 9}, "an even number from 8 on"),
        ({"examples": 10}, "examples = 10"),
        ({"base": "hf:none/such"}, "none/such"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Probing("probing", config(**changes))


def test_a_base_of_other_tokens_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Study.of({**config(), "steps": 1, "target": "stdlib:code"})
    other = dataclasses.replace(own, vocabulary=dataclasses.replace(BYTES, name="pieces"))
    monkeypatch.setattr(Study, "of", lambda _: other)
    with pytest.raises(UsageError, match="these tasks label bytes, and its tokens are others"):
        Probing("probing", config())


def test_a_plan_counts_what_takes_no_network_among_what_is_probed() -> None:
    plan = Probing("probing", config()).plan()
    assert plan.cells == 2 * (3 + 4)
    assert plan.memory_bytes > 0 and plan.seconds > 0
