"""What each claim is worth in short: a sentence a claim, a word a verdict, and none where a verdict is missing."""

from typing import Any

import pytest

from experiments.lora_vs_full.answers import CLAIM, MIXED, answer, overall
from experiments.lora_vs_full.readings import findings
from research.analysis.wording import ALIKE, LESS, MORE, UNJUDGED
from research.figures.report import paragraphs
from research.findings import Finding
from tests.experiments.lora_vs_full.planted import OTHERWISE, records

FULL_UPDATE, NEW = "A full update has", "than the same training where nothing is new"
MORE_INTRUDERS, HANGS = "LoRA has more intruders than full training", "Whether LoRA has more intruders than full training hangs on"
SCALED, WHOLE = "Scaling LoRA's intruders down", "the whole update down to the same loss on the target"
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
            f"{FULL_UPDATE} fewer directions {NEW}: its rank is no measure of what is learned",
            f"LoRA has fewer intruders than full training, more than {RANDOM}",
            f"{SCALED} loses less of the source than scaling {WHOLE}",
        ],
    ),
    "alike": (
        {"ranks": {("full", "source"): 20.0}, "intruders": loras(none=4.0, rotated=6.0), "more": both(0.0)},
        [
            f"{FULL_UPDATE} no more directions {NEW}: its rank may be the optimizer's noise",
            f"LoRA's intruders are not told apart in number from full training's, fewer than {RANDOM}",
            f"{SCALED} is not told apart from scaling {WHOLE}",
        ],
    ),
    "more": (
        {"ranks": {("full", "source"): 15.0}, "intruders": loras(none=6.0, rotated=6.0), "more": both(0.1)},
        [
            f"{FULL_UPDATE} more directions {NEW}",
            f"{MORE_INTRUDERS}, as many as {RANDOM}",
            f"{SCALED} loses more of the source than scaling {WHOLE}",
        ],
    ),
    "mixed by arm": (
        {"ranks": {("full", "source", "0.5"): 15.0}, "intruders": OTHERWISE, "more": {"lora@2": 0.0, "lora@8": 0.1}},
        [
            f"Whether a full update has more directions {NEW} hangs on how much was learned",
            f"{HANGS} the rank and on how much was learned, some arms other than random directions would make",
            f"{SCALED} never loses less of the source than scaling the whole update to the same loss on the target",
        ],
    ),
    "mixed by place, and with a less in it": (  # at the end LoRA has fewer than full, where they have not learned equally much
        {
            "ranks": {("full", "source", "end"): 15.0},
            "intruders": {("lora@2", "none", "end"): 1.0},
            "more": {"lora@2": -0.1, "lora@8": 0.1},
        },
        [
            f"Whether a full update has more directions {NEW} hangs on how much was learned",
            f"{MORE_INTRUDERS}, some arms other than random directions would make",
        ],
    ),
    "mixed between the shares": (
        {"intruders": {("lora@2", "none", "0.8"): 1.0, **loras(rotated=0.5)}, "more": both(-0.1)},
        [
            f"{FULL_UPDATE} fewer directions {NEW}: its rank is no measure of what is learned",
            f"{HANGS} the rank and on how much was learned, some arms other than random directions would make",
            f"{SCALED} loses less of the source than scaling {WHOLE}",
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
    assert f"{MORE_INTRUDERS}." in paragraphs(answer(findings(own)))[0]


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


def test_whether_scaling_never_loses_less_is_not_said_beside_a_difference_without_a_verdict() -> None:
    own = records(more={"lora@2": 0.0, "lora@8": 0.1})
    found = findings(own[own["phase"].isin(["reference", "result", "null", "update", "altered"])])
    where = {"what": "source_loss at equal target", "arm": "lora@8", "factor": 0.5}
    some = [f._replace(low=None, high=None) if where.items() <= f.where.items() else f for f in found]
    assert "never loses less" in answer(found) and SCALED not in answer(some)
