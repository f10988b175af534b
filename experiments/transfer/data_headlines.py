"""The tables with which the report begins where data is measured: what tuned costs and is worth in data, and the law."""

from collections.abc import Sequence

from experiments.transfer.arms import TUNED
from experiments.transfer.data_published import POWERS, SOURCE
from experiments.transfer.data_readings import of_name
from research.analysis.wording import held, window_sentence
from research.findings import Finding, Table, find, shown

LAW = "D_T = k D_F^a N^b, bytes and parameters without embeddings. Published: {source}."


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns a row for each size and amount that both arms have, and the law beside those that were published."""
    points = of_name(found, "data_transferred")
    if not points:
        return ()
    rows = []
    for f in points:
        where = {name: f.where[name] for name in ("parameters", "amount")}
        cells = (find(found, "transfer_loss", arm=TUNED, **where), find(found, "effective_data", **where), f)
        told = (shown(cells[0], ".3f"), *map(_or_bound, (*cells[1:], find(found, "multiplier", **where))), f.where["word"])
        rows.append((f"{where['parameters']:,}", f"{where['amount']:,}", *told))
    columns = ("N", "D_F (bytes)", "tuned (bits/byte)", "D_E (bytes)", "D_T (bytes)", "D_E / D_F", "for the law")
    caption = (
        "What tuning all of A on D_F bytes costs on held-out text, the data D_E on which scratch costs as little, and D_T = D_E - D_F: "
        f"{held(points)}.{window_sentence(found)}"
    )
    return (Table(columns, tuple(rows), caption), *_law(found))


def _or_bound(f: Finding | None) -> str:
    """A finding, or of one without a number how large it is at least."""
    if f is None or f.value is not None:
        return shown(f)
    return "–" if f.low is None else f"> {f.low:#.3g}" if f.low < 100 else f"> {f.low:,.0f}"


def _law(found: Sequence[Finding]) -> tuple[Table, ...]:
    own = {f.where["what"]: f for f in found if f.name == "transfer_law"}
    if not own or all(f.value is None for f in own.values()):
        return ()
    rows = [("this run", *(shown(own[what]) for what in POWERS["text"]))]
    rows += [(f"from {name}", *(f"{value:g}" for value in powers.values())) for name, powers in POWERS.items()]
    return (Table(("law", *POWERS["text"]), tuple(rows), LAW.format(source=SOURCE)),)
