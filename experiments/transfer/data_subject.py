"""What is swept where data is measured: decoders of several sizes, from scratch and tuned from their donors, on growing amounts of text."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from experiments.transfer import data_stops
from experiments.transfer.arms import TUNED
from experiments.transfer.blocks import Blocks
from experiments.transfer.data_axes import INITS, DataSweep, check, first_windows
from experiments.transfer.subject import check_apart, check_words
from research import tree
from research.analysis.costs import trainable_count
from research.analysis.ngrams import unigram_bits
from research.cells import initializations
from research.cells.bases import Bases
from research.cells.described import described
from research.cells.phases import reference
from research.cells.pretraining import parameter_shapes
from research.cells.runner import Runner
from research.cells.runs import SELECTION_SEEDS
from research.cells.setting import Cell
from research.cells.starts import Phases, bases, layout_of
from research.cells.study import Study, corpora, model_of, text_subject, whole
from research.cells.subject import Coordinates, Prepared, Rows, Subject
from research.data.batches import order, windows
from research.data.corpus import Corpus
from research.errors import UsageError
from research.models.model import Variables
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir
from research.training.population import Task

CHUNKS = 40  # of a run at least: little data is overfitted in few steps
ORDER = 2**31  # the seed by which windows are put in one order, before seeds take theirs
OURS = ("data", "source", "target", "model", "pretraining", "optimizer", "batch_size")

Texts = Callable[[Workdir], tuple[Corpus, ...]]


def data_subjects(config: Mapping[str, Any]) -> list[Subject]:
    """Returns the subjects of a plain config, two a width: amounts of both arms, and those of scratch alone; they share a layout.

    Raises UsageError for what cannot be.
    """
    check(config)
    if config["base"] != "own":
        raise UsageError(f"base = {config['base']}: donors of every width are pretrained here; leave base=own")
    check_words(config)
    if config["optimizer"]["schedule"] != "constant":
        raise UsageError("optimizer.schedule: runs are stopped where they are best, which takes a rate that does not fall; choose constant")

    @functools.cache
    def texts(workdir: Workdir) -> tuple[Corpus, ...]:
        study = Study.of(config)
        found = corpora(study, (study.target,), workdir)
        check_apart(*found)
        return found

    return [subject for width in config["widths"] for subject in _Width(config, width, texts).subjects()]


class _Width:
    """What the subjects of a width share: a model with donors of its own, and the amounts of both."""

    def __init__(self, config: Mapping[str, Any], width: int, texts: Texts) -> None:
        size = config["model"]
        own = {**config, "model": {**size, "d_model": width, "d_mlp": width * size["d_mlp"] // size["d_model"]}}
        self.config, self.study, self.texts, self.shape = own, Study.of(own), texts, f"width {width}"
        self.study.check_batches(config["batch_size"])
        self.shapes = parameter_shapes(model_of(self.study))
        self.parts = DataSweep.parts_of(own, width, _blocks(self.shapes))
        self.index = initializations.places(tuple(INITS.values()), self.parts[0].all_seeds(), self.parts[0].bases)
        self.known: Bases | None = None

    def subjects(self) -> list[Subject]:
        """Returns a subject for each part."""
        study, first = self.study, self.parts[0]
        dropout = study.model.dropout > 0
        tasks = {self.shape: Task(model_of(study), None, ("^params/",), study.optimizer, study.to_batch, dropout=dropout)}
        phases = Phases([cells for part in self.parts for cells in (part.selection(), part.results())], lambda c: self.shape)
        layout = layout_of(study, tasks, phases, first, self.index)
        longest = max(1, min(part.steps for part in self.parts) // CHUNKS)
        return [
            text_subject(
                study,
                part,
                layout,
                share={**{key: self.config[key] for key in OURS}, "steps": part.steps, "most": self.config["scratch_amounts"][-1]},
                prepare=functools.partial(self._prepared, part),
                read_at=part.read_at,
                kept_at=part.read_at,
                flops=study.flops(*self._work(part)),
                name=", ".join((self.shape, *(("scratch alone",) if TUNED not in part.arms else ()))),
                described={"width": part.width, "parameters": part.parameters},
                longest=longest,
                stopped_early=True,
            )
            for part in self.parts
        ]

    def _bases(self, workdir: Workdir, progress: Progress) -> Bases:
        if self.known is None:
            self.known = bases(self.study, self.index, self.texts(workdir), workdir, progress)
        return self.known

    def _prepared(self, part: DataSweep, workdir: Workdir, progress: Progress) -> Prepared:
        study, (source, target) = self.study, self.texts(workdir)
        length = study.model.max_length
        rows = windows(target.parts["train"], length)
        firsts = first_windows(part.all_seeds(), len(rows), self.config["scratch_amounts"][-1] // length)
        validation = whole(study, target, "validation", "validation_loss")._replace(groups=None, last_only=False)
        measures = {"select": (validation,), "result": (validation,), "stopped": (whole(study, target, target.read, "target_loss"),)}

        def cell(c: Coordinates) -> Cell:
            first = firsts[c["seed"]]
            span = (first, first + c["amount"] // length)
            return Cell("", c, self.shape, self.index[c["init"], c["seed"]], 0, c["learning_rate"], c["seed"], span=span)

        def before(runner: Runner) -> Iterator[Rows]:
            if part.width == self.config["widths"][0] and TUNED in part.arms:
                yield _known(runner, study, source, target)
                begun = {seed: first * length for seed, first in firsts.items() if seed < SELECTION_SEEDS}
                yield [reference(runner.setting.experiment, "text_begins", at, "bytes", seed=seed) for seed, at in begun.items()]

        data = (source.fingerprint, target.fingerprint)
        shuffled = rows[order(ORDER, 0, len(rows), len(rows))]
        own, keep = self._bases(workdir, progress), lambda c, step: c["phase"] == "result"
        return Prepared(own, shuffled, measures, data, cell, before, after=data_stops.read, keep=keep)

    def _work(self, part: DataSweep) -> tuple[int, tuple[str, ...], int]:
        """Windows trained on, initializations that are pretrained, and windows read, roughly."""
        study, cells = self.study, len(part.selection()) + len(part.results())
        text = study.target
        read = cells * (1 + len(part.read_at)) * study.read_windows(text.validation_bytes)
        read += len(part.results()) * study.read_windows(text.test_bytes if text.part == "test" else text.final_bytes)
        return cells * part.steps * part.batch_size, (INITS[TUNED],) if TUNED in part.arms else (), read


def _blocks(shapes: Variables) -> int:
    """How many parameters lie in blocks, as the law counts them: without embeddings and what makes logits."""
    own = set(Blocks.of(shapes).each)
    return trainable_count({path: leaf for path, leaf in tree.flatten(shapes).items() if path.split("/")[0] in own})


def _known(runner: Runner, study: Study, source: Corpus, target: Corpus) -> Rows:
    experiment = runner.setting.experiment
    train, test, size = target.parts["train"], target.parts[target.read], target.bytes[target.read]
    p, length = study.pretraining, study.model.max_length
    groups = runner.setting.measures["stopped"][0].weights()
    return [
        reference(experiment, "donor_tokens", p["steps"] * p["batch_size"] * length, "tokens"),
        reference(experiment, "unigram_loss", unigram_bits(train, test, target.vocabulary, size), "bits/byte"),
        {**reference(experiment, "target", 1.0, "count"), "note": f"{target.source}, the donor's {source.source}"},
        *[reference(experiment, "document_bytes", int(n), "bytes", document=i) for i, n in enumerate(groups)],
        *described(experiment, study),
    ]
