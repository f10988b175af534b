"""Which differences are judged, and how: by intervals over bases and documents, adjusted for the number of comparisons."""

from collections.abc import Sequence

from experiments.probing.readings_contrasts import ADJUSTED
from experiments.probing.readings_scores import CONSTANT, LAYERS, LEADER
from research.analysis.wording import LESS, MORE, verdict
from research.findings import Finding, find

ALPHA = 0.05
UNSURE = "unsure"


def compared(found: Sequence[Finding]) -> list[Finding]:
    """Returns how many bits a label costs less from the layers of pretrained weights, mean over layers, one finding a null and task."""
    own = (f for f in found if f.name == "contrast" and f.where["what"] == "codelength" and f.where["depth"] == LAYERS)
    return [f for f in own if f.where.get("init", LEADER) == LEADER]


def other_of(f: Finding) -> str:
    """Returns what a contrast compares pretrained layers with."""
    return str(f.where["between"]).split(" - ")[1]


def judged(found: Sequence[Finding], f: Finding) -> str:
    """Returns the verdict on a difference: unsure where it has one, but not among all that are judged, by its adjusted p value."""
    said, adjusted = verdict(f), find(found, ADJUSTED, **f.where)
    return UNSURE if said in (LESS, MORE) and adjusted is not None and (adjusted.value or 0.0) > ALPHA else said


def below(f: Finding) -> bool:
    """Returns whether all of a difference's interval lies below 0."""
    return f.high is not None and f.high < 0


def unread(found: Sequence[Finding]) -> list[str]:
    """Returns the tasks whose labels cost no less from pretrained layers, surely, than from a constant: nothing is read of them."""
    beside = [f for f in compared(found) if other_of(f) == CONSTANT]
    return [f.where["task"] for f in beside if not below(f) or judged(found, f) == UNSURE]
