"""Teachers of known rank and decoys, students of every rank: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import pandas as pd

from research.analysis import costs, planted_rank
from research.analysis.linear_floors import floor_records
from research.analysis.phases import choose_and_run
from research.analysis.planted_subspaces import subspace_records
from research.analysis.simulated_curves import coverage_records
from research.data.batches import windows
from research.data.corpus import Corpus
from research.errors import UsageError
from research.figures import planted_ranks
from research.figures.style import Captioned
from research.findings import Finding
from research.loop import initializations
from research.loop.planted import SHAPE, PlantedSweep, case_of, described
from research.loop.populations import Cell, Measure, Runner, Setting, names
from research.loop.progress import Progress
from research.loop.provenance import timed
from research.loop.study import Study, bases, chunk_of, corpora, held_out, programs
from research.loop.workdir import Workdir
from research.models.model import Variables
from research.sweeps import Plan
from research.training.memory import PROCESS_BYTES

NAME = "planted_rank"
QUESTION = "Does the ruler of lora_rank_sweep measure the rank that is there?"
STAGE = 1  # raise by hand when the meaning of a cell changes
METRIC_WINDOWS = 256
EXTENDABLE = ("planted_ranks", "seeds")
APART = ("planted_ranks", "spectra", "decoys", "seeds", "selection_seeds", "learning_rates", "mesh", "members", "simulations")


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    study, sweep = Study.of(config.to_dict()), PlantedSweep.of(config.to_dict())
    if config.simulations < 1:
        raise UsageError(f"simulations = {config.simulations}: must be at least 1")
    study.check_batches(config.batch_size)
    for decoy in ("none", *sweep.decoys):
        sweep.sites(study, decoy)
    sweep.lay_out(study)


def plan(config: Any) -> Plan:
    """Returns what would run; the time is a rough estimate from FLOPs and a fixed overhead per step."""
    study, sweep = Study.of(config.to_dict()), PlantedSweep.of(config.to_dict())
    layout, counts = sweep.lay_out(study), sweep.counts(study)
    cells = sum(map(sum, counts.values()))
    sequences = cells * sweep.steps * sweep.batch_size + config.pretraining.steps * config.pretraining.batch_size
    length = study.model.max_length
    seconds = costs.estimated_seconds(sequences * length * costs.flops_per_token(study.model, length), cells * sweep.steps)
    return Plan(cells, layout.rows(counts), PROCESS_BYTES + layout.memory_bytes, seconds + 0.04 * config.simulations)


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]]]:
    """Yields the records: linear floors and simulations, then references, selection, choice, results, subspaces."""
    study, sweep = Study.of(config.to_dict()), PlantedSweep.of(config.to_dict())
    layout = sweep.lay_out(study)
    with Progress() as progress, programs(study, layout, sweep.steps, sweep.batch_size) as ready:
        workdir.timings.append([{"stage": "layout", **row} for row in layout.rows(sweep.counts(study))])
        source, target = corpora(study, workdir)
        params = _base(study, sweep, (source, target), workdir, progress)
        with timed("floors and simulations", workdir.timings.append):
            yield list(floor_records(NAME, sweep.planted_ranks, sweep.spectra))
            yield list(coverage_records(NAME, config.simulations))
        metric = sweep.metric(params, study, windows(target.parts["train"], study.model.max_length)[:METRIC_WINDOWS])
        setting = _setting(study, sweep, target, sweep.stack(params, metric, study), layout.widths)
        runner = Runner(ready, setting, workdir, progress)
        name, places = names(STAGE, config.to_dict(), APART, (source.fingerprint, target.fingerprint)), sweep.places(study)

        def made(coordinates: Sequence[Mapping[str, Any]]) -> list[Cell]:
            return [
                Cell(name(c), c, SHAPE, 0, c["rank"], c["learning_rate"], c["seed"], places[case_of(c), c["seed"]]) for c in coordinates
            ]

        yield _references(runner, study, sweep)
        results = yield from choose_and_run(runner, made, sweep.selection(study), sweep.coordinates(study, "result", range(sweep.seeds)))
    exact = [cell for cell in results if setting.keep(cell.coordinates)]
    plants = (sweep.plants(metric, study, case_of(cell.coordinates), cell.seed) for cell in exact)
    learned = (workdir.load_artifact(cell.fingerprint) for cell in exact)
    yield list(subspace_records(NAME, zip((cell.coordinates for cell in exact), learned, plants, strict=True)))


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns estimated ranks, overlaps, errors of linear floors, and coverage."""
    return planted_rank.findings(results)


def answer(findings: Sequence[Finding]) -> str:
    """Returns the answer in one sentence, generated from the findings."""
    return planted_rank.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption."""
    estimates = planted_rank.estimates(results)
    return {
        "estimated_against_planted": Captioned(
            planted_ranks.estimated_against_planted(estimates), planted_ranks.estimated_caption(estimates)
        ),
        "divergence_against_rank": Captioned(
            planted_ranks.divergence_against_rank(results, estimates), planted_ranks.divergence_caption(results)
        ),
    }


def _base(study: Study, sweep: PlantedSweep, texts: tuple[Corpus, Corpus], workdir: Workdir, progress: Progress) -> Variables:
    """The one base that students start from."""
    index = initializations.places((sweep.init,), (0,), study.pretraining["bases"])
    stacked = bases(study, index, texts, workdir, progress)
    return jax.tree.map(lambda x: x[0], stacked)


def _setting(study: Study, sweep: PlantedSweep, corpus: Corpus, stacked: Any, widths: Mapping[str, int]) -> Setting:
    length = study.model.max_length
    measures = {
        "select": (Measure("validation_loss", held_out(corpus, "validation", length), True, "kl"),),
        "result": (Measure("kl", held_out(corpus, "test", length), True, "kl"),),
    }
    return Setting(
        NAME,
        study.make_mesh(),
        stacked,
        windows(corpus.parts["train"], length),
        sweep.batch_size,
        (sweep.steps,),
        chunk_of(sweep.steps),
        measures,
        widths,
        keep=lambda c: c["phase"] == "result" and c["decoy"] == "none" and c["rank"] == c["planted_rank"],
    )


def _references(runner: Runner, study: Study, sweep: PlantedSweep) -> list[dict[str, Any]]:
    """What needs no training: the divergence of the base from each teacher, and of each teacher without its last component."""
    places = {key: place for key, place in sweep.places(study).items() if key[1] < sweep.seeds}
    teachers = list(places.values())
    rows = []
    for metric, starts in (("kl", [0] * len(teachers)), ("kl_without_last", [place + 1 for place in teachers])):
        values = runner.untouched(SHAPE, "result", starts, teachers)["kl"]
        for (case, seed), value in zip(places, values, strict=True):
            start = {"experiment": NAME, "cell": "", "phase": "reference", "init": sweep.init, **described(case)}
            rest = {"trains": "nothing", "rank": 0, "learning_rate": None, "seed": seed, "step": 0, "metric": metric}
            rows.append({**start, **rest, "value": round(float(value), 9), "unit": "bits/byte"})
    return rows
