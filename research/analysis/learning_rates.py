"""The learning rate of each arm, chosen on the validation part, and how LoRA's best compares with full training's."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.analysis.intervals import join_notes, log_t_interval
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding
from research.records import rounded

_log = logging.getLogger(__name__)
ARM = ["init", "arm", "trains", "rank"]
CHOICE_COLUMNS = [*ARM, "learning_rate", "on_edge", "note"]
RATIO_COLUMNS = ["init", "arm", "rank", "reference", "value", "low", "high", "n", "method", "note"]


class Optimum(NamedTuple):
    """The learning rate at a loss's minimum, None where it is censored, and the rates between which it lies if the loss has one minimum."""

    learning_rate: float | None
    low: float
    high: float
    note: str = ""


def choose(selection: pd.DataFrame, step: int | None = None) -> pd.DataFrame:
    """Returns per (init, arm, trains, rank) the learning rate at which the mean validation loss over the selection seeds is lowest.

    The vertex of the parabola in log rate through the grid's best rate and its neighbors, to three digits, or the grid's best where there
    is none (`parabola_optimum`). `selection` has records' columns; only its metric "validation_loss" is read, at `step` (None: the last
    one). A diverged run (null) counts as infinitely bad. Columns init, arm, trains, rank, learning_rate, on_edge, note; where all rates
    diverged learning_rate is null and note says so.
    """
    made = []
    for key, losses in _mean_losses(selection, step):
        best = losses.idxmin() if np.isfinite(losses).any() else None
        on_edge = best is not None and best in (losses.index[0], losses.index[-1])
        vertex = parabola_optimum(losses.index.to_numpy(float), losses.to_numpy(float)).learning_rate
        made.append((*key, best if vertex is None else float(f"{vertex:.3g}"), on_edge, _choice_note(losses, best)))
    return pd.DataFrame(made, columns=CHOICE_COLUMNS).astype({"learning_rate": float, "on_edge": bool})


def lowest(selection: pd.DataFrame) -> pd.DataFrame:
    """Returns each run's lowest validation loss at its last step, for runs that are stopped where it is lowest; as `choose` takes it."""
    losses = selection[selection["metric"] == "validation_loss"].astype({"value": float})
    runs = losses.groupby("cell")
    last = losses[losses["step"] == runs["step"].transform("max")]
    return last.assign(value=last["cell"].map(runs["value"].min()))


def choice_records(experiment: str, chosen: pd.DataFrame, step: int | None = None) -> list[dict[str, Any]]:
    """Returns the learning rates chosen at a step as records; one on the grid's edge is flagged there and in the log."""
    made = []
    for c in chosen.itertuples():
        rank = None if pd.isna(c.rank) else int(c.rank)
        arm = None if pd.isna(c.arm) else c.arm
        row = {"experiment": experiment, "cell": "", "phase": "choice", "init": c.init, "arm": arm, "trains": c.trains, "rank": rank}
        row |= {"learning_rate": None, "seed": None, "step": step, "metric": "best_learning_rate", "value": c.learning_rate, "unit": "1"}
        made.append({**row, "on_edge": bool(c.on_edge), **({"note": c.note} if c.note else {})})
    if edges := int(chosen["on_edge"].sum()):
        _log.warning("%d of %d chosen learning rates lie on the edge of their grid: a better one may lie outside", edges, len(chosen))
    return made


def chosen(results: pd.DataFrame, named: Mapping[str, str]) -> Iterator[Finding]:
    """Yields the finding `learning_rate` of each choice in records, its note saying where it lies on the edge of its grid.

    named: coordinates of the finding by the columns that they are in; one that a record has not is left out.
    """
    for _, row in rows(results, phase="choice", metric="best_learning_rate").iterrows():
        where = {name: row[column] for column, name in named.items() if column in row and pd.notna(row[column])}
        where = {name: int(value) if isinstance(value, float) else value for name, value in where.items()}
        note = row["note"] if isinstance(row.get("note"), str) else ""
        value = None if np.isnan(row["value"]) else float(row["value"])
        yield finding("learning_rate", where, Estimate(value, None, None, 1, "best of a grid by selection seeds", note), "1")


