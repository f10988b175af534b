"""How often the detector of intruders is wrong: on updates that are noise, and how often it finds directions that were planted."""

import itertools
from typing import Any

import numpy as np

from experiments.lora_vs_full.axes import VersusSweep
from research import tree
from research.analysis.intruders import Trial, detection
from research.analysis.truncation import matrices
from research.analysis.update_spectra import MATRICES
from research.cells.phases import reference
from research.cells.runner import Runner
from research.cells.subject import Rows
from research.runtime.provenance import timed

STRENGTHS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)  # Frobenius norm of what is added over that of the start
RANKS = (None, 1, 8)
DRAWS = 4


def read(runner: Runner, sweep: VersusSweep) -> Rows:
    """Returns, by spectrum of the start, rank and strength of what is added, the share of leading vectors that are called intruders.

    Of starts with the shapes of the first base's matrices: with Gaussian entries (flat), with a power law, and with the singular values of
    these matrices themselves, in random directions; mean over matrices, a record a draw.
    """
    if runner.workdir.records.has(metric="detected"):
        return []
    with timed("detector", runner.workdir.timings.append):
        params = tree.flatten({"params": runner.setting.bases.params(0)})
        own = [m for _, m in matrices({path: np.asarray(params[path], np.float32) for path in tree.matching(MATRICES, params)})]
        spectra: dict[str, list[Any]] = {
            "flat": ["flat"] * len(own),
            "power": ["power"] * len(own),
            "base": [np.linalg.svd(m, compute_uv=False) for m in own],
        }
        rows: Rows = []
        for (ground, spectrum), rank in itertools.product(spectra.items(), RANKS):
            trials = [Trial(one, m.shape, rank, DRAWS, seed) for seed, (one, m) in enumerate(zip(spectrum, own, strict=True))]
            found = np.mean([detection(trial, STRENGTHS, sweep.intruders["top"], sweep.intruders["eps"]) for trial in trials], axis=0)
            where = {"ground": ground, "added": "full" if rank is None else f"rank {rank}"}
            rows += [
                reference(runner.setting.experiment, "detected", float(rate), "1", strength=STRENGTHS[at], draw=draw, **where)
                for (draw, at), rate in np.ndenumerate(found)
            ]
        return rows
