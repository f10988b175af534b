"""What is swept: the pretrained decoder, tuned by each method; how much of the target it learns, and of the source it loses."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.forgetting import fishers, kept
from experiments.forgetting.axes import INIT, ForgettingSweep
from experiments.forgetting.methods import parse
from research.analysis.ngrams import unigram_bits
from research.cells import initializations
from research.cells.bases import at_once
from research.cells.described import described
from research.cells.measures import Measure
from research.cells.phases import document_sizes, reference, untouched
from research.cells.pretraining import parameter_shapes
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.starts import Phases, bases, layout_of
from research.cells.study import Study, corpora, model_of, text_subject, whole
from research.cells.subject import Prepared, Rows, Subject
from research.data.batches import windows
from research.data.corpus import Corpus
from research.errors import UsageError
from research.runtime.progress import Progress
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir

APART = ("base", "methods", "alphas", "seeds", "selection_seeds", "selection_steps", "learning_rates", "mesh", "members", "equal_at")


def forgetting_subject(config: Mapping[str, Any]) -> Subject:
    """Returns the subject of a plain config; raises UsageError for what cannot be."""
    sweep, study = ForgettingSweep.of(config), Study.of(config)
    study.check_batches(sweep.batch_size)
    tasks = sweep.tasks(study)
    index = initializations.places((INIT,), sweep.all_seeds(), sweep.bases)
    count = max(index.values()) + 1
    weighed = fishers.places(sweep.labels, count)
    held = count + len(weighed)
    if held > 1 and at_once(parameter_shapes(model_of(study)), held) < held:
        raise UsageError(
            "methods has ewc or empirical, or pretraining.bases is above 1: these take small models, held all at once; leave them out"
        )
    phases = Phases((sweep.selection(), sweep.results()), lambda c: parse(c["arm"]).recipe.shape)
    layout = layout_of(study, tasks, phases, sweep, {**index, **weighed})

    def cell(c: Mapping[str, Any]) -> Cell:
        return begun(c, index[c["init"], c["seed"]], weighed)

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        source, target = corpora(study, (study.target,), workdir)
        rows = [windows(corpus.parts["train"], study.model.max_length) for corpus in (target, source)]
        own = bases(study, index, (source, target), workdir, progress)
        if weighed:
            with timed("fisher", workdir.timings.append):
                own = fishers.with_fishers(own, study, weighed, fishers.spaced(rows[1], sweep.fisher["sequences"]))
        return Prepared(
            own,
            np.concatenate(rows),
            _measures(study, source, target),
            (source.fingerprint, target.fingerprint, *study.named_by),
            cell,
            before=lambda runner: [[*_known(runner, sweep, study, source), *untouched(runner, "full", index, sweep.bases)]],
            after=lambda runner, cells: kept.read(runner, sweep, study, cells),
            keep=lambda c, step: c["phase"] == "result",
            replay=len(rows[1]),
        )

    share = {key: value for key, value in config.items() if key not in APART}
    steps = len(sweep.selection()) * (sweep.selection_steps or sweep.steps) + len(sweep.results()) * sweep.steps
    return text_subject(
        study,
        sweep,
        layout,
        share=share,
        prepare=prepare,
        read_at=sweep.read_at,
        kept_at=sweep.kept_at,
        selection_steps=sweep.selection_steps,
        flops=study.flops(steps * sweep.batch_size, (INIT,), _read(study, sweep)),
    )


def begun(c: Mapping[str, Any], place: int, weighed: fishers.Places) -> Cell:
    """Returns the cell, without its name, of coordinates that begins at the place of a base; weighed: where Fisher diagonals stand."""
    recipe = parse(c["arm"]).recipe
    own = Cell("", c, recipe.shape, place, recipe.rank or 0, c["learning_rate"], c["seed"], replayed=recipe.replayed)
    if recipe.strength is None:
        return own
    pulled = own._replace(reference=place, strength=recipe.strength)
    return pulled._replace(importance=weighed[recipe.labels, place]) if recipe.labels else pulled


def _known(runner: Runner, sweep: ForgettingSweep, study: Study, source: Corpus) -> Rows:
    experiment = runner.setting.experiment
    equal = [reference(experiment, "equal_at", share, "1", level=level) for level, share in enumerate(sweep.equal_at)]
    train, test, size = source.parts["train"], source.parts[source.read], source.bytes[source.read]
    unigram = reference(experiment, "source_unigram", unigram_bits(train, test, source.vocabulary, size), "bits/byte")
    target = {**reference(experiment, "target", 1.0, "count"), "note": study.target.source}
    noise = reference(experiment, "noise_rank", kept.noise_rank(runner), "rank")
    return [*equal, unigram, target, noise, *described(experiment, study), *document_sizes(runner)]


def _measures(study: Study, source: Corpus, target: Corpus) -> dict[str, tuple[Measure, ...]]:
    selection = whole(study, target, "validation", "validation_loss")._replace(groups=None)
    learned = whole(study, target, target.read, "target_loss", early="budget_target")._replace(groups=None)
    return {"select": (selection,), "result": (learned, whole(study, source, source.read, "source_loss", "budget_source", True))}


def _read(study: Study, sweep: ForgettingSweep) -> int:
    """How many windows' forward passes all readings take, roughly."""
    results, once = len(sweep.results()), study.read_windows(1)
    ends = 2 * study.read_windows(study.target.test_bytes) + 2 * once * len(sweep.read_at)
    points = results * (1 + len(sweep.kept_at)) + sweep.seeds * len(sweep.alphas)
    return len(sweep.selection()) * study.read_windows(study.target.validation_bytes) + results * ends + 4 * points * once
