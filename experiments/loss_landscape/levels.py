"""Losses that every run reaches, and where on its way each one does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

RUN = ("init", "seed", "run")


def ways(rows: Sequence[Mapping[str, Any]], metric: str = "loss") -> dict[tuple[Any, ...], list[tuple[int, float]]]:
    """Returns of each run (init, seed, run) its (step, value) in the order of steps; a step without a value ends it."""
    found: dict[tuple[Any, ...], list[tuple[int, float]]] = {}
    for row in sorted((row for row in rows if row["metric"] == metric), key=lambda row: row["step"]):
        value = row["value"]
        if value is not None and np.isfinite(value):
            found.setdefault(tuple(row[name] for name in RUN), []).append((int(row["step"]), float(value)))
    return found


def level(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Returns the lowest loss that every run reaches from above; None where some run begins below what another one reaches.

    Between the start and the first lower reading a run passes every loss between them; a run that begins lower was there before its
    training, and has no curvature to be compared.
    """
    own = ways(rows)
    if not own or any(len(way) < 2 for way in own.values()):
        return None
    reached = max(min(value for _, value in way) for way in own.values())
    return reached if all(way[0][1] > reached for way in own.values()) else None


def nearest(rows: Sequence[Mapping[str, Any]], loss: float) -> Mapping[str, Any]:
    """Returns the reading of a run whose loss lies nearest to another one."""
    return min((row for row in rows if row["value"] is not None), key=lambda row: abs(row["value"] - loss))


def crossing(way: Sequence[tuple[float, float]], loss: float) -> tuple[int, float] | None:
    """Returns between which readings a way first falls to a loss: the later one's position, and how far towards it (0 to 1).

    None where it never does, and where it begins there.
    """
    values = [value for _, value in way]
    place = next((index for index, value in enumerate(values) if value <= loss), None)
    if not place:
        return None
    before, after = values[place - 1], values[place]
    return place, (before - loss) / (before - after)


def around(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], tuple[int, int]]:
    """Returns of each run the steps of the two readings between which it falls to the lowest loss that all reach; of none without one."""
    alike = level(rows)
    if alike is None:
        return {}
    found = {run: (way, crossing(way, alike)) for run, way in ways(rows).items()}
    return {run: (way[place[0] - 1][0], way[place[0]][0]) for run, (way, place) in found.items() if place is not None}


def at_crossing(way: Sequence[tuple[float, float]], values: Sequence[float], loss: float) -> float | None:
    """Returns what other readings of a way, in the same places, are where its loss first falls to `loss`: linear between two of them."""
    found = crossing(way, loss)
    if found is None:
        return None
    place, share = found
    return float((1 - share) * values[place - 1] + share * values[place])
