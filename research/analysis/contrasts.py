"""Contrasts between arms with intervals over bases (seeds) *and* documents: the two half-widths, added in squares.

Seeds that start from one pretrained base share its luck, and all seeds are scored on the same documents, so neither can stand in for the
other. Over bases the half-width is Student's t of the bases' means; over documents it is the delete-one-group jackknife's, with the
effective number of groups (Kish's, for unequal bytes) less one as degrees of freedom. Measured coverage, beside what seeds alone and a
two-way percentile bootstrap cover: tests/ground_truth/test_contrasts.py.

Where all seeds start from one base (a checkpoint that somebody else pretrained), the seeds stand in its place: the interval then holds
what varies between them and leaves the base out, and every note says so. A text of few bytes, or of few groups, carries no half over
documents: its excerpts are too short and too few to stand for others.
"""

import math

import numpy as np

from research.analysis.intervals import join_notes, t_quantile
from research.findings import Estimate

BOTH = "{mean} over {units}; t over {units} and jackknife over groups of documents, half-widths added in squares ({level:.0%})"
QUOTIENT = "ratio, MOVER in logarithms from both intervals; jackknife over groups of documents added in squares ({level:.0%})"
NO_BASES, NO_DOCUMENTS = "no interval over one base", "documents left out"
BASE_LEFT_OUT = "seeds of one base: the base is left out"
LEAST_GROUPS = 8.0  # effective ones
LEAST_BYTES = 10_000


