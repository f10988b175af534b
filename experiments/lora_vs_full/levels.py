"""Where arms are compared: at the end, and where each has learned a share of what full training learns."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from research.analysis.tables import rows

FULL, NONE = "full", "none"
END = "end"
Steps = Mapping[tuple[str, str, int], Mapping[str, int]]  # (arm, null, seed) -> at -> step


def levels(results: pd.DataFrame, share: float) -> dict[int, float]:
    """Returns, by seed, the loss on the target (bits/byte) that is `share` of the way from the untouched model to full's end.

    A seed of which full's end is not finite, or learned nothing, has none.
    """
    start = rows(results, phase="reference", metric="budget_target").set_index("seed")["value"] if len(results) else pd.Series()
    found = {}
    for seed, way in ((seed, way) for (arm, seed), way in ways(results).items() if arm == FULL):
        begun, end = float(start.get(seed, np.nan)), float(way.iloc[-1])
        if np.isfinite([begun, end]).all() and end < begun:
            found[int(seed)] = begun + share * (end - begun)
    return found


def ways(results: pd.DataFrame) -> dict[tuple[str, int], pd.Series]:
    """Returns the losses on the target of each (arm, seed), by step."""
    own = rows(results, phase="result", metric="budget_target")
    if own.empty:
        return {}
    table = own.set_index(["arm", "seed", "step"])["value"].unstack("step").sort_index(axis=1)
    runs = own[["arm", "seed"]].drop_duplicates().itertuples(index=False)
    return {(str(arm), int(seed)): table.loc[(arm, seed)] for arm, seed in runs}


def place(share: float) -> str:
    """Returns the name of the place where an arm has learned a share of what full learns."""
    return f"{share:g}"


def shares(results: pd.DataFrame) -> list[float]:
    """Returns the shares at which arms are compared, in ascending order."""
    own = rows(results, phase="reference", metric="equal_at")
    return sorted(float(value) for value in own["value"]) if len(own) else []


def above(results: pd.DataFrame, share: float) -> list[tuple[str, int]]:
    """Returns each (arm, seed) that does not come down to the level of a share."""
    level = levels(results, share)
    return [(arm, seed) for (arm, seed), way in ways(results).items() if seed not in level or not (way <= level[seed]).any()]


def standing(results: pd.DataFrame) -> pd.DataFrame:
    """Returns the records without readings of arms at levels that they miss: a run may have been extended by a seed that does.

    Spectra, which say no place, are of the largest share.
    """
    known = shares(results)
    lost = {(arm, place(share)) for share in known for arm, _ in above(results, share)}
    if not lost:
        return results
    own = results.reindex(columns=["arm", "pair", "at", "phase"]).astype(object)  # a column that no record has would be of numbers
    at = own["at"].mask(own["phase"] == "spectrum", place(known[-1]))
    words = own["pair"].where(own["pair"].notna(), own["arm"])
    gone = [any((arm, name) in lost for arm in str(word).split(" & ")) for word, name in zip(words, at, strict=True)]
    return results[~np.array(gone)]


def steps(results: pd.DataFrame, wanted: Sequence[float]) -> Steps:
    """Returns at which step each arm is read, and each null of full: at its end, and where its loss is nearest to the level of a share.

    An arm that does not come down to a level in each of its runs is not read there. A null of full is read where full is.
    """
    every, known = ways(results), {share: levels(results, share) for share in wanted}
    lost = {(arm, share) for share in wanted for arm, _ in above(results, share)}
    found: dict[tuple[str, str, int], dict[str, int]] = {}
    for (arm, seed), way in every.items():
        found[arm, NONE, seed] = {
            place(share): int((way - level[seed]).abs().idxmin()) for share, level in known.items() if (arm, share) not in lost
        } | {END: int(way.index[-1])}
    nulls = rows(results, phase="null", metric="train_loss")
    for null, seed in nulls[["null", "seed"]].drop_duplicates().itertuples(index=False) if len(nulls) else ():
        found[FULL, null, int(seed)] = found.get((FULL, NONE, int(seed)), {})
    return found
