"""The table with which the report begins: a row for each reading, a column for each initialization and one for how they compare."""

from collections.abc import Sequence
from typing import Any

from experiments.loss_landscape.answers import MAIN, named
from experiments.loss_landscape.readings import LEADER
from research.analysis.contrasts import BASE_LEFT_OUT
from research.analysis.wording import LEFT_OUT, NO_INTERVAL, base_sentence, window_sentence
from research.findings import Finding, Table, find, shown

READ = (
    "steps_to_loss",
    "loss",
    "lambda_max",
    "trace",
    "negative_share",
    "noise_scale",
    "barrier",
    "clusters",
    "path_ratio",
    "distance",
    "largest_stable_rate",
)
AT = {"start": "before training", "matched": "at matched loss", "end": "after training"}
OWN = {
    "loss": "loss",
    "negative_share": "share of negative curvature",
    "noise_scale": "gradient noise scale",
    "distance": "distance from the start",
    "clusters": "clusters of runs of one base, without a barrier inside",
}
UNITS = {"steps_to_loss": "", "noise_scale": " (sequences)", "loss": " (bits/byte)", "barrier": " (bits/byte)", "lambda_max": " (nats)"}


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns one table of everything read of each initialization, and how pretrained weights compare with random ones."""
    read = [f for f in found if f.name in READ]
    inits = list(dict.fromkeys(f.where["init"] for f in read))
    if not read:
        return ()
    others = [init for init in inits if init != LEADER]
    other = MAIN if MAIN in others else next(iter(others), "") if LEADER in inits else ""
    compared = [f"{LEADER} against {other}"] if other and LEADER in inits else []
    table = []
    for name in READ:
        for where in _kinds([f for f in read if f.name == name]):
            cells = [shown(find(read, name, init=init, **where), ".3g") for init in inits]
            table.append((_label(name, where), *cells, *([_contrast(found, name, other, where)] if compared else [])))
    caption = _caption(found, [f for f in read if f.name != "negative_share"], bool(compared))
    return (Table(("read", *inits, *compared), tuple(table), caption),)


def _kinds(own: Sequence[Finding]) -> list[dict[str, Any]]:
    """The coordinates of a reading beside its initialization, one after another."""
    found: list[dict[str, Any]] = []
    for f in own:
        where = {key: value for key, value in f.where.items() if key != "init"}
        found += [] if where in found else [where]
    return found


def _label(name: str, where: dict[str, Any]) -> str:
    one = Finding(name, where, None, None, None, "", 0, "")
    if name not in OWN:
        return named(one) + UNITS.get(name, "")
    inside = " inside LoRA" if where.get("trains") == "lora" else ""
    return f"{OWN[name]}{inside}{' ' + AT[where['at']] if 'at' in where else ''}{UNITS.get(name, '')}"


def _contrast(found: Sequence[Finding], name: str, other: str, where: dict[str, Any]) -> str:
    own = (f for f in found if f.name == "contrast" and f.where["what"] == name and where.items() <= f.where.items())
    f = next((f for f in own if f.where["between"] in (f"{LEADER} / {other}", f"{LEADER} - {other}")), None)
    return shown(f, ".2g")


def _caption(found: Sequence[Finding], read: Sequence[Finding], compared: bool) -> str:
    words = f"Each initialization's mean over bases, geometric where values are positive [{_held(read)}; {LEFT_OUT}]."
    if compared:
        words += " The last column is a factor, for barriers a difference, paired by seed."
    words += (
        " Matched loss is the lowest that every way reaches, at which curvature is interpolated between two readings; before and after "
        "training losses differ, and curvature differs for that reason alone. Barriers are the highest loss on the line between two ends "
        "less what lies between theirs; their intervals leave out bases, or runs, with all their pairs. The share of negative curvature is "
        "of the first base, below minus a hundredth of the largest eigenvalue; its interval is over probes."
    )
    return words + window_sentence(found) + "".join(f" {sentence}." for sentence in base_sentence(found))


def _held(read: Sequence[Finding]) -> str:
    """What intervals are over; the windows that all losses are of are the same for every initialization."""
    if all(f.low is None for f in read):
        return NO_INTERVAL
    single = any(BASE_LEFT_OUT in f.note for f in read if f.low is not None)
    return f"95 % interval over {'what there are several of, the base left out where there is one' if single else 'bases'}"