def without_each(losses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the weighted mean over all groups but one, for each one: (..., groups) from `losses` (..., groups) and `weights` (groups,).

    Losses in bits/byte, weights in bytes. Raises ValueError unless there are two groups or more and every weight is positive.
    """
    losses, weights = np.asarray(losses, dtype=float), np.asarray(weights, dtype=float)
    if weights.shape != losses.shape[-1:] or weights.size < 2 or not (weights > 0).all():
        raise ValueError(f"losses of shape {losses.shape} and weights of shape {weights.shape} are not of two groups or more, all weighing")
    bits = losses * weights
    return (bits.sum(axis=-1, keepdims=True) - bits) / (weights.sum() - weights)


def base_means(values: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Returns the means of `values` (seeds, ...) within each of `bases` (seeds,), the bases that seeds start from: (bases, ...).

    A null value (a diverged run) is left out; a base of nulls alone stays null. Raises ValueError where lengths differ.
    """
    values, bases = np.asarray(values, dtype=float), np.asarray(bases)
    if bases.shape != values.shape[:1]:
        raise ValueError(f"{values.shape[0]} seeds do not start from {bases.size} bases")
    groups = [values[bases == base] for base in np.unique(bases)]
    counts = [np.isfinite(group).sum(axis=0) for group in groups]
    return np.stack([np.where(n > 0, np.nansum(group, axis=0) / np.maximum(n, 1), np.nan) for group, n in zip(groups, counts, strict=True)])


def of_one_base(bases: np.ndarray) -> bool:
    """Returns whether several seeds start from one base, of which no interval can hold another."""
    return len(bases) > 1 and np.unique(bases).size == 1


def units(values: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Returns what an interval counts once: the means of `base_means`, or, where all seeds start from one base, the seeds themselves."""
    return np.asarray(values, dtype=float) if of_one_base(bases) else base_means(values, bases)


def contrast(
    values: np.ndarray,
    bases: np.ndarray,
    replicates: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    *,
    factor: bool = False,
    level: float = 0.95,
) -> Estimate:
    """Returns the mean over bases of a contrast that is paired by seed, with an interval over bases and over groups of documents.

    `values` and `bases` are (seeds,); `replicates` (groups,) are the same mean with one group of documents left out each, and `weights`
    (groups,) the bytes of the groups (None: equal). With `factor`, values and replicates are natural logarithms and the estimate is a
    factor. `n` counts bases, or seeds where all start from one base; the note tells both half-widths, and which of them is missing and
    why. A single seed has the interval of documents alone.
    """
    finite = np.isfinite(np.asarray(values, dtype=float))
    kept, lost = np.asarray(bases)[finite], int((~finite).sum())
    means, alone = units(np.asarray(values, dtype=float)[finite], kept) if finite.any() else np.empty(0), of_one_base(kept)
    if alone and np.ptp(means) == 0:  # untouched weights: not several readings, but one
        means, alone = means[:1], False
    missing = f"{lost} of {len(values)} seeds without a value (diverged), left out" if lost else ""
    method = BOTH.format(mean="geometric mean" if factor else "mean", units="seeds of one base" if alone else "bases", level=level)
    if means.size == 0:
        return Estimate(None, None, None, 0, method, missing or "no seeds")
    what = f"{means.size} {BASE_LEFT_OUT if alone else 'bases'}"
    first, over_bases = _over_units(means, what, factor, level)
    second, over_documents = _over_documents(replicates, weights, factor, level)
    note = join_notes(f"{over_bases}, {over_documents}", missing)
    center, half = float(means.mean()), math.hypot(first or 0.0, second or 0.0)
    value, low, high = (math.exp(end) if factor else end for end in (center, center - half, center + half))
    if first is None and second is None:
        return Estimate(value, None, None, means.size, method, note)
    return Estimate(value, low, high, means.size, method, note)


def ratio(
    a: Estimate,
    b: Estimate,
    replicates: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    *,
    one_base: bool = False,
    level: float = 0.95,
) -> Estimate:
    """Returns a / b of two readings such as r90 with an interval from their own intervals, by MOVER in logarithms.

    Zou & Donner 2008, Donner & Zou 2012: each side adds in squares the distances of a's and b's bounds that move the ratio that way, as for
    independent readings; for readings that move together this is too wide. `replicates` (groups,) are natural logarithms of the ratio with
    one group of documents left out each; their half-width is added in squares. A side that rests on an open bound is open. Where a reading
    is censored or 0 a bound is the quotient of the bounds that are known. `one_base`: one of the readings is over seeds of one base.
    Raises ValueError for a negative reading.
    """
    single = max(a.n, b.n) == 1
    value, low, high = _quotient([_log(end) for end in a[:3]], [_log(end) for end in b[:3]], single)
    over_bases = NO_BASES if single else f"[{_bound(low)}, {_bound(high)}] over {min(a.n, b.n)} {BASE_LEFT_OUT if one_base else 'bases'}"
    half, over_documents = _over_documents(replicates, weights, True, level) if math.isfinite(value) else (None, NO_DOCUMENTS)
    if half is not None:
        low, high = value - math.hypot(value - low, half), value + math.hypot(high - value, half)
    elif single:
        low = high = math.nan
    ends = [None if math.isnan(end) or end == math.inf else math.exp(end) for end in (value, low, high)]
    told = [f"{over_bases}, {over_documents}"]
    told += [f"interval open {side}" for side, end in zip(("below", "above"), ends[1:], strict=True) if end is None]
    why = [f"{name}: {one.note}" for name, one in (("numerator", a), ("denominator", b)) if one.note]
    why = ["no ratio to 0", *why] if b.value == 0 else why
    note = join_notes(*told, *why) if ends[0] is not None else join_notes(*why, *told)
    return Estimate(ends[0], ends[1], ends[2], min(a.n, b.n), QUOTIENT.format(level=level), note)


def _quotient(a: list[float], b: list[float], single: bool) -> tuple[float, float, float]:
    """MOVER's value, low and high of a - b from (value, low, high) of logarithms; nan is unknown. Single seeds have no interval."""
    value = a[0] - b[0]
    if single:
        return value, value, value
    if not math.isfinite(value):
        return value, a[1] - b[2], a[2] - b[1]
    return value, value - math.hypot(a[0] - a[1], b[2] - b[0]), value + math.hypot(a[2] - a[0], b[0] - b[1])


def _over_units(means: np.ndarray, what: str, factor: bool, level: float) -> tuple[float | None, str]:
    """The half-width over bases, or over seeds of one, and what it says, None where there is one."""
    if means.size == 1:
        return None, NO_BASES
    half = t_quantile(level, means.size - 1) * float(means.std(ddof=1)) / math.sqrt(means.size)
    return half, _told(half, factor, what)


def _over_documents(replicates: np.ndarray | None, weights: np.ndarray | None, factor: bool, level: float) -> tuple[float | None, str]:
    """The half-width over groups of documents (Tukey's jackknife) and what it says, None where there is none, and why."""
    if replicates is None:
        return None, NO_DOCUMENTS
    replicates, size = np.asarray(replicates, dtype=float), LEAST_BYTES if weights is None else float(np.sum(weights))
    weights = np.ones(replicates.shape) if weights is None else np.asarray(weights, dtype=float)
    if replicates.ndim != 1 or weights.shape != replicates.shape or not (weights > 0).all():
        raise ValueError(f"replicates of shape {replicates.shape} do not fit weights of shape {weights.shape}, or some weigh nothing")
    groups, censored = replicates.size, int((~np.isfinite(replicates)).sum())
    if censored:
        return None, f"{NO_DOCUMENTS} (no value without one of {censored} of {groups} groups)"
    effective = float(weights.sum() ** 2 / (weights**2).sum()) if groups else 0.0
    if size < LEAST_BYTES:
        return None, f"{NO_DOCUMENTS} ({round(size / 1024)} KB of held-out text carry no interval over documents)"
    if effective < LEAST_GROUPS:
        return None, f"{NO_DOCUMENTS} ({groups} groups count as {effective:.2g})"
    variance = (groups - 1) / groups * float(((replicates - replicates.mean()) ** 2).sum())
    half = t_quantile(level, effective - 1) * math.sqrt(variance)
    return half, _told(half, factor, f"{groups} groups of documents")


def _log(end: float | None) -> float:
    if end is not None and end < 0:
        raise ValueError(f"a ratio needs readings that are not negative, not {end:g}")
    return math.nan if end is None else math.log(end) if end else -math.inf


def _told(half: float, factor: bool, what: str) -> str:
    return f"x/÷ {math.exp(half):.3g} over {what}" if factor else f"± {half:.2g} over {what}"


def _bound(end: float) -> str:
    return "open" if math.isnan(end) or end == math.inf else f"{math.exp(end):.3g}"
