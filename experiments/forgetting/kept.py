"""Tuned weights beside those that they started from: losses, divergences, distances, ranks; and between the two (WiSE-FT)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from experiments.forgetting.axes import ForgettingSweep
from experiments.forgetting.methods import FULL
from research import tree
from research.analysis.trajectories import distance
from research.analysis.update_spectra import energy_ranks, noise_ranks
from research.cells.bases import stacked
from research.cells.kept import weights
from research.cells.measures import BITS, EARLY_BY_DOCUMENT, Measure
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.study import Study, model_of
from research.cells.subject import Rows
from research.losses import cross_entropy, kl_divergence
from research.records import rounded
from research.runtime.provenance import timed
from research.training.spread import spread

WISE = "wise"
UNITS = {"distance": "1", "energy_rank": "rank"}  # of what is no loss


class Point(NamedTuple):
    """Plain weights that are compared with a base's: their coordinates, their step, and what makes them."""

    where: Mapping[str, Any]
    step: int
    base: int
    make: Callable[[], Any]


def read(runner: Runner, sweep: ForgettingSweep, study: Study, cells: Sequence[Cell]) -> Iterator[Rows]:
    """Yields what the weights of each cell became at each step that is kept, and what lies between full's ends and their start."""
    measures = {m.metric: m for m in runner.setting.measures["result"]}
    texts = {name: measures[f"{name}_loss"] for name in ("source", "target")}
    rows = {name: m.batches[0].reshape(-1, m.batches.shape[-1]) for name, m in texts.items()}
    size = {name: float(np.asarray(m.bytes)[0].sum()) for name, m in texts.items()}
    compare = spread(_compared(study))
    todo = [point for point in _points(runner, sweep, cells) if not runner.workdir.records.has(**point.where, step=point.step)]
    with timed("divergences", runner.workdir.timings.append), runner.progress.task("divergences", len(todo)) as bar:
        for first in range(0, len(todo), jax.device_count()):
            some = todo[first : first + jax.device_count()]
            pairs = [(point.make(), runner.setting.bases.params(point.base)) for point in some]
            found = compare(stacked(pairs), rows)
            yield [
                row
                for place, (point, pair) in enumerate(zip(some, pairs, strict=True))
                for row in [
                    *_rows(runner, point, {**_bits(found, size, place), **_moved(runner, point, *pair)}),
                    *_by_document(runner, point, texts["source"], found["source"]["token_"][place]),
                ]
            ]
            bar.advance(len(some))


def _points(runner: Runner, sweep: ForgettingSweep, cells: Sequence[Cell]) -> Iterator[Point]:
    last = runner.setting.budgets[-1]
    for cell in cells:
        where = {name: value for name, value in cell.coordinates.items() if name != "chosen_for"} | {"phase": "kept"}
        for step in runner.setting.kept_at:
            yield Point(where, step, cell.base, lambda cell=cell, step=step: weights(runner, cell, step))  # type: ignore[misc]
        for alpha in sweep.alphas if cell.coordinates["arm"] == FULL else ():
            between = {**where, "arm": f"{WISE}@{alpha:g}", "method": WISE, "strength": alpha}
            yield Point(between, last, cell.base, lambda cell=cell, alpha=alpha: _between(runner, cell, alpha))  # type: ignore[misc]


def _between(runner: Runner, cell: Cell, alpha: float) -> Any:
    """Weights on the line from a start (0) to what became of it (1): WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903, eq. 1)."""
    end = weights(runner, cell, runner.setting.budgets[-1])
    return jax.tree.map(lambda at, to: (1 - alpha) * at + np.float32(alpha) * to, runner.setting.bases.params(cell.base), end)


def _compared(study: Study) -> Callable[..., dict[str, dict[str, Array]]]:
    """(weights, base), rows by text -> sums in nats by what and text, and the loss of each token; traced, a few windows at a time."""
    model = model_of(study)
    at_once = study.evaluation[1]

    def sums(pair: tuple[Any, Any], rows: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
        own, base = ({"params": side} for side in pair)

        def one(window: Array) -> dict[str, Array]:
            batch = study.to_batch(window)
            kl = kl_divergence(model, own, batch, base)[1]["kl"].sum()
            return {"token_": cross_entropy(model, own, batch)[1]["nll"], "kl_": kl}

        def of(windows: Array) -> dict[str, Array]:
            found = jax.lax.map(one, windows.reshape(-1, min(at_once, len(windows)), windows.shape[1]))
            return {"token_": found["token_"], "budget_": found["token_"].sum(), "kl_": found["kl_"].sum()}

        return {name: of(windows) for name, windows in rows.items()}

    return sums


def _bits(found: Mapping[str, Mapping[str, np.ndarray]], size: Mapping[str, float], place: int) -> dict[str, float]:
    return {
        f"{what}{name}": float(values[place]) / size[name] * BITS
        for name, own in found.items()
        for what, values in own.items()
        if values.ndim == 1
    }


def _by_document(runner: Runner, point: Point, text: Measure, nats: np.ndarray) -> Iterator[dict[str, Any]]:
    """Losses by group of documents, as cells have them along their way, of what no cell is: between a start and its end."""
    if point.where["method"] == WISE:
        first = text.read([{text.quantity: nats.reshape(1, *text.batches.shape[1:3], -1)}])
        for document, value in enumerate(first[EARLY_BY_DOCUMENT][0]):
            for row in _rows(runner, point, {EARLY_BY_DOCUMENT: value}):
                yield {**row, "document": document}


def _moved(runner: Runner, point: Point, tuned: Any, base: Any) -> dict[str, float]:
    """How far weights are from their base; at the end of training, over how many directions of a matrix that is spread, on the mean."""
    far = float(distance(tuned, base))
    if point.step != runner.setting.budgets[-1] or point.where["method"] == WISE:  # between both ends the update is the last one's
        return {"distance": far}
    ranks = energy_ranks(*(tree.flatten({"params": side}) for side in (base, tuned))).values() if np.isfinite(far) else ()
    return {"distance": far, "energy_rank": float(np.mean([*ranks])) if ranks else float("nan")}


def noise_rank(runner: Runner) -> float:
    """Returns the mean energy rank of noise in place of an update, which is what no direction being preferred looks like."""
    return float(np.mean([*noise_ranks(tree.flatten({"params": runner.setting.bases.params(0)}), seed=0).values()]))


def _rows(runner: Runner, point: Point, known: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    start = {"experiment": runner.setting.experiment, "cell": "", **point.where, "step": point.step}
    for metric, value in known.items():
        row = {**start, "metric": metric, "value": rounded(value), "unit": UNITS.get(metric, "bits/byte")}
        yield row if np.isfinite(value) else {**row, "value": None, "note": "diverged"}
