"""The records' scalars as TensorBoard reads them, one run per cell; TensorFlow is not needed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tensorboard.summary import Writer

from research.figures.intervals import tidy
from research.files import file_word

CURVES = ("result", "select")
APART = ("document_loss",)  # many values of one step
CELL = ["phase", "target", "model", "parameters", "init", "arm", "dimension", "trains", "rank", "learning_rate", "seed"]


def write_scalars(results: pd.DataFrame, folder: Path) -> int:
    """Writes every finite scalar with a step of the phases `result` and `select` below `folder`, and returns the number of runs.

    A run is a cell, named phase/target/init/what is trained/learning rate and seed, each one folder though a path stands in it. Files of an
    earlier call are replaced, so the same records give the same curves however often they are written. Losses of single
    documents are left out. Scalars carry float32 values (TensorBoard's own).
    """
    folder = Path(folder)
    for old in folder.glob("**/events.out.tfevents.*"):
        old.unlink()
    count = 0
    for name, cell in _cells(tidy(results)):
        writer = Writer(str(folder / name))
        for metric, step, value in zip(cell["metric"], cell["step"], cell["value"], strict=True):
            writer.add_scalar(metric, value, int(step), wall_time=0.0)
        writer.close()
        count += 1
    return count


def _cells(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields (run name, its rows by step) of every cell that has something to show."""
    rows = frame[frame["phase"].isin(CURVES) & ~frame["metric"].isin(APART) & np.isfinite(frame["value"]) & np.isfinite(frame["step"])]
    for (phase, target, model, parameters, init, arm, dimension, trains, rank, rate, seed), cell in rows.groupby(CELL, dropna=False):
        sizes = [f"{letter}{int(size)}" for letter, size in (("r", rank), ("d", dimension)) if np.isfinite(size)]
        moved = "-".join(filter(None, [arm, trains, *sizes]))
        subject = "-".join(filter(None, [model, f"{int(parameters)}" if np.isfinite(parameters) else ""]))
        trial = "-".join([f"lr{rate:g}"] * bool(np.isfinite(rate)) + [f"seed{int(seed)}"] * bool(np.isfinite(seed)))
        words = filter(None, [phase, target, subject, init, moved, trial])
        yield "/".join(map(file_word, words)), cell.sort_values("step", kind="stable").drop_duplicates(["metric", "step"])
