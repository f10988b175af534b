"""From tidy records to means with intervals over seeds, for figures only: no JAX on the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from research.findings import Finding

TEXT = ("phase", "model", "init", "arm", "trains", "metric", "note", "null")
NUMBERS = ("rank", "dimension", "parameters", "learning_rate", "seed", "step", "value", "index")
INITS = ("pretrained", "shuffled", "random")
ARMS = ("block", "all", "block+norms", "block+ends")


def tidy(results: pd.DataFrame) -> pd.DataFrame:
    """Returns `results` with every column the figures read: text with "" for null, numbers as floats with NaN for null or infinite."""
    frame = pd.DataFrame(index=results.index)
    for name in TEXT:
        column = results[name] if name in results else pd.Series("", results.index)
        frame[name] = column.astype(object).where(column.notna(), "").astype(str)
    for name in NUMBERS:
        column = results[name] if name in results else pd.Series(np.nan, results.index)
        frame[name] = pd.to_numeric(column).astype(float)
    frame["value"] = frame["value"].where(np.isfinite(frame["value"]))
    frame["on_edge"] = [flag is True or flag is np.True_ for flag in results["on_edge"]] if "on_edge" in results else False
    return frame.reset_index(drop=True)


def select(frame: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Returns the rows of `frame` whose columns equal the values in `where`."""
    keep = pd.Series(True, frame.index)
    for name, value in where.items():
        keep &= frame[name] == value
    return frame[keep]


def at_last_step(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows at the sweep's last step, so that members still under way are not compared with finished ones."""
    return frame[frame["step"] == frame["step"].max()]


def over_seeds(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Returns one row per group of `by`: mean, low and high (95 % Student t interval), n finite seeds, lost (diverged) seeds.

    low and high are NaN for a single seed; mean is NaN where every seed diverged.
    """
    groups = frame.groupby(by, dropna=False, sort=True)["value"]
    table = groups.agg(mean="mean", sd="std", n="count", size="size").reset_index()
    half = stdtrit(np.maximum(table["n"] - 1, 1), 0.975) * table["sd"] / np.sqrt(np.maximum(table["n"], 1))
    return table.assign(low=table["mean"] - half, high=table["mean"] + half, lost=table["size"] - table["n"]).drop(columns=["sd", "size"])


def spread(table: pd.DataFrame) -> np.ndarray:
    """Returns (2, groups) distances from the mean to low and high, 0 without an interval: what `Axes.errorbar` takes."""
    return np.stack([table["mean"] - table["low"], table["high"] - table["mean"]]).astype(float)


def around(found: Sequence[Finding], places: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns places, values and (2, n) distances to low and high, 0 where an interval is open, of findings that have a value."""
    rows = [(f.value, f.low or f.value, f.high or f.value) for f in found if f.value is not None]
    value, low, high = np.array(rows, float).reshape(-1, 3).T
    return np.asarray(places, float), value, np.stack([value - low, high - value])


def ordered(words: pd.Series, known: tuple[str, ...]) -> list[str]:
    """Returns the distinct non-empty words: the known ones in their order, then the others by name."""
    present = set(words) - {""}
    return [word for word in known if word in present] + sorted(present - set(known))


def inits_of(frame: pd.DataFrame) -> list[str]:
    """Returns the initializations in `frame`, in the order of every figure."""
    return ordered(frame["init"], INITS)


def arms_of(frame: pd.DataFrame) -> list[str]:
    """Returns the arms in `frame`, or [""] where nothing but full training is there."""
    return ordered(frame["arm"], ARMS) or [""]


def ranks_of(frame: pd.DataFrame) -> list[int]:
    """Returns the ranks of the low-rank rows in `frame`, ascending."""
    return sorted({int(rank) for rank in frame.loc[frame["trains"] == "lora", "rank"].dropna()})


def entropies_of(frame: pd.DataFrame) -> dict[str, float]:
    """Returns the target's unigram and bigram entropy (bits/byte) by name, as far as they were measured."""
    means = {name: select(frame, phase="reference", metric=f"{name}_loss")["value"].mean() for name in ("unigram", "bigram")}
    return {name: float(value) for name, value in means.items() if np.isfinite(value)}


def seeds_sentence(frame: pd.DataFrame, by: list[str], bases: int = 1) -> str:
    """Returns the sentences a caption owes its reader: n, what the interval covers, what it leaves out, how many members diverged."""
    table = over_seeds(frame, by) if len(frame) else pd.DataFrame({"n": [0], "lost": [0]})
    fewest, most, lost = int(table["n"].min()), int(table["n"].max()), int(table["lost"].sum())
    left_out = f"{'one pretrained base' if bases == 1 else f'{bases} pretrained bases'} and the same test text throughout"
    if most <= 1:
        text = f"n = 1 seed, so no interval is drawn; {left_out}."
    else:
        count = f"{most}" if fewest == most else f"{fewest} to {most}"
        text = (
            f"Mean over n = {count} seeds; intervals are 95 % t intervals over seeds, which redraw the adapter's initialization, the data "
            f"order, and the shuffled and random bases. They leave out other pretrained bases and other text: {left_out}."
        )
    if lost:
        text += f" {lost} {'value' if lost == 1 else 'values'} of diverged members left out of the means."
    return text
