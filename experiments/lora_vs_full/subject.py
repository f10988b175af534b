"""What is swept: the pretrained decoder, tuned by each arm; what each changed in its matrices is read behind it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.lora_vs_full import alike, cuts, detector, updates
from experiments.lora_vs_full.arms import NONE, SOURCE, parse
from experiments.lora_vs_full.axes import INIT, VersusSweep
from experiments.lora_vs_full.levels import steps
from research.analysis.intruders import PARTS
from research.cells import initializations
from research.cells.described import described
from research.cells.measures import Measure
from research.cells.phases import reference, untouched
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.starts import Phases, bases, layout_of
from research.cells.study import Study, corpora, text_subject, whole
from research.cells.subject import Prepared, Rows, Subject
from research.data.batches import windows
from research.data.corpus import Corpus
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir

CHUNKS = 60  # of a run: losses fall fast where they are compared
APART = (
    *("base", "arms", "nulls", "seeds", "selection_seeds", "selection_steps", "learning_rates", "mesh", "members", "equal_at"),
    *("intruders", "cut_ranks", "factors", "alphas", "subspaces"),
)


def versus_subject(config: Mapping[str, Any]) -> Subject:
    """Returns the subject of a plain config; raises UsageError for what cannot be."""
    sweep, study = VersusSweep.of(config), Study.of(config)
    study.check_batches(sweep.batch_size)
    index = initializations.places((INIT,), sweep.all_seeds(), sweep.bases)

    def shape_of(c: Mapping[str, Any]) -> str:
        return parse(c["arm"]).recipe.shape if c["null"] == NONE else str(c["null"])

    phases = Phases((sweep.selection(), sweep.results()), shape_of)
    layout = layout_of(study, sweep.tasks(study), phases, sweep, index)

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        source, target = corpora(study, (study.target,), workdir)
        rows = [windows(corpus.parts["train"], study.model.max_length) for corpus in (target, source)]
        learned, known = (0, len(rows[0])), (len(rows[0]), len(rows[0]) + len(rows[1]))

        def cell(c: Mapping[str, Any]) -> Cell:
            place, span = index[c["init"], c["seed"]], known if c["null"] == SOURCE else learned
            return Cell("", c, shape_of(c), place, c["rank"] or 0, c["learning_rate"], c["seed"], span=span)

        return Prepared(
            bases(study, index, (source, target), workdir, progress),
            np.concatenate(rows),
            _measures(study, source, target),
            (source.fingerprint, target.fingerprint, *study.named_by),
            cell,
            before=lambda runner: [
                [*_known(runner, sweep, study), *untouched(runner, "full", index, sweep.bases)],
                detector.read(runner, sweep),
            ],
            after=lambda runner, cells: _after(runner, sweep, study, cells),
            keep=lambda c, step: c["phase"] != "select",
        )

    share = {key: value for key, value in config.items() if key not in APART}
    trained = len(sweep.selection()) * (sweep.selection_steps or sweep.steps) + len(sweep.results()) * sweep.steps
    return text_subject(
        study,
        sweep,
        layout,
        share=share,
        prepare=prepare,
        read_at=sweep.read_at,
        kept_at=sweep.read_at,
        longest=max(1, sweep.steps // CHUNKS),
        selection_steps=sweep.selection_steps,
        flops=study.flops(trained * sweep.batch_size, (INIT,), _read(study, sweep)),
    )


def _after(runner: Runner, sweep: VersusSweep, study: Study, cells: Sequence[Cell]) -> Iterator[Rows]:
    at = steps(pd.DataFrame(runner.workdir.records.rows), sweep.equal_at)
    yield from updates.read(runner, sweep, at, cells, study.model.scan)
    yield from alike.read(runner, sweep, at, cells)
    yield from cuts.read(runner, sweep, at, cells)


def _known(runner: Runner, sweep: VersusSweep, study: Study) -> Rows:
    experiment = runner.setting.experiment
    equal = [reference(experiment, "equal_at", share, "1", level=level) for level, share in enumerate(sweep.equal_at)]
    target = {**reference(experiment, "target", 1.0, "count"), "note": study.target.source}
    groups = next(m for m in runner.setting.measures["cut"] if m.groups is not None)
    sizes = [reference(experiment, "document_bytes", int(size), "bytes", document=i) for i, size in enumerate(groups.weights())]
    return [*equal, target, *described(experiment, study), *sizes]


def _measures(study: Study, source: Corpus, target: Corpus) -> dict[str, tuple[Measure, ...]]:
    selection = whole(study, target, "validation", "validation_loss")._replace(groups=None)
    learned = whole(study, target, target.read, "target_loss", early="budget_target")
    lost = whole(study, source, source.read, "source_loss")._replace(groups=None)
    alone = learned._replace(groups=None)
    cut, altered = learned._replace(early=""), alone._replace(early="")
    return {"select": (selection,), "result": (alone, lost), "null": (), "cut": (cut,), "altered": (altered, lost)}


def _read(study: Study, sweep: VersusSweep) -> int:
    """How many windows' forward passes all readings take, roughly."""
    results, test = len(sweep.results()), study.read_windows(study.target.test_bytes)
    ends = 2 * test + study.read_windows(1) * len(sweep.read_at)
    made = min(sweep.bases, sweep.seeds) * (
        len(sweep.cut_ranks) * 4 + len(sweep.arms) * (len(PARTS) * len(sweep.factors) + len(sweep.alphas)) * 2
    )
    return len(sweep.selection()) * study.read_windows(study.target.validation_bytes) + results * ends + made * test
