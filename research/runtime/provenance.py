"""Where numbers come from: config, fingerprints, versions, devices, seconds."""

import contextlib
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from research.records import Record
from research.sweeps import canonical, fingerprint

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "pandas")


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that a number may depend on; a package that is not there is left out."""
    known = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            known[package] = metadata.version(package)
    return known


@contextlib.contextmanager
def timed(stage: str, save: Callable[[Iterable[Record]], Any]) -> Iterator[None]:
    """Returns a context whose duration is saved as a timing of `stage`, in seconds, also when it ends by an error."""
    start = time.monotonic()
    try:
        yield
    finally:
        save([{"stage": stage, "metric": "seconds", "value": round(time.monotonic() - start, 3), "unit": "s"}])


def seconds_per_stage(timings: Iterable[Record]) -> dict[str, float]:
    """Returns the seconds of each stage, summed over all starts of the run."""
    total: dict[str, float] = {}
    for row in timings:
        if row.get("metric") == "seconds" and row.get("stage") and row.get("value") is not None:
            total[row["stage"]] = round(total.get(row["stage"], 0.0) + row["value"], 3)
    return total


def session(devices: Iterable[str]) -> dict[str, Any]:
    """Returns what one start of a run computed with: versions, and how many devices of which kind."""
    counts = Counter(devices)
    return {"versions": versions(), "devices": [f"{count} x {kind}" for kind, count in sorted(counts.items())]}


def provenance(
    config: Mapping[str, Any], pinned: Mapping[str, str], sessions: Sequence[Record], timings: Iterable[Record]
) -> dict[str, Any]:
    """Returns the provenance of `summary.json`: of the starts that made records, all devices and the last one's versions.

    `pinned` maps names (data sets, bases) to their fingerprints. What is known of each text stands among the timings of its reading.
    """
    plain, rows = canonical(config), list(timings)
    return {
        "config": plain,
        "fingerprints": {"config": fingerprint(plain), **pinned},
        "versions": sessions[-1]["versions"] if sessions else versions(),
        "devices": sorted({device for start in sessions for device in start["devices"]}),
        "texts": {row["text"]["source"]: row["text"] for row in rows if "text" in row},
        "seconds": seconds_per_stage(rows),
        "peak_memory_bytes": max((row["value"] for row in rows if row.get("metric") == "peak_memory"), default=None),
    }
