"""What each claim is worth in short: a sentence a claim, a word a verdict, and none where a verdict is missing."""

from typing import Any

import pandas as pd
import pytest

from experiments.lora_vs_full.answers import CLAIM, EQUAL_TARGET, MIXED, answer, overall
from experiments.lora_vs_full.readings import findings
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED
from research.figures.report import paragraphs
from research.findings import Finding
from tests.experiments.lora_vs_full.planted import BASES, OTHERWISE, records

FULL_UPDATE, NEW = "A full update has", "than the same training where nothing is new"
BEST, MORE_INTRUDERS = "At the learning rates at which each learns best", "LoRA has more intruders than full training"
HANGS = f"whether {MORE_INTRUDERS} hangs on"
FEWER_LABELS, MORE_LABELS = ", and fewer than on shuffled labels", ", and more than on shuffled labels"
NO_EVIDENCE = ": a high rank is no evidence of learning"
OWN = "Full training has some, too, by its end: 8.0 [2.3, 13.7] a matrix"
SCALED, WHOLE = "Scaling LoRA's intruders down", "the whole update down to the same loss on the target"
LESS_OTHERS, MORE_OTHERS = ", and less than scaling as many other directions", ", and more than scaling as many other directions"
RANDOM = "its singular values make in random directions"


def loras(**values: float) -> dict[tuple[str, str], float]:
    """Returns readings of both adapters, by null."""
    return {(arm, null): value for arm in ("lora@2", "lora@8") for null, value in values.items()}


def both(bits: float) -> dict[str, float]:
    """Returns what scaling loses of the source, of both adapters."""
    return {"lora@2": bits, "lora@8": bits}


APART = {"lora@2": -0.1, "lora@8": 0.1}
# What is planted of ranks, of intruders and of scaling them, full's rank being 20 and its intruders 4; and what the first paragraph says.
SHORT: dict[str, tuple[dict[str, Any], list[str]]] = {
    "less": (
        {"ranks": {("full", "source"): 25.0}, "intruders": loras(none=2.0, rotated=0.5), "more": both(-0.1)},
        [
            f"{FULL_UPDATE} fewer directions {NEW}{FEWER_LABELS}{NO_EVIDENCE}",
            f"{BEST} LoRA has fewer intruders than full training; they are more than {RANDOM}",
            OWN,
            f"{SCALED} loses less of the source than scaling {WHOLE}{LESS_OTHERS}",
        ],
    ),
    "alike": (  # at the end LoRA has more than full, of which it is not told whether it has any
        {
            "ranks": {("full", "source"): 20.0, ("full", "shuffled"): 20.0},
            "intruders": {**loras(none=4.0, rotated=6.0), ("full", "none", "end"): 1.0},
            "more": both(0.0),
            "others": 0.0,
        },
        [
            f"{FULL_UPDATE[:-4]} is not told apart in its number of directions from {NEW.removeprefix('than ')}{NO_EVIDENCE}",
            f"{BEST} LoRA's intruders are not told apart in number from full training's; they are fewer than {RANDOM}",
            f"{SCALED} is not told apart from scaling {WHOLE}",
        ],
    ),
    "more": (
        {
            "ranks": {("full", "source"): 15.0, ("full", "shuffled"): 10.0},
            "intruders": loras(none=6.0, rotated=6.0),
            "more": both(0.1),
            "others": -0.08,
        },
        [
            f"{FULL_UPDATE} more directions {NEW}{MORE_LABELS}",
            f"{BEST} {MORE_INTRUDERS}; in number they are not told apart from what {RANDOM}",
            OWN,
            f"{SCALED} loses more of the source than scaling {WHOLE}{MORE_OTHERS}",
        ],
    ),
    "mixed by arm": (
        {"ranks": {("full", "source", "0.5"): 15.0}, "intruders": OTHERWISE, "more": {"lora@2": 0.0, "lora@8": 0.1}},
        [
            f"Whether a full update has more directions {NEW} hangs on how much was learned{FEWER_LABELS}",
            f"{BEST} {HANGS} the rank and on how much was learned",
            OWN,
            f"{SCALED} loses more of the source than scaling {WHOLE}, or is not told apart from it{LESS_OTHERS}",
        ],
    ),
    "mixed by place, and with a less in it": (  # at the end LoRA has fewer than full, where they have not learned equally much
        {
            "ranks": {("full", "source", "end"): 15.0},
            "intruders": {("lora@2", "none", "end"): 1.0},
            "more": {"lora@2": -0.1, "lora@8": 0.1},
        },
        [
            f"Whether a full update has more directions {NEW} hangs on how much was learned{FEWER_LABELS}",
            f"{BEST} {MORE_INTRUDERS}",
            OWN,
        ],
    ),
    "mixed between the shares": (
        {"intruders": {("lora@2", "none", "0.8"): 1.0, **loras(rotated=0.5)}, "more": both(-0.1)},
        [
            f"{FULL_UPDATE} fewer directions {NEW}{FEWER_LABELS}{NO_EVIDENCE}",
            f"{BEST} {HANGS} the rank and on how much was learned",
            OWN,
            f"{SCALED} loses less of the source than scaling {WHOLE}{LESS_OTHERS}",
        ],
    ),
}