def with_rates(coordinates: Sequence[Mapping[str, Any]], chosen: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the coordinates with the learning rate chosen for their (init, arm, trains, rank); where all rates diverged, none.

    A rank for which none was chosen takes what lies between those of its neighbors, linear in both logarithms, or its nearest one's.
    Coordinates with `rate_of` = (arm, factor) take so much of another arm's rate, and lose that key.
    """
    rates = {_plain((c.init, c.arm, c.trains, c.rank)): float(c.learning_rate) for c in chosen.itertuples()}
    made = []
    for c in coordinates:
        arm, factor = c.get("rate_of", (c["arm"], 1.0))
        rate = rounded(factor * _rate(rates, (c["init"], arm, c["trains"], c["rank"])))
        made.append({**{key: value for key, value in c.items() if key != "rate_of"}, "learning_rate": rate})
    return [c for c in made if not pd.isna(c["learning_rate"])]


def _rate(rates: Mapping[tuple[Any, ...], float], key: tuple[Any, ...]) -> float:
    if key in rates:
        return rates[key]
    known = sorted((k[-1], rate) for k, rate in rates.items() if k[:-1] == key[:-1] and not np.isnan(rate))
    if not known:
        return np.nan
    ranks, values = np.log(np.array(known)).T
    return float(f"{np.exp(np.interp(np.log(max(key[-1], 0.5)), ranks, values)):.3g}")


def parabola_optimum(learning_rates: Sequence[float] | np.ndarray, losses: Sequence[float] | np.ndarray) -> Optimum:
    """Returns the vertex of the parabola in log learning rate through the best point and its two neighbors.

    None with a note where the best point is on the grid's edge, where a neighbor diverged, or where the three do not bend upward; `low` and
    `high` then still bracket the optimum (0 and inf where the grid gives no bound).
    """
    order = np.argsort(learning_rates)
    rates, values = np.asarray(learning_rates, dtype=float)[order], np.asarray(losses, dtype=float)[order]
    values = np.where(np.isnan(values), np.inf, values)
    if not np.isfinite(values).any():
        return Optimum(None, 0.0, np.inf, "diverged at every learning rate")
    best = int(values.argmin())
    low, high = rates[best - 1] if best > 0 else 0.0, rates[best + 1] if best + 1 < rates.size else np.inf
    if best in (0, rates.size - 1):
        side = "smallest" if best == 0 else "largest"
        return Optimum(None, float(low), float(high), f"best at the {side} learning rate tried ({rates[best]:g})")
    near = slice(best - 1, best + 2)
    if not np.isfinite(values[near]).all():
        return Optimum(None, float(low), float(high), f"a neighbor of the best learning rate ({rates[best]:g}) diverged")
    curvature, slope, _ = np.polyfit(np.log(rates[near] / rates[best]), values[near], 2)
    if curvature <= 0:
        return Optimum(None, float(low), float(high), "the loss does not bend upward around its best learning rate")
    return Optimum(float(rates[best] * np.exp(-slope / (2 * curvature))), float(low), float(high))


def lr_ratio(selection: pd.DataFrame, step: int | None = None) -> pd.DataFrame:
    """Returns LoRA's best learning rate over full training's, and over the same matrices' full training, per (init, arm, rank).

    Columns init, arm, rank, reference ("full" | "matched"), value, low, high, n, method, note. The optimum is a parabola's in log rate.
    With two or more selection seeds the interval is the log-t interval of the seeds' ratios; where the optimum is censored at an edge,
    the value is null and the note states the bound that follows. (Published: about 10 at alpha 32; Thinking Machines 2025, "LoRA Without
    Regret".)
    """
    seeds = _seed_losses(selection, step)
    made = []
    for (init, arm, trains, rank), table in seeds.items():
        if trains != "lora":
            continue
        for reference, key in (("full", (init, None, "full", None)), ("matched", (init, arm, "matched", None))):
            if key in seeds:
                made.append((init, arm, rank, reference, *_ratio(table, seeds[key])))
    return pd.DataFrame(made, columns=RATIO_COLUMNS)


def _ratio(lora: pd.DataFrame, full: pd.DataFrame) -> Estimate:
    """The ratio of the optima of two tables of losses (learning rate by seed)."""
    method = "ratio of parabola optima in log learning rate"
    above, below = _optimum_of_mean(lora), _optimum_of_mean(full)
    if above.learning_rate is None or below.learning_rate is None:
        return Estimate(None, None, None, lora.shape[1], method, _bound_note(above, below))
    ratio = above.learning_rate / below.learning_rate
    shared = lora.columns.intersection(full.columns)
    optima = [(parabola_optimum(lora.index, lora[seed]), parabola_optimum(full.index, full[seed])) for seed in shared]
    ratios = [a.learning_rate / b.learning_rate for a, b in optima if a.learning_rate is not None and b.learning_rate is not None]
    if len(shared) < 2:
        return Estimate(ratio, None, None, 1, method, "one selection seed: no interval")
    if len(ratios) < len(shared):
        note = f"censored in {len(shared) - len(ratios)} of {len(shared)} seeds: value from the mean losses, no interval"
        return Estimate(ratio, None, None, len(shared), method, note)
    found = log_t_interval(ratios)
    return found._replace(method=f"{method}; {found.method}")


def _optimum_of_mean(table: pd.DataFrame) -> Optimum:
    return parabola_optimum(table.index, table.mean(axis=1, skipna=False))


def _bound_note(lora: Optimum, full: Optimum) -> str:
    """Why the ratio is censored, and the bounds that the brackets of both optima leave."""
    reasons = [f"{name}: {optimum.note}" for name, optimum in (("LoRA", lora), ("full", full)) if optimum.note]
    low = (lora.learning_rate or lora.low) / (full.learning_rate or full.high)
    smallest = full.learning_rate or full.low
    high = (lora.learning_rate or lora.high) / smallest if smallest else np.inf
    bounds = [f"above {low:.3g}" if low > 0 else "", f"below {high:.3g}" if np.isfinite(high) else ""]
    stated = " and ".join(bound for bound in bounds if bound)
    return join_notes(*reasons, f"ratio {stated}" if stated else "no bound on the ratio")


def _choice_note(losses: pd.Series, best: float | None) -> str:
    if best is None:
        return "diverged at every learning rate"
    diverged = int((~np.isfinite(losses)).sum())
    edges = [side for side, rate in (("smallest", losses.index[0]), ("largest", losses.index[-1])) if rate == best]
    edge = f"best at the {' and '.join(edges)} learning rate tried: the optimum may lie beyond" if edges else ""
    return join_notes(edge, f"diverged at {diverged} of {losses.size} learning rates" if diverged else "")


def _mean_losses(selection: pd.DataFrame, step: int | None) -> list[tuple[tuple, pd.Series]]:
    """Mean loss by ascending learning rate, of each arm; inf where a seed diverged."""
    tables = _seed_losses(selection, step)
    return [(key, table.mean(axis=1, skipna=False).fillna(np.inf)) for key, table in tables.items()]


def _seed_losses(selection: pd.DataFrame, step: int | None) -> dict[tuple, pd.DataFrame]:
    """Validation loss (learning rate by seed) of each (init, arm, trains, rank), whose absent coordinates are None."""
    losses = selection[selection["metric"] == "validation_loss"].astype({"value": float})
    losses = losses[losses["step"] == (losses["step"].max() if step is None else step)]
    groups = losses.groupby(ARM, dropna=False, sort=False)
    return {_plain(key): group.pivot(index="learning_rate", columns="seed", values="value") for key, group in groups}


def _plain(key: tuple) -> tuple:
    init, arm, trains, rank = (None if pd.isna(part) else part for part in key)
    return init, arm, trains, None if rank is None else int(rank)
