"""The ledger: what pretraining, full fine-tuning and LoRA cost, each as a factor of the other. Counts, from the records of `arm_costs`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from research.figures.intervals import arms_of, select, tidy
from research.figures.style import compact
from research.findings import Estimate, Finding, Table, find, finding

PRETRAINING, FULL, MATCHED = "pretraining", "full fine-tuning", "same matrices, full rank"
OF = {"pretraining": PRETRAINING, "full": FULL, "matched": MATCHED}
FORMULA, COMPILED, CONFIG, SHAPES = "counted by formula", "counted in the compiled program", "set by the config", "counted from the shapes"
ELSEWHERE = "not measured here: the base was pretrained elsewhere"  # as the records of `arm_costs` note it
EQUAL = "every fine-tune sees equally many tokens: a choice of the config, not a finding"


class Quantity(NamedTuple):
    """Something that is counted: its unit, where the number comes from, and what a reader must know of it."""

    unit: str
    source: str
    note: str = ""


QUANTITIES: Mapping[str, Quantity] = {
    "steps": Quantity("steps", CONFIG, EQUAL),
    "tokens": Quantity("tokens", CONFIG, EQUAL),
    "flops_per_token": Quantity("FLOPs/token", FORMULA),
    "flops_per_token_compiled": Quantity("FLOPs/token", COMPILED, "element-wise work included, and what a form computes beyond need"),
    "flops": Quantity("FLOPs", f"{FORMULA}, times the tokens that are {CONFIG}", "without the choice of learning rates"),
    "trainable_parameters": Quantity("count", SHAPES),
    "optimizer_bytes": Quantity("bytes", SHAPES),
    "checkpoint_bytes": Quantity("bytes", SHAPES, "what has to be stored beside the base: what moved, or the adapter"),
}


class Line(NamedTuple):
    """One line of the ledger: what trains, in which arm, at which rank, and how much of each quantity it takes."""

    of: str
    arm: str | None
    rank: int | None
    counts: Mapping[str, float]

    @property
    def is_elsewhere(self) -> bool:
        """Returns whether this is a pretraining whose tokens nobody counted here."""
        return self.of == PRETRAINING and "tokens" not in self.counts

    def over(self, other: "Line", quantity: str) -> float | None:
        """Returns this line's count as a factor of another's; None where either is unknown, or the other's is 0."""
        mine, theirs = self.counts.get(quantity), other.counts.get(quantity)
        return None if mine is None or not theirs else mine / theirs


def lines(results: pd.DataFrame) -> list[Line]:
    """Returns the lines of the ledger: pretraining, full fine-tuning, then by arm LoRA by rank and the same matrices at full rank."""
    frame = select(tidy(results), phase="cost")
    arms = ["", *arms_of(frame)]
    found = []
    for (arm, trains, rank), rows in frame.groupby(["arm", "trains", "rank"], dropna=False):
        place = (arms.index(arm), list(OF).index(trains) if trains in OF else -1, 0 if math.isnan(rank) else rank)
        whole = None if math.isnan(rank) else int(rank)
        of = OF.get(trains, f"LoRA rank {whole}")
        found.append((place, Line(of, arm or None, whole, _counts(rows))))
    return [line for _, line in sorted(found, key=lambda entry: entry[0])]


