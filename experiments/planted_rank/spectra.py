"""Spectra of planted updates, and what students of each rank lose to them where the floor is Eckart and Young's."""

import numpy as np

from research.errors import UsageError

SPECTRA = ("flat", "decaying")
DECAY = 0.9


def spectrum(kind: str, rank: int) -> np.ndarray:
    """Returns the singular values (rank,) of an update, the first 1: 'flat', or 'decaying' by DECAY from one to the next."""
    if kind not in SPECTRA:
        raise UsageError(f"spectra has {kind!r}: choose among {', '.join(SPECTRA)}")
    return np.ones(rank) if kind == "flat" else DECAY ** np.arange(rank)


def exact_floor(values: np.ndarray, rank: int) -> float:
    """Returns the least squared error of rank `rank` where the update has these singular values (Eckart & Young 1936)."""
    return float((values[rank:] ** 2).sum())


def analytic_r90(values: np.ndarray, level: float = 0.9) -> float | None:
    """Returns the smallest real rank that recovers `level` on the floor curve, linear between whole ranks; None where nothing is planted.

    Flat spectra: `level` times the rank.
    """
    if not values.size:
        return None
    recovered = np.concatenate([[0.0], np.cumsum(values**2) / (values**2).sum()])
    return float(np.interp(level, recovered, np.arange(recovered.size)))
