"""What a run is of, as findings: whose base it starts from, and the windows in which text was read."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from research.findings import Estimate, Finding, finding


def base(results: pd.DataFrame) -> Iterator[Finding]:
    """Yields the base that was pretrained elsewhere, where there is one: what it is, as its note."""
    for row in _first(results, "foreign_base"):
        yield finding("base", {}, Estimate(1.0, None, None, 1, "pretrained elsewhere, taken as it is", str(row["note"])), "count")


def window(results: pd.DataFrame, where: Mapping[str, Any]) -> Iterator[Finding]:
    """Yields the tokens of a window, where records tell: how far a loss looks back, which two readings of one text must share."""
    for row in _first(results, "window"):
        said = "windows do not overlap: the stride is the window"
        yield finding("window", where, Estimate(float(row["value"]), None, None, 1, "set by the config", said), "tokens")


def _first(results: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    rows = results[results["metric"] == metric] if "metric" in results else results[:0]
    return [{str(key): value for key, value in row.items()} for row in rows.head(1).to_dict("records")]