@pytest.mark.parametrize("made", SHORT)
def test_the_first_paragraph_is_the_verdicts_in_short(made: str) -> None:
    planted, expected = SHORT[made]
    own = records(**planted)
    short, long = paragraphs(answer(findings(own[~own["phase"].isin(["cut", "alike", "spectrum"])])))
    assert short == " ".join(f"{sentence}." for sentence in ("The target is a text", CLAIM, *expected))
    assert long.startswith("90 % of the energy")


def test_without_rotated_updates_nothing_is_said_of_random_directions() -> None:
    own = records()
    own = own[own["phase"].isin(["reference", "result", "null", "update"]) & (own["like"] != "rotated")]
    assert f"{BEST} {MORE_INTRUDERS}." in paragraphs(answer(findings(own)))[0]


@pytest.mark.parametrize(
    ("fewer", "said"),
    [
        ({}, f"{MORE_INTRUDERS}."),
        ({"0.5": 2.0, "0.8": 3.0}, "LoRA's intruders are not told apart in number from full training's."),
        ({"0.5": 4.0, "0.8": 6.0}, "LoRA has fewer intruders than full training."),
        ({"0.8": 3.0}, f"{HANGS} the rate and on how much was learned."),
    ],
)
def test_slowed_adapters_are_told_in_a_sentence_of_their_own(fewer: dict[str, float], said: str) -> None:
    """As lora@8 but for how many intruders they have, where it has 6.0 and 9.0 and full training 4.0 and 6.0."""
    own = records()
    own = own[own["phase"].isin(["reference", "result", "null", "update"])]
    slowed = own[(own["arm"] == "lora@8") & (own["seed"] < BASES)].assign(arm="slowlora@0.3")
    less = slowed["at"].map(fewer).fillna(0.0) * ((slowed["metric"] == "intruders") & (slowed["like"] == "own"))
    short, _ = paragraphs(answer(findings(pd.concat([own, slowed.assign(value=slowed["value"] - less)], ignore_index=True))))
    assert f"At a lower rate {said}" in short and f"{BEST} {MORE_INTRUDERS}" in short
    assert "At a lower rate" not in answer(findings(own))


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([MORE, MORE], MORE),
        ([MORE, ALIKE], MIXED),
        ([MORE, UNJUDGED], UNJUDGED),
        ([UNJUDGED, ALIKE], UNJUDGED),
        ([UNJUDGED, UNJUDGED], UNJUDGED),
        ([], UNJUDGED),
        ([LESS, UNJUDGED, MORE], MIXED),
    ],
)
def test_a_difference_without_a_verdict_agrees_with_none_and_disagrees_with_none(verdicts: list[str], expected: str) -> None:
    ends: dict[str, tuple[Any, Any]] = {MORE: (0.5, 1.5), LESS: (-1.5, -0.5), ALIKE: (-1.0, 1.0), UNJUDGED: (None, None)}
    some = [Finding("contrast", {}, {MORE: 1.0, LESS: -1.0}.get(each, 0.1), *ends[each], "1", 3, "t") for each in verdicts]
    assert overall(some) == expected


def test_that_scaling_loses_more_or_is_not_told_apart_is_not_said_beside_a_difference_without_a_verdict() -> None:
    own = records(more={"lora@2": 0.0, "lora@8": 0.1})
    found = findings(own[own["phase"].isin(["reference", "result", "null", "update", "altered"])])
    where = {"what": EQUAL_TARGET, "between": "intruders - all", "arm": "lora@8", "factor": 0.5}
    some = [f._replace(low=None, high=None) if where.items() <= f.where.items() else f for f in found]
    assert "or is not told apart from it" in answer(found) and SCALED not in answer(some)
