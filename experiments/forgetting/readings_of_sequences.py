"""What a run says of targets that were learned one after another: findings from its records alone."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from experiments.forgetting.paths import FULL, SLOW, Arm, arms
from research.analysis import described
from research.analysis.contrasts import contrast
from research.analysis.learning_rates import chosen
from research.analysis.tables import rows
from research.findings import Estimate, Finding, finding

JOINT = "joint"
Matrices = Mapping[tuple[str, int], np.ndarray]


def is_sequence(results: pd.DataFrame) -> bool:
    """Returns whether records are of targets in a row: their texts are numbered then."""
    return len(rows(results, metric="text")) > 0


def matrices(results: pd.DataFrame) -> dict[tuple[str, int], np.ndarray]:
    """Returns by (arm, seed) losses in bits/byte, (1 + tasks, 1 + texts): row i after i tasks, row 0 of the untouched base.

    Column 0 is the source, column j the target that the seed learns as its j-th. Runs whose last task was read; NaN where one diverged.
    """
    texts = len(rows(results, metric="text"))
    columns = ["source_loss", *(f"target_{number}_loss" for number in range(1, texts))]
    before = rows(results, phase="reference").pivot_table(index="seed", columns="metric", values="value") if texts else None
    found: dict[tuple[str, int], np.ndarray] = {}
    for (arm, seed), own in rows(results, phase="result").groupby(["arm", "seed"], sort=False) if texts else ():
        learned = own.groupby("task")["text"].first()
        if len(learned) < texts - 1 or before is None:
            continue
        order = [columns[0], *(columns[int(text)] for text in learned)]
        after = own.pivot_table(index="task", columns="metric", values="value", dropna=False)
        found[arm, int(seed)] = np.vstack([before.loc[seed, order], after[order].to_numpy(float)])
    return found


def learned_loss(r: np.ndarray) -> float:
    """Returns the mean loss on a target right after it was learned, of losses (tasks, tasks), row i after task i: mean of R[i][i]."""
    return float(np.diag(r).mean())


def backward_transfer(r: np.ndarray) -> float:
    """Returns the mean over all targets but the last of R[i][i] - R[T][i], of losses (tasks, tasks): negative where they are forgotten.

    BWT of Lopez-Paz and Ranzato (2017, arXiv 1706.08840, eq. 3), where R are accuracies and it is R[T][i] - R[i][i]; losses turn the sign.
    """
    return float((np.diag(r)[:-1] - r[-1, :-1]).mean())


def average_forgetting(r: np.ndarray) -> float:
    """Returns the mean over all targets but the last of R[T][j] less the lowest R[i][j] of an earlier task i < T, of losses (tasks, tasks).

    Forgetting of Chaudhry et al. (2018, arXiv 1801.10112, section 3), where R are accuracies and the highest is taken.
    """
    return float((r[-1, :-1] - r[:-1, :-1].min(axis=0)).mean())


def end_loss(r: np.ndarray) -> float:
    """Returns the mean loss on all targets after the last task: learned_loss less (T - 1) / T of the backward transfer."""
    return float(r[-1].mean())


READ: dict[str, Callable[[np.ndarray], float]] = {
    "learned_loss": lambda whole: learned_loss(whole[1:, 1:]),
    "bwt": lambda whole: backward_transfer(whole[1:, 1:]),
    "average_forgetting": lambda whole: average_forgetting(whole[1:, 1:]),
    "end_loss": lambda whole: end_loss(whole[1:, 1:]),
    "source_rise": lambda whole: float(whole[-1, 0] - whole[0, 0]),
}
OF_JOINT = ("end_loss", "source_rise")  # it learns all at once: what was learned before there is none of


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns what each method learned, lost and had at the end, and how that differs from full training's, at its rate and at a lower."""
    found = [*described.base(results), *described.window(results, {}), *_texts(results), *chosen(results, {"arm": "method"})]
    read, bases = matrices(results), _bases(results)
    values = {
        (name, arm): pd.Series({seed: measure(r) for (word, seed), r in read.items() if word == arm.word}, dtype=float)
        for arm in arms(results)
        for name, measure in READ.items()
        if arm.word != JOINT or name in OF_JOINT
    }
    values = {key: own for key, own in values.items() if len(own)}
    for (name, arm), own in values.items():
        found.append(finding(name, arm.where, contrast(own.to_numpy(), bases.loc[own.index].to_numpy()), "bits/byte"))
    found += _contrasts(values, bases)
    return [*found, *_untouched(read, bases), *_orders(results)]


def _contrasts(values: Mapping[tuple[str, Arm], pd.Series], bases: pd.Series) -> Iterator[Finding]:
    """Of each arm, less full's at its rate and at each lower one, paired by seed."""
    for (name, arm), own in values.items():
        for (_, other), its in ((key, its) for key, its in values.items() if key[0] == name and key[1].method in (FULL, SLOW)):
            if other != arm and (arm.word, other.method) != (FULL, SLOW) and own.index.equals(its.index):
                where = {"what": name, "between": f"{arm.word} - {other.word}"}
                yield finding("contrast", where, contrast((own - its).to_numpy(), bases.loc[own.index].to_numpy()), "bits/byte")


def _bases(results: pd.DataFrame) -> pd.Series:
    own = rows(results, phase="result")
    return own.groupby("seed")["base"].first() if len(own) else pd.Series(dtype=float)


def _untouched(read: Matrices, bases: pd.Series) -> Iterator[Finding]:
    own = pd.Series({seed: float(r[0, 1:].mean()) for (_, seed), r in read.items()}, dtype=float)
    if len(own):
        yield finding("untouched_loss", {}, contrast(own.to_numpy(), bases.loc[own.index].to_numpy()), "bits/byte")


def _orders(results: pd.DataFrame) -> Iterator[Finding]:
    """In how many orders each base learns, at least: where it is one, intervals over bases hold what orders differ in, too."""
    own = rows(results, phase="result", task=1)
    if len(own):
        least = float(own.groupby("base")["text"].nunique().min())
        yield finding("orders", {}, Estimate(least, None, None, 1, "distinct first targets of a base's seeds, the fewest"), "count")


def _texts(results: pd.DataFrame) -> Iterator[Finding]:
    """The texts by number, 0 the source, and what the frequencies of each one's bytes cost on another, above those of its own."""
    for row in rows(results, metric="text").itertuples():
        where: dict[str, Any] = {"text": int(row.text)}
        yield finding("text", where, Estimate(float(row.text), None, None, 1, "set by the config", str(row.note)), "count")
    bits = rows(results, metric="unigram_bits")
    table = bits.pivot_table(index="text", columns="known", values="value") if len(bits) else pd.DataFrame()
    for text, own in table.iterrows():
        for known, value in own.drop(text).items():
            above = Estimate(float(value - own[text]), None, None, 1, "unigram cross entropies")
            yield finding("unigram_apart", {"text": int(text), "known": int(known)}, above, "bits/byte")
