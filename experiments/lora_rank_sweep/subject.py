"""What is swept over ranks: the decoder, from each initialization, on the target text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.lora_rank_sweep.arm_costs import Budget, arm_costs
from experiments.lora_rank_sweep.arms import RankSweep, shape_of
from research.analysis.ngrams import bigram_bits, unigram_bits
from research.analysis.update_spectra import spectrum_records
from research.cells import initializations
from research.cells.layout import lay_out, stacked_shapes, tally
from research.cells.phases import reference, untouched
from research.cells.pretraining import parameter_shapes
from research.cells.runner import Cell, Measure, Runner
from research.cells.study import Study, bases, corpora, held_out, text_subject
from research.cells.subject import Prepared, Rows, Subject
from research.data.batches import windows
from research.runtime.progress import Progress
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.training.memory import decoder_activations

READ_AT = (0.1, 0.25, 0.5)
NGRAMS = {"unigram_loss": unigram_bits, "bigram_loss": bigram_bits}
APART = ("inits", "arms", "ranks", "seeds", "selection_seeds", "learning_rates", "mesh", "members")


def rank_subject(config: Mapping[str, Any]) -> Subject:
    """Returns the subject of a plain config; raises UsageError for what cannot be."""
    study, sweep = Study.of(config), RankSweep.of(config)
    study.check_batches(sweep.batch_size)
    tasks, length = sweep.tasks(study), study.model.max_length
    index = initializations.places(sweep.inits, sweep.all_seeds(), study.pretraining["bases"])
    stacked = stacked_shapes(parameter_shapes(tasks["full"].model), max(index.values()) + 1)
    counts = tally(shape_of, sweep.selection(), sweep.results())
    layout = lay_out(study.make_mesh(), tasks, counts, stacked, decoder_activations(study.model, sweep.batch_size), sweep.members)

    def cell(c: Mapping[str, Any]) -> Cell:
        return Cell("", c, shape_of(c), index[c["init"], c["seed"]], c["rank"] or 0, c["learning_rate"], c["seed"])

    def after(runner: Runner, cells: Sequence[Cell]) -> Iterator[Rows]:
        experiment, workdir = runner.setting.experiment, runner.workdir
        full = ((each.coordinates, each.base, workdir.load_artifact(each.fingerprint)) for each in cells if each.shape == "full")
        with timed("spectra", workdir.timings.append):
            yield spectrum_records(experiment, full, runner.setting.bases, study.model.scan)
        with timed("costs", workdir.timings.append):
            budgets = Budget(sweep.steps, sweep.batch_size), Budget(study.pretraining["steps"], study.pretraining["batch_size"])
            yield workdir.records.missing(arm_costs(experiment, layout.tasks, sweep.ranks, study.model, *budgets))

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        source, target = corpora(study, workdir)
        entropies = {name: bits(target.parts["train"], target.parts["test"]) for name, bits in NGRAMS.items()}

        def before(runner: Runner) -> Iterator[Rows]:
            experiment = runner.setting.experiment
            known = [reference(experiment, name, bits, "bits/byte") for name, bits in entropies.items()]
            yield [*known, *untouched(runner, "full", index)]

        on_target, on_source = (
            Measure(name, held_out(text, "test", length), last)
            for name, text, last in (("target_loss", target, False), ("source_loss", source, True))
        )
        return Prepared(
            bases(study, index, (source, target), workdir, progress),
            windows(target.parts["train"], length),
            {"select": (Measure("validation_loss", held_out(target, "validation", length), True),), "result": (on_target, on_source)},
            (source.fingerprint, target.fingerprint),
            cell,
            before,
            after,
            keep=lambda c: c["trains"] == "full" and c["phase"] == "result",
        )

    share = {key: value for key, value in config.items() if key not in APART}
    return text_subject(study, sweep, layout, sweep.inits, share=share, prepare=prepare, read_at=READ_AT)
