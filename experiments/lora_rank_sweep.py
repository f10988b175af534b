"""Quality against rank, from pretrained, shuffled and random weights, learning rate tuned per arm: composition only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from research.analysis import costs, rank_readings
from research.analysis.arm_costs import arm_costs
from research.analysis.ngrams import bigram_bits, unigram_bits
from research.analysis.phases import choose_and_run
from research.analysis.update_spectra import spectrum_records
from research.data.batches import windows
from research.data.corpus import Corpus
from research.figures import costs as cost_figure
from research.figures import learning_curves, ranks, tradeoff
from research.figures import learning_rates as rate_figure
from research.figures import spectra as spectra_figure
from research.figures.style import Captioned
from research.findings import Finding
from research.loop.arms import RankSweep, lay_out_arms, places, shape_of
from research.loop.populations import Cell, Measure, Runner, Setting, names
from research.loop.progress import Progress
from research.loop.provenance import timed
from research.loop.runs import SELECTION_SEEDS
from research.loop.study import Study, bases, budgets_of, chunk_of, corpora, held_out, programs
from research.loop.workdir import Workdir
from research.sweeps import Plan
from research.training.memory import PROCESS_BYTES

NAME = "lora_rank_sweep"
QUESTION = "How many directions does a fine-tune need, and is it pretraining that makes them few?"
STAGE = 1  # raise by hand when the meaning of a cell changes
READ_AT = (0.1, 0.25, 0.5, 1.0)
NGRAMS = {"unigram_loss": unigram_bits, "bigram_loss": bigram_bits}
APART = ("inits", "arms", "ranks", "seeds", "selection_seeds", "learning_rates", "mesh", "members")


def check(config: Any) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is written."""
    study, sweep = Study.of(config.to_dict()), RankSweep.of(config.to_dict())
    study.check_batches(config.batch_size)
    lay_out_arms(sweep, study)


def plan(config: Any) -> Plan:
    """Returns what would run; the time is a rough estimate from FLOPs and a fixed overhead per step."""
    study, sweep = Study.of(config.to_dict()), RankSweep.of(config.to_dict())
    layout, counts = lay_out_arms(sweep, study), sweep.counts()
    total = sum(map(sum, counts.values()))
    sequences = total * sweep.steps * sweep.batch_size + config.pretraining.steps * config.pretraining.batch_size
    length = study.model.max_length
    seconds = costs.estimated_seconds(sequences * length * costs.flops_per_token(study.model, length), total * sweep.steps)
    return Plan(total, layout.rows(counts), PROCESS_BYTES + layout.memory_bytes, seconds)


def run(config: Any, workdir: Workdir) -> Iterator[list[dict[str, Any]]]:
    """Yields the records of the sweep, phase by phase: references, selection, choice, results, spectra, costs."""
    study, sweep = Study.of(config.to_dict()), RankSweep.of(config.to_dict())
    layout = lay_out_arms(sweep, study)
    index = places(sweep, study)
    with Progress() as progress, programs(study, layout, sweep.steps, sweep.batch_size) as ready:
        workdir.timings.append([{"stage": "layout", **row} for row in layout.rows(sweep.counts())])
        source, target = corpora(study, workdir)
        stacked = bases(study, index, (source, target), workdir, progress)
        setting = _setting(study, sweep, source, target, stacked, layout.widths)
        runner = Runner(ready, setting, workdir, progress)

        def made(coordinates: Sequence[Mapping[str, Any]]) -> list[Cell]:
            return _cells(config, (source.fingerprint, target.fingerprint), coordinates, index)

        yield _references(runner, target, index)
        results = yield from choose_and_run(runner, made, sweep.selection(), sweep.coordinates("result", range(sweep.seeds)))
    full = ((cell.coordinates, cell.base, workdir.load_artifact(cell.fingerprint)) for cell in results if cell.shape == "full")
    with timed("spectra", workdir.timings.append):
        yield spectrum_records(NAME, full, stacked, study.model.scan)
    with timed("costs", workdir.timings.append):
        yield arm_costs(NAME, layout.tasks, sweep.ranks, study.model, sweep.batch_size)


def findings(results: pd.DataFrame) -> list[Finding]:
    """Returns r90 (relative and absolute), recovered shares, gaps, learning rate ratios, source and target losses."""
    return rank_readings.findings(results)


def answer(findings: Sequence[Finding]) -> str:
    """Returns the answer in one sentence, generated from the findings."""
    return rank_readings.answer(findings)


def figures(results: pd.DataFrame) -> Mapping[str, Captioned]:
    """Returns the figures by name, each with its caption."""
    return {
        "loss_against_rank": Captioned(ranks.loss_against_rank(results), ranks.caption(results)),
        "learning_rates": Captioned(rate_figure.loss_against_learning_rate(results), rate_figure.caption(results)),
        "learning_curves": Captioned(learning_curves.learning_curves(results), learning_curves.caption(results)),
        "update_spectra": Captioned(spectra_figure.update_spectra(results), spectra_figure.caption(results)),
        "cost_per_arm": Captioned(cost_figure.cost_per_arm(results), cost_figure.caption(results)),
        "source_against_target": Captioned(tradeoff.source_against_target(results), tradeoff.caption(results)),
    }


def _setting(study: Study, sweep: RankSweep, source: Corpus, target: Corpus, stacked: Any, widths: Mapping[str, int]) -> Setting:
    length, chunk = study.model.max_length, chunk_of(sweep.steps)
    on_target = Measure("target_loss", held_out(target, "test", length), False)
    on_source = Measure("source_loss", held_out(source, "test", length), True)
    validation = Measure("validation_loss", held_out(target, "validation", length), True)
    return Setting(
        NAME,
        study.make_mesh(),
        stacked,
        windows(target.parts["train"], length),
        sweep.batch_size,
        budgets_of(sweep.steps, chunk, READ_AT),
        chunk,
        {"select": (validation,), "result": (on_target, on_source)},
        widths,
        keep=lambda coordinates: coordinates["trains"] == "full" and coordinates["phase"] == "result",
    )


def _cells(config: Any, data: Sequence[str], coordinates: Sequence[Mapping[str, Any]], index: Mapping[tuple[str, int], int]) -> list[Cell]:
    name = names(STAGE, config.to_dict(), APART, data)
    return [Cell(name(c), c, shape_of(c), index[c["init"], c["seed"]], c["rank"] or 0, c["learning_rate"], c["seed"]) for c in coordinates]


def _references(runner: Runner, target: Corpus, index: Mapping[tuple[str, int], int]) -> list[dict[str, Any]]:
    """What needs no training: unigram and bigram entropy of the target, and the losses of untouched bases."""
    wanted = {key: base for key, base in index.items() if key[1] < SELECTION_SEEDS}
    entropies = {name: bits(target.parts["train"], target.parts["test"]) for name, bits in NGRAMS.items()}
    values: list[tuple[Any, Any, str, float]] = [(None, None, name, value) for name, value in entropies.items()]
    for metric, losses in runner.untouched("full", "result", list(wanted.values())).items():
        values += [(*key, metric, float(loss)) for key, loss in zip(wanted, losses, strict=True)]
    start = {"experiment": NAME, "cell": "", "phase": "reference"}
    rest = {"arm": None, "trains": "nothing", "rank": None, "learning_rate": None}
    return [
        {**start, "init": init, **rest, "seed": seed, "step": 0, "metric": metric, "value": round(value, 7), "unit": "bits/byte"}
        for init, seed, metric, value in values
    ]
