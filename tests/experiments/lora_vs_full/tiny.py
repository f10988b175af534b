"""A tiny run of the room, with what it began with, its texts, and what each of its cells was trained on."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from experiments.lora_vs_full.plots import every
from research import tree
from research.cells import study
from research.cells.bases import Bases
from research.cells.runner import _InFlight
from research.data.corpus import Corpus, load_corpus
from research.runtime import artifacts
from tests.commands import ran

CONFIG = "--config=configs/lora_vs_full.py:smoke"
TOP, EPS = 5, 0.8  # so near, even a short run leaves intruders
TINY = (
    "--config.model.d_model=16",
    "--config.model.d_mlp=32",
    "--config.pretraining.steps=20",
    "--config.pretraining.bases=1",
    "--config.seeds=2",
    "--config.arms=full,slow@0.01,lora@2",
    "--config.source=text:research/**/*.py",
    "--config.data.test_bytes=4096",
    "--config.data.max_bytes=200000",
    f"--config.intruders.top={TOP}",
    f"--config.intruders.eps={EPS}",
    "--config.cut_ranks=1,4",
    "--config.equal_at=0.1,0.9",  # of what full learns; an adapter of a base that knows so little comes down to the first alone
    "--config.learning_rates.full=2e-2,2.01e-2,2.02e-2",
    "--config.learning_rates.lora=3e-2,3.01e-2,3.02e-2",
)
END, LENGTH = 40, 32


class Ran(NamedTuple):
    """A run: its folder, its records, the weights it began with, its texts, and the windows that each cell was trained on.

    All seeds are of one base, and are read; what is looked up is of the first of them.
    """

    folder: Path
    rows: list[dict[str, Any]]
    base: dict[str, np.ndarray]
    texts: dict[str, Corpus]
    trained: dict[str, list[np.ndarray]]

    def read(self, metric: str, **where: Any) -> float:
        wanted = {"metric": metric, **where}
        (value,) = {row["value"] for row in self.rows if wanted.items() <= row.items() and row.get("seed", 0) == 0}
        return float(value)

    def cell(self, arm: str, null: str = "none") -> str:
        phases = ("result", "null")
        (cell,) = {r["cell"] for r in self.rows if r["phase"] in phases and (r["arm"], r["null"], r["seed"]) == (arm, null, 0)}
        return str(cell)

    def step(self, arm: str, at: str, null: str = "none") -> int:
        wanted = {"phase": "update", "arm": arm, "null": null, "at": at, "seed": 0}
        (step,) = {r["step"] for r in self.rows if wanted.items() <= r.items()}
        return int(step)

    def weights(self, arm: str, at: str, null: str = "none") -> dict[str, np.ndarray]:
        """Returns the parameters of a cell by path; an adapter is added by its formula, W + s A B."""
        step = self.step(arm, at, null)
        kept = artifacts.load(self.folder / "artifacts" / f"{self.cell(arm, null)}{'' if step == END else f'-{step}'}.npz")
        found = {path: kept.get(path, leaf) for path, leaf in self.base.items()}
        for path in (path for path in kept if path.endswith("/A")):
            module = path.removeprefix("adapter/").removesuffix("/A")
            low = kept[f"constants/{module}/scale"] * kept[path].astype(np.float64) @ kept[f"adapter/{module}/B"]
            name = f"params/{module}/kernel"
            found[name] = (found[name] + low.reshape(found[name].shape)).astype(np.float32)
        return found


def concluded(folder: Path, *words: str) -> int:
    """Returns the exit code of the run with these words behind its own; no figures are drawn, which take longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(every, "figures", lambda results, found: {})
        return ran(CONFIG, *TINY, *words, f"--workdir={folder}")


def tiny_run(folder: Path) -> Ran:
    """Returns the run, made in a folder that is not there yet."""
    corpora: dict[str, Corpus] = {}
    made: list[Bases] = []
    trained: dict[str, list[np.ndarray]] = {}

    def load(*args: Any, **kwargs: Any) -> Corpus:
        corpus = load_corpus(*args, **kwargs)
        return corpora.setdefault(corpus.source, corpus)

    def begin(self: Bases, *args: Any, **kwargs: Any) -> None:
        begun(self, *args, **kwargs)
        made.append(self)

    def chunk(self: _InFlight, *args: Any) -> Any:
        train = self.functions.train

        def told(states: Any, members: Any, windows: np.ndarray, bases: Any) -> Any:
            for cell, own in zip(self.cells, windows, strict=False):
                trained.setdefault(cell.fingerprint, []).append(np.reshape(own, (-1, own.shape[-1])))
            return train(states, members, windows, bases)

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self, "functions", self.functions._replace(train=told))
            return one_chunk(self, *args)

    begun, one_chunk = Bases.__init__, _InFlight._chunk
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "load_corpus", load)
        patch.setattr(Bases, "__init__", begin)
        patch.setattr(_InFlight, "_chunk", chunk)
        assert concluded(folder) == 0
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    base = {path: np.asarray(leaf) for path, leaf in tree.flatten({"params": made[0].params(0)}).items()}
    return Ran(folder, rows, base, {"source": corpora["text:research/**/*.py"], "target": corpora["generated:restaurants"]}, trained)
