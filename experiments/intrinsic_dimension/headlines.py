"""The tables with which the report of a sweep over dimensions begins."""

from collections.abc import Mapping, Sequence

from experiments.intrinsic_dimension.readings import NAMES, SUBJECT
from research.findings import Finding, Table, find, shown

LOSSES = {"halfway": "halfway from what all weights reach to the unigram entropy", "best_90": "90 % of what the best weights gain"}


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns one table for each subject: of networks a row for each projection, of language models for each initialization."""
    tables = []
    for key in dict.fromkeys(tuple(f.where[name] for name in SUBJECT) for f in found if f.name == "d90"):
        subject = dict(zip(SUBJECT, key, strict=True))
        own = [f for f in found if subject.items() <= f.where.items()]
        table = _of_accuracy(own) if find(own, "absolute_level") else _of_loss(own)
        words = f"How many dimensions of a random subspace {NAMES[subject['model']]} ({subject['parameters']:,} parameters) needs"
        tables.append(table._replace(caption=f"{words}, on {subject['data']}, {table.caption}"))
    return tuple(tables)


def _of_accuracy(own: Sequence[Finding]) -> Table:
    level = shown(find(own, "absolute_level"), "g")
    columns = ("projection", f"accuracy {level}", "90 % of full training", "time of a step", "memory of a member")
    rows = []
    for name, where in _arms(own, "projection", "init"):
        d90 = (shown(find(own, "d90", **where, threshold=threshold), ",.0f") for threshold in ("absolute", "relative"))
        rows.append((name, *d90, *_costs(own, where["projection"])))
    caption = f"for an accuracy of {level}, and for 90 % of the accuracy of full training [95 % interval]; costs are one reading each."
    return Table(columns, (*rows, ("full space", "–", "–", *_costs(own, None))), caption)


def _of_loss(own: Sequence[Finding]) -> Table:
    bits = {target: f.where["target_bits"] for target in LOSSES if (f := find(own, "d90", target=target))}
    columns = ("from", "90 % of its own full gain", *(f"{value:.2f} bits/byte" for value in bits.values()))
    rows = []
    for name, where in _arms(own, "init", "projection"):
        gain = find(own, "d90", **where, threshold="relative")
        rows.append((name, *(shown(f, ",.0f") for f in (gain, *(find(own, "d90", **where, target=target) for target in bits)))))
    shared = "".join(f"; for {value:.2f} bits/byte, {LOSSES[target]}" for target, value in bits.items())
    return Table(columns, tuple(rows), f"for 90 % of what full training gains from the same weights [95 % interval]{shared}.")


def _arms(own: Sequence[Finding], first: str, other: str) -> list[tuple[str, Mapping[str, str]]]:
    """What d90 was read of, by two coordinates, each with the name of its row: the first one, and the other where there are several."""
    arms = dict.fromkeys((f.where[first], f.where[other]) for f in own if f.name == "d90")
    several = len({second for _, second in arms}) > 1
    return [(f"{one}, {second}" if several else one, {first: one, other: second}) for one, second in arms]


def _costs(own: Sequence[Finding], projection: str | None) -> tuple[str, str]:
    time, memory = (find(own, name, projection=projection) for name in ("step_time", "member_memory"))
    return (
        f"{1e3 * time.value:.2g} ms" if time and time.value is not None else "–",
        f"{memory.value / 1e6:.2g} MB" if memory and memory.value is not None else "–",
    )
