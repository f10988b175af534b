"""Findings that a test looks up, one for a name and coordinates, and how wide their intervals are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import t

from research.findings import Finding, find

THREE = t.ppf(0.975, 2) / np.sqrt(3)  # half-width over three bases, or draws, one spread apart


def one(found: Sequence[Finding], name: str, **where: Any) -> Finding:
    f = find(found, name, **where)
    assert f is not None, (name, where)
    return f


def contrast(found: Sequence[Finding], what: str, between: str, **where: Any) -> Finding:
    return one(found, "contrast", what=what, between=between, **where)


def half(f: Finding) -> float:
    assert f.low is not None and f.high is not None and f.low <= f.value <= f.high
    return (f.high - f.low) / 2
