"""The tables with which the report of a sweep over dimensions begins."""

from collections.abc import Mapping, Sequence

from experiments.intrinsic_dimension.arms import SUBJECT
from experiments.intrinsic_dimension.readings import NAMES
from research.analysis.contrasts import BASE_LEFT_OUT
from research.analysis.wording import ALONE, base_sentence, window_sentence
from research.findings import Finding, Table, find, shown

SHARED = "as a share of the parameters"
STARTS = {"min": "90 % of its own full gain", "untouched": "the same from the untouched loss"}
ACCURACIES = {"accuracy": {"threshold": "absolute"}, "90 % of full training": {"threshold": "relative"}}
GAINED = (
    "for 90 % of what full training gains from the same weights [95 % interval{over}], counted from the untouched loss or the unigram "
    "entropy, the lower of both, which gives the share of all parameters; the same counted from the untouched loss"
)
OF_INITS = "The same as factors [95 % interval], from the intervals of both readings in logarithms (MOVER), {over}."
OF_PROJECTIONS = "The same as factors between projections [95 % interval], paired by draw where every draw is read in both."
LOSSES = {"halfway": "halfway from what all weights reach to the unigram entropy", "best_90": "90 % of what the best weights gain"}


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns for each subject a table with a row for each projection of a network, or each initialization of a language model.

    Below it, where arms are compared, a table of factors.
    """
    tables = []
    for key in dict.fromkeys(tuple(f.where[name] for name in SUBJECT) for f in found if f.name == "d90"):
        subject = dict(zip(SUBJECT, key, strict=True))
        own = [f for f in found if subject.items() <= f.where.items() or f.name == "base"]
        table = _of_accuracy(own) if find(own, "absolute_level") else _of_loss(own)
        words = f"How many dimensions of a random subspace {NAMES[subject['model']]} ({subject['parameters']:,} parameters) needs"
        of_whom = "" if find(own, "absolute_level") else "".join(f" {sentence}." for sentence in base_sentence(own))
        tables.append(table._replace(caption=f"{words}, on {subject['data']}, {table.caption}{of_whom}"))
        tables += _factors(own)
    return tuple(tables)


def _of_accuracy(own: Sequence[Finding]) -> Table:
    level = shown(find(own, "absolute_level"), "g")
    columns = ("projection", f"accuracy {level}", "90 % of full training", SHARED, "time of a step", "memory of a member")
    rows = []
    for name, where in _arms(own, "projection", "init"):
        d90 = (shown(find(own, "d90", **where, threshold=threshold), ",.0f") for threshold in ("absolute", "relative"))
        rows.append((name, *d90, _share(own, where), *_costs(own, where["projection"])))
    caption = (
        f"for an accuracy of {level}, and for 90 % of the accuracy of full training [95 % interval], also as a share; "
        "costs are one reading each."
    )
    return Table(columns, (*rows, ("full space", "–", "–", "–", *_costs(own, None))), caption)


def _of_loss(own: Sequence[Finding]) -> Table:
    bits = {target: f.where["target_bits"] for target in LOSSES if (f := find(own, "d90", target=target))}
    columns = ("from", *STARTS.values(), SHARED, *(f"{value:.2f} bits/byte" for value in bits.values()))
    rows = []
    for name, where in _arms(own, "init", "projection"):
        gains = (shown(find(own, "d90_by_definition", **where, start=start), ",.0f") for start in STARTS)
        shared = (shown(find(own, "d90", **where, target=target), ",.0f") for target in bits)
        rows.append((name, *gains, _share(own, where), *shared))
    words = "".join(f"; for {value:.2f} bits/byte, {LOSSES[target]}" for target, value in bits.items())
    over = " over draws of one base, which is left out" if _of_one_base(own) else ""
    return Table(columns, tuple(rows), f"{GAINED.format(over=over)}{words}.{window_sentence(own)}")


def _factors(own: Sequence[Finding]) -> list[Table]:
    """What is compared, a row for each pair, a column for each definition that stands in the first table."""
    pairs = dict.fromkeys((f.where["between"], f.where.get("projection", "")) for f in own if f.name == "contrast")
    if not pairs:
        return []
    losses = any("start" in f.where for f in own)
    bits = {f.where["target"]: f.where["target_bits"] for f in own if f.name == "contrast" and f.where.get("target") in LOSSES}
    columns = {name: {"threshold": "relative", "start": start} for start, name in STARTS.items()} if losses else ACCURACIES
    columns |= {f"{value:.2f} bits/byte": {"target": target} for target, value in bits.items()}
    several = len({projection for _, projection in pairs}) > 1
    rows = []
    for between, projection in pairs:
        where = {"between": between} | ({"projection": projection} if projection else {})
        factors = (shown(find(own, "contrast", **where, **definition), ".2g") for definition in columns.values())
        rows.append((f"{between}, {projection}" if several else between, *factors))
    return [Table(("dimensions of", *columns), tuple(rows), OF_INITS.format(over=_over(own)) if losses else OF_PROJECTIONS)]


def _of_one_base(own: Sequence[Finding]) -> bool:
    return any(BASE_LEFT_OUT in f.note for f in own)


def _over(own: Sequence[Finding]) -> str:
    """What the intervals of factors between initializations are over."""
    compared = [f for f in own if f.name == "contrast"]
    counts = {f.n for f in compared if f.value is not None}
    if counts == {1}:
        return ALONE
    units = "draws of one base, which is left out" if _of_one_base(compared) else "bases"
    return f"over {units}, and over documents where losses were kept by document"


def _share(own: Sequence[Finding], where: Mapping[str, str]) -> str:
    return shown(find(own, "d90_share", **where, threshold="relative"), ".2g")


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