def _counts(rows: pd.DataFrame) -> dict[str, float]:
    known = {str(name): float(value) for name, value in zip(rows["metric"], rows["value"], strict=True) if math.isfinite(value)}
    if "flops_per_token_formula" in known:
        known["flops_per_token"] = known.pop("flops_per_token_formula")
    if {"tokens", "flops_per_token"} <= known.keys():
        known["flops"] = known["tokens"] * known["flops_per_token"]
    return {name: known[name] for name in QUANTITIES if name in known}


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns the ledger: each quantity of each line, and, but for steps, its factors over pretraining and over full fine-tuning.

    `where` holds quantity, of, arm, rank and over, which is None for the quantity itself. Counts have no interval.
    """
    ledger = lines(results)
    return [f for line in ledger for f in _of_line(line, ledger)]


def _of_line(line: Line, ledger: Sequence[Line]) -> Iterator[Finding]:
    others = [] if line.of == PRETRAINING else [other for other in ledger if other.of in {PRETRAINING, FULL} - {line.of}]
    for name, (unit, source, note) in QUANTITIES.items():
        where = {"quantity": name, "of": line.of, "arm": line.arm, "rank": line.rank}
        if name == "tokens" and line.is_elsewhere:
            yield finding("ledger", {**where, "over": None}, Estimate(None, None, None, 1, ELSEWHERE, ELSEWHERE), unit)
        elif name in line.counts:
            yield finding("ledger", {**where, "over": None}, Estimate(line.counts[name], None, None, 1, source, note), unit)
        for other in others:
            factor = line.over(other, name)
            if factor is not None and name != "steps":  # steps of another batch are no measure
                yield finding("ledger", {**where, "over": other.of}, Estimate(factor, None, None, 1, source, note), "1")


def sentence(found: Sequence[Finding]) -> str:
    """Returns in words how savings multiply, from full fine-tuning and from LoRA of the smallest and largest rank of the first arm.

    Where pretraining was not counted, being somebody else's, no factor over it is claimed. Empty where the ledger lacks full fine-tuning.
    """
    tokens, full = (_value(found, quantity, FULL, PRETRAINING) for quantity in ("tokens", "flops"))
    ranks = _ranks(found)
    if find(found, "ledger", of=FULL, over=None) is None or not (tokens or is_elsewhere(found)):
        return ""
    parts = [f"What pretraining took was {ELSEWHERE}"]
    if tokens and full:
        takes = f"{fraction(tokens)} of pretraining's tokens, a choice of the config, and {fraction(full)} of its FLOPs"
        parts = [f"Full fine-tuning takes {takes}"]
    for of in [f"LoRA rank {rank}" for rank in sorted({ranks[0], ranks[-1]})] if ranks else ():
        step, total = _value(found, "flops_per_token", of, FULL), _value(found, "flops", of, PRETRAINING)
        compiled = _value(found, "flops_per_token_compiled", of, FULL)
        beside = f" ({compiled:.2f} in the compiled program)" if compiled else ""
        if step:
            product = f", and the product is {_as(total)}" if total else ""
            parts.append(f"{of}, on as many tokens, takes {step:.2f} of full fine-tuning's FLOPs a token by formula{beside}{product}")
    said = [f"{'; '.join(parts)}."]
    small = f"LoRA rank {ranks[0]}" if ranks else ""
    shares = [_value(found, name, small, FULL) for name in ("trainable_parameters", "optimizer_bytes", "checkpoint_bytes")]
    if all(shares):
        trained, optimizer, stored = (fraction(share) for share in shares if share)
        said.append(
            f"{small} trains {trained} of the parameters of full fine-tuning, with {optimizer} of the optimizer's bytes and {stored} of "
            "the bytes to store for each fine-tune: these save room, and are no factors of the FLOPs."
        )
    return " ".join(said)


def fraction(factor: float) -> str:
    """Returns a factor in words for a reader: 1/53.3 below 1, otherwise 1.22 times."""
    return f"1/{1 / factor:.3g}" if 0 < factor < 1 else f"{factor:.3g} times"


def table(found: Sequence[Finding]) -> Table:
    """Returns the ledger's quantities, a row for each line of the first arm, each with its factor over pretraining.

    Where pretraining was not counted, its own row has what is known of it, and factors are over full fine-tuning.
    """
    columns = {"tokens": "tokens", "flops_per_token": "FLOPs a token", "flops": "FLOPs", "trainable_parameters": "trained parameters"}
    columns |= {"optimizer_bytes": "optimizer bytes", "checkpoint_bytes": "bytes to store"}
    keys = dict.fromkeys((f.where["of"], f.where["arm"]) for f in found if f.name == "ledger")
    first = next((arm for _, arm in keys if arm), None)
    keys = {key: None for key in keys if key[1] in (None, first)}
    over = FULL if is_elsewhere(found) else PRETRAINING

    def cell(of: str, arm: str | None, quantity: str) -> str:
        where = {"quantity": quantity, "of": of, "arm": arm}
        count, factor = find(found, "ledger", **where, over=None), find(found, "ledger", **where, over=over)
        factored = "" if factor is None or factor.value is None else f" ({factor.value:.3g})"
        return "–" if count is None or count.value is None else f"{compact(count.value)}{factored}"

    rows = tuple((of, *(cell(of, arm, quantity) for quantity in columns)) for of, arm in keys)
    return Table(
        ("what is trained", *columns.values()),
        rows,
        f"What training costs, in brackets as a factor of {FULL if over == FULL else 'pretraining one base'}. Tokens times FLOPs a token "
        f"make FLOPs; bytes are no factor of them. FLOPs are {FORMULA}, tokens {CONFIG}: {EQUAL}. The choice of learning rates "
        "is not counted.",
    )


def is_elsewhere(found: Sequence[Finding]) -> bool:
    """Returns whether the base was pretrained elsewhere, so that what that took is not known here."""
    pretraining = find(found, "ledger", of=PRETRAINING, quantity="tokens")
    return pretraining is not None and pretraining.value is None


def _ranks(found: Sequence[Finding]) -> list[int]:
    """The ranks above 0 of the first arm, ascending."""
    lora = [f.where for f in found if f.name == "ledger" and f.where["rank"]]
    return sorted({where["rank"] for where in lora if where["arm"] == lora[0]["arm"]})


def _value(found: Sequence[Finding], quantity: str, of: str, over: str) -> float | None:
    f = find(found, "ledger", quantity=quantity, of=of, over=over)
    return None if f is None else f.value


def _as(share: float) -> str:
    return f"{fraction(share)} of pretraining's" + (f", {-math.log10(share):.1f} orders of magnitude less" if share < 1 else "")
