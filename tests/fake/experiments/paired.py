"""A stand-in for an experiment: pretrains the smallest base there is and trains members of it, on two devices of one or two processes."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from research.cells.bases import Bases
from research.cells.measures import Measure
from research.cells.pretraining import Pretraining, pretrain
from research.cells.runner import Runner
from research.cells.setting import Cell, Setting
from research.data.batches import batch, in_batches, windows
from research.data.corpus import Corpus
from research.data.vocabulary import BYTES
from research.figures.style import Captioned
from research.findings import Estimate, Finding, finding
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.optimizers import OptimizerSpec
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir
from research.sweeps import Plan, fingerprint, grid
from research.training.mesh import MeshSpec, make_mesh
from research.training.population import Task, build
from research.training.processes import fetch

QUESTION = "Do two processes compute what one does?"
MODEL = DecoderConfig(d_model=8, d_mlp=16, n_layers=1, max_length=8)


def check(config: ConfigDict) -> None:
    """Returns at once: there is nothing to choose wrongly."""


def plan(config: ConfigDict) -> Plan:
    """Returns numbers of no meaning."""
    return Plan(config.seeds, [], 10**9, 10.0)


def run(config: ConfigDict, workdir: Workdir) -> Iterator[list[dict[str, Any]]]:
    """Yields the losses of members, then the norms of their final weights."""
    text = np.random.default_rng(0).integers(1, 255, 900).astype(np.uint8)
    corpus = Corpus("text:here", "fingerprint", dict.fromkeys(("train", "validation", "test"), text), {})
    workdir.pin("text", corpus.fingerprint)
    with Progress() as progress:
        spec = Pretraining(MODEL, OptimizerSpec(6), 1e-2, 4, 1, 0)
        base = fetch(pretrain(spec, corpus, make_mesh(MeshSpec(data=2)), progress).params)
        stacked, rows, mesh = jax.tree.map(lambda x: x[None], base), windows(text, MODEL.max_length), make_mesh(MeshSpec(member=2))
        task = Task(decoder(MODEL), None, ("^params/",), OptimizerSpec(config.steps), functools.partial(batch, vocabulary=BYTES))
        measures = {"result": (Measure("target_loss", in_batches(rows, (2, 4), 0), False),)}
        setting = Setting("paired", mesh, Bases.stacked(stacked), rows, 2, (config.steps,), 1, measures, {"full": 2}, keep=lambda *_: True)
        runner = Runner({"full": build(task, stacked, mesh)}, setting, workdir, progress)  # type: ignore[arg-type]
        chosen = grid(phase=("result",), init=("pretrained",), seed=range(config.seeds))
        cells = [Cell(fingerprint(c), c, "full", 0, 0, 1e-2, c["seed"]) for c in chosen]
        yield from runner.run(cells, "results")
        for cell in cells:
            values = workdir.load_artifact(cell.fingerprint).values()
            norm = float(np.sqrt(sum((value.astype(np.float64) ** 2).sum() for value in values)))
            yield [{"experiment": "paired", "cell": "", **cell.coordinates, "phase": "norm", "metric": "norm", "value": norm, "unit": "1"}]


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns one mean."""
    mean = Estimate(float(results["value"].mean()), None, None, len(results), "mean")
    return [finding("mean", {}, mean, "1")]


def answer(found: list[Finding]) -> str:
    """Returns the mean in words."""
    return f"The mean is {found[0].value:.3f}."


def figures(results: pd.DataFrame) -> dict[str, Captioned]:
    """Returns no figure."""
    return {}
