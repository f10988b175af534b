"""Records by their coordinates."""

from typing import Any

import pandas as pd


def rows(results: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Returns the records with these coordinates, their values as numbers; none where nothing of the kind was read."""
    for name, value in where.items():
        if name not in results:
            return results[:0]
        results = results[results[name] == value]
    return results.assign(value=pd.to_numeric(results["value"])) if "value" in results else results
