"""The law of effective data transferred, D_T = k D_F^a N^b, with intervals over bases and documents, and tests that can reject it.

Hernandez et al. 2021 (arXiv 2102.01293, equation 1.1), where data is short; points are those of `effective_data`. The law is fitted to each
seed, all seeds at the same points with the same weights, so its powers are means over bases. Of points at which little is transferred
those stay to which noise was kind, and a is read too high; at the end of the scratch curve those that noise kept below it stay, and a and
b are read too low: notes say where points were left out. Measured coverage and bias: tests/ground_truth/test_data_transferred.py.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from research.analysis.effective_data import ABOVE, FITTED, UNSURE, Losses, effective_data
from research.analysis.intervals import join_notes
from research.findings import Estimate

CURVATURE, A_BY_N, LARGEST = "curvature in D_F", "a by N", "largest N left out"
LEAST_POINTS, LEAST_AMOUNTS = 3, 2
TILTS = {UNSURE: "a is then read too high", ABOVE: "a and b are then read too low"}


class Law(NamedTuple):
    """D_T = k D_F^a N^b, bytes and parameters, or the reason in words why it was not fitted.

    misfit: what is 0 if the law holds, at a level that all of them share: the curvature in ln D_F, how a changes with ln N, and the
    natural logarithm of predicted over measured D_T at the largest size, by the law of the others. words: how many points have each word
    of `effective_data`.
    """

    k: Estimate
    a: Estimate
    b: Estimate
    misfit: Mapping[str, Estimate]
    words: Mapping[str, int]
    reason: str = ""

    def rejected(self) -> list[str]:
        """Returns the names of the misfits that are told apart from 0."""
        return [n for n, one in self.misfit.items() if one.low is not None and one.high is not None and not one.low <= 0 <= one.high]


def law(losses: Losses, allowed: float = 0.1, level: float = 0.95) -> Law:
    """Returns the law of D_T, by weighted least squares in logarithms for each seed.

    Points up to the share `allowed` of D(N) count, each as (slope of the scratch curve x D_T / D_E)^2, the inverse variance that equal
    noise in all losses has in ln D_T; variances of three seeds would be noise. Of one size b is not identified. Fewer than three points, or
    than two amounts of data, are not fitted. k has the unit bytes^(1 - a) parameters^-b. Raises UsageError as `effective_data` does.
    """
    points = effective_data(losses, allowed)
    used, words = [point for point in points if point.word == FITTED], Counter(point.word for point in points)
    own, sizes = np.log([point.amount for point in used]), np.log([point.size for point in used])
    columns = np.stack([np.ones(len(used)), own, sizes][: 3 if np.unique(sizes).size > 1 else 2], axis=1)
    if reason := _forbidden(columns, words):
        none = losses.unknown(reason)
        return Law(none, none, none, {}, words, reason)
    logs = np.stack([point.logs for point in used])
    values = logs + np.log1p(-np.exp(own[:, None, None] - logs))  # ln D_T, (points, seeds, 1 + groups)
    roots = np.array([-point.slope for point in used]) * (1 - np.exp(own - logs[..., 0].mean(axis=1)))
    read = [np.tensordot(row, values, 1) for row in _solver(columns, roots)]
    k, *powers = (_tilted(losses.over(one, place == 0, level), words) for place, one in enumerate(read))
    misfits = dict(_misfits(columns, roots))
    shared = 1 - (1 - level) / max(len(misfits), 1)
    misfit = {name: losses.over(np.tensordot(row, values, 1), level=shared) for name, row in misfits.items()}
    return Law(k, powers[0], powers[1] if len(powers) > 1 else losses.unknown("one size: b is not identified"), misfit, words)


def _tilted(estimate: Estimate, words: Mapping[str, int]) -> Estimate:
    """The estimate, with what leaving points out for their noise does to it."""
    told = [f"{words[word]} points left out, {word}: {how}" for word, how in TILTS.items() if words.get(word)]
    return estimate._replace(note=join_notes(estimate.note, *told))


def _forbidden(columns: np.ndarray, words: Mapping[str, int]) -> str:
    """Why there is no fit, in words; empty where there is one."""
    amounts = len(np.unique(columns[:, 1]))
    others = ", ".join(f"{count} {word}" for word, count in words.items() if word != FITTED)
    left = f"{len(columns)} of {sum(words.values())} points are left" + (f" ({others})" if others else "")
    if len(columns) < LEAST_POINTS or amounts < LEAST_AMOUNTS:
        return f"not fitted: {left}, of {amounts} amounts of data; {LEAST_POINTS} points of {LEAST_AMOUNTS} amounts are needed"
    return "" if _spans(columns) else f"not fitted: {left}, in which sizes and amounts of data do not vary apart"


def _spans(columns: np.ndarray) -> bool:
    return len(columns) >= columns.shape[1] == np.linalg.matrix_rank(columns, rtol=1e-9)


def _solver(columns: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """What makes coefficients of values (points,), by least squares with the weights roots^2: (coefficients, points)."""
    solver: np.ndarray = np.linalg.pinv(roots[:, None] * columns) * roots
    return solver


def _misfits(columns: np.ndarray, roots: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """What makes each misfit of ln D_T (points,), of those that these points can tell."""
    own, sizes = columns[:, 1], columns[:, 2:]
    for name, products in ((CURVATURE, own[:, None] ** 2), (A_BY_N, own[:, None] * sizes)):
        wider = np.concatenate([columns, products], axis=1)
        if products.size and _spans(wider):
            yield name, _solver(wider, roots)[-1]
    last = sizes[:, 0] == sizes.max() if sizes.size else np.zeros(len(own), bool)
    if last.any() and _spans(columns[~last]):
        shares = np.where(last, roots**2, 0.0) / (roots[last] ** 2).sum()
        predicted = np.zeros(len(own))
        predicted[~last] = shares @ columns @ _solver(columns[~last], roots[~last])
        yield LARGEST, predicted - shares
