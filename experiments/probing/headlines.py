"""The table with which the report begins: a row for each task."""

from collections.abc import Sequence

from experiments.probing.judged import compared, other_of
from experiments.probing.readings_scores import CHARACTERS, LAYERS, LEADER
from research.analysis.wording import held
from research.findings import Finding, Table, find, shown

NULLS = ("random", "gaussian")


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns one table of what is readable of each task, from what, and how deep."""
    known = [f for f in found if f.name == "classes"]
    tasks = [f.where["task"] for f in known]
    if not tasks:
        return ()
    others = list(dict.fromkeys(other_of(f) for f in compared(found)))
    columns = ("task", "classes", "chance", "characters", "embedding", *(f"{null} layers" for null in NULLS), "pretrained layers")
    columns += ("selectivity", "expected layer", *(f"bits less {other}'s" for other in others))
    sees = "; ".join(f"{f.where['task']}: {f.note}" for f in known)
    caption = (
        "Accuracy of probes, of layers the mean over all of them; bits a label by an online code from pretrained layers, less those from "
        f"something else: {held(compared(found))}. Chance: of a probe on a constant. Characters: the last two bytes and the position in "
        "the window modulo 8, without a network; last8: the last eight; bag: how often each byte has occurred in the window. Selectivity: "
        f"accuracy less that on random labels by word type. {_texts(found)} What of the text a label is made from, of which a window may "
        f"show a part: {sees}."
    )
    return (Table(columns, tuple(_row(found, task, others) for task in tasks), caption),)


def _texts(found: Sequence[Finding]) -> str:
    """What is read: bytes of windows, of each class as many, or words of annotated texts."""
    texts = [f for f in found if f.name == "texts"]
    if not texts:
        return "Classes occur alike. Windows overlap by half."
    told = []
    for f in texts:
        longer = shown(find(found, "longer", source=f.where["source"]), ",.0f")
        told.append(f"{shown(f, ',.0f')} texts of {f.where['source']} ({longer} longer than the context were dropped; {f.note})")
    return f"Read are words, labels as often as they occur, of {' and '.join(told)}, each text a window of its own."


def _row(found: Sequence[Finding], task: str, others: Sequence[str]) -> tuple[str, ...]:
    def accuracy(init: str, depth: int | str) -> str:
        return shown(find(found, "probe_accuracy", task=task, init=init, depth=depth), ".2f")

    classes, chance = find(found, "classes", task=task), find(found, "chance", task=task)
    read = [accuracy(CHARACTERS, 0), accuracy(LEADER, 0), *(accuracy(null, LAYERS) for null in NULLS), accuracy(LEADER, LAYERS)]
    selectivity = shown(find(found, "selectivity", task=task, init=LEADER, depth=LAYERS), ".2f")
    depth = find(found, "expected_layer", task=task, init=LEADER, differences="raw")
    bits = [shown(next((f for f in compared(found) if f.where["task"] == task and other_of(f) == other), None), ".2f") for other in others]
    known = shown(depth, ".2f") if depth is not None and depth.value is not None else "none"
    return (task, shown(classes, ".0f"), shown(chance, ".2f"), *read, selectivity, known, *bits)
