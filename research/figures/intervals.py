"""From tidy records to means with intervals over seeds, for figures only: no JAX on the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from research.findings import Finding

TEXT = ("phase", "target", "model", "init", "arm", "trains", "metric", "note", "null", "directions")
NUMBERS = ("rank", "dimension", "parameters", "learning_rate", "chosen_for", "seed", "base", "step", "value", "index")
INITS = ("pretrained", "shuffled", "rotated", "random")
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


def of_last_choice(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of runs whose learning rate was chosen for the last step, where rates were chosen for several."""
    return frame[frame["chosen_for"].isna() | (frame["chosen_for"] == frame["chosen_for"].max())]


def at_last_step(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows at the sweep's last step, so that members still under way are not compared with finished ones."""
    return of_last_choice(frame[frame["step"] == frame["step"].max()])


def over_seeds(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Returns one row per group of `by`: mean, low and high (95 % Student t interval), n, finite seeds, lost (diverged) seeds.

    Seeds that share a base are averaged first: n counts bases, or seeds where the frame names no base, or a single one for all of a
    group. low and high are NaN for n = 1; mean is NaN where every seed diverged.
    """
    alone = pd.Series(-1.0 - np.arange(len(frame)), frame.index)
    base = frame["base"].fillna(alone) if "base" in frame else alone
    bases = base.where(frame["value"].notna()).groupby([frame[name] for name in by], dropna=False).transform("nunique")
    base = base.where(bases > 1, alone)
    units = frame[[*by, "value"]].assign(base=base).groupby([*by, "base"], dropna=False, sort=True)["value"]
    units = units.agg(value="mean", kept="count", size="size").reset_index()
    groups = units.groupby(by, dropna=False, sort=True)
    table = groups.agg(mean=("value", "mean"), sd=("value", "std"), n=("value", "count"), seeds=("kept", "sum"), size=("size", "sum"))
    table = table.reset_index()
    half = stdtrit(np.maximum(table["n"] - 1, 1), 0.975) * table["sd"] / np.sqrt(np.maximum(table["n"], 1))
    table = table.assign(low=table["mean"] - half, high=table["mean"] + half, lost=table["size"] - table["seeds"])
    return table.drop(columns=["sd", "size"])


def spread(table: pd.DataFrame) -> np.ndarray:
    """Returns (2, groups) distances from the mean to low and high, 0 without an interval: what `Axes.errorbar` takes."""
    return np.stack([table["mean"] - table["low"], table["high"] - table["mean"]]).astype(float)


def around(found: Sequence[Finding], places: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns places, values and (2, n) distances to low and high, 0 where an interval is open, of findings that have a value."""
    rows = [(f.value, *(f.value if end is None else end for end in (f.low, f.high))) for f in found if f.value is not None]
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


def targets_of(frame: pd.DataFrame) -> list[str]:
    """Returns the targets on which something was trained, in the order of the records, or [""] where they name none."""
    return list(dict.fromkeys(frame.loc[frame["target"] != "", "target"])) or [""]


def places_of(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Returns the (target, arm) that were trained, arm by arm; the arm is "" on a target where nothing but full training is there."""
    targets = targets_of(frame)
    arms = {target: arms_of(select(frame, target=target)) for target in targets}
    order = [*ARMS, *sorted({arm for some in arms.values() for arm in some} - set(ARMS))]
    return [(target, arm) for arm in order for target in targets if arm in arms[target]]


def keys_of(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Returns the (target, arm, initialization) that were trained; where only full training is there, it is shown with the first arm."""
    keys: list[tuple[str, str, str]] = []
    for target, arm in places_of(frame):
        first = target not in {key[0] for key in keys}
        inits = inits_of(at_place(frame, target, arm) if first else select(frame, target=target, arm=arm))
        keys += [(target, arm, init) for init in inits]
    return keys


def at_place(frame: pd.DataFrame, target: str, arm: str, init: str | None = None) -> pd.DataFrame:
    """Returns the rows of an arm on a target, of one initialization if asked; what trains everything belongs to every arm."""
    rows = frame[(frame["target"] == target) & frame["arm"].isin([arm, ""])]
    return rows if init is None else rows[rows["init"] == init]


def ranks_of(frame: pd.DataFrame) -> list[int]:
    """Returns the ranks of the low-rank rows in `frame`, ascending."""
    return sorted({int(rank) for rank in frame.loc[frame["trains"] == "lora", "rank"].dropna()})


def entropies_of(frame: pd.DataFrame, target: str) -> dict[str, float]:
    """Returns what is known of a target's text (bits/byte) by name: unigram and bigram entropy, and the floor where one is known."""
    rows = select(frame, phase="reference", target=target)
    means = {name: select(rows, metric=f"{name}_loss")["value"].mean() for name in ("unigram", "bigram", "floor")}
    return {name: float(value) for name, value in means.items() if np.isfinite(value)}


def seeds_sentence(frame: pd.DataFrame, by: list[str], text: str = "the same held-out documents throughout") -> str:
    """Returns the sentences a caption owes its reader: n, what the intervals hold, what they leave out, how many members diverged.

    `text` is what was read of a text, said to be left out; "" where the numbers depend on none.
    """
    table = over_seeds(frame, by) if len(frame) else pd.DataFrame({"n": [0], "seeds": [0], "lost": [0]})
    lost, bases = int(table["lost"].sum()), _pretrained_bases(frame)
    left_out = [*["the one pretrained base"] * (bases == 1), *filter(None, [text])]
    if table["n"].max() <= 1:
        said = f"n = 1 seed, so no interval is drawn{': ' if left_out else ''}{' and '.join(left_out)}."
    else:
        is_random = bool((frame["init"] == "random").any())
        said = f"{_counted(table, bases)} {_held(bases, is_random)}"
        said += f"; they leave out the rest: {' and '.join(left_out)}." if left_out else "."
    if lost:
        said += f" {lost} {'value' if lost == 1 else 'values'} of diverged members left out of the means."
    return said


def _pretrained_bases(frame: pd.DataFrame) -> int:
    """How many pretrained bases the rows start from; 0 where they start from none or do not tell."""
    return frame.loc[(frame["init"] != "random") & frame["base"].notna(), "base"].nunique() if len(frame) else 0


def _counted(table: pd.DataFrame, bases: int) -> str:
    """What the means are over."""
    read = table.loc[table["n"] > 0, "n"]
    fewest, most = int(read.min()), int(read.max())
    count = f"{most}" if fewest == most else f"{fewest} to {most}"
    if (table["seeds"] > table["n"]).any():
        return f"Mean over n = {count} bases, over the seeds that start from each first."
    own = ", each from a base of its own" if bases > 1 else " of one pretrained base" if bases else ""
    return f"Mean over n = {count} seeds{own}."


def _held(bases: int, is_random: bool) -> str:
    """What the intervals are over."""
    drawn = [*["other pretrained bases"] * (bases > 1), *["other random weights"] * (is_random or bases != 1)]
    return f"Intervals are 95 % t intervals over these and hold {', '.join(drawn)}{' and ' * bool(drawn)}another order of the data"
