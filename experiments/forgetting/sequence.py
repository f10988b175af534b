"""What is swept where targets are learned one after another: each method goes on from where it ended, its optimizer anew."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.forgetting import fishers
from experiments.forgetting.axes import INIT, SequenceSweep
from experiments.forgetting.methods import JOINT, PULLED, WEIGHTED, parse
from experiments.forgetting.subject import begun
from research.analysis.ngrams import unigram_bits
from research.cells import initializations
from research.cells.bases import Bases, at_once
from research.cells.described import described
from research.cells.kept import weights
from research.cells.measures import Measure
from research.cells.phases import reference, untouched
from research.cells.pretraining import parameter_shapes
from research.cells.runner import Runner, finished
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
from research.sweeps import fingerprint

APART = ("base", "methods", "seeds", "selection_seeds", "selection_steps", "learning_rates", "mesh", "members")


def sequence_subject(config: Mapping[str, Any]) -> Subject:
    """Returns the subject of a plain config whose targets are learned in a row; raises UsageError for what cannot be.

    Its phases are those of the first task; the tasks behind it follow the trained cells.
    """
    sweep, study = SequenceSweep.of(config), Study.of(config)
    study.check_batches(sweep.batch_size)
    places, count = Places.of(sweep), len(sweep.targets)
    if places.total > 1 and at_once(parameter_shapes(model_of(study)), places.total) < places.total:
        raise UsageError(
            "methods has l2sp, ewc or empirical, or pretraining.bases is above 1: these take small models, held all at once; leave them out"
        )
    phases = Phases((sweep.selection(), *[sweep.results()] * count), lambda c: parse(c["arm"]).recipe.shape)
    layout = layout_of(study, sweep.tasks(study), phases, sweep, {**places.bases, ("last", 0): places.total - 1})

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        texts = corpora(study, [dataclasses.replace(study.target, source=word) for word in sweep.targets], workdir)
        if len({corpus.fingerprint for corpus in texts[1:]}) < count:
            raise UsageError(f"two of the targets, {', '.join(sweep.targets)}, are one text under two words; name each text once")
        read = [windows(corpus.parts["train"], study.model.max_length) for corpus in texts]
        course = Course(sweep, study, places, [rows[: min(map(len, read))] for rows in read])
        own = bases(study, places.bases, texts, workdir, progress)
        if places.fishers:
            with timed("fisher", workdir.timings.append):
                own = fishers.with_fishers(own, study, places.fishers, course.weighed[0])
        return Prepared(
            own if not places.anchors else Bases(lambda p: own.params(min(p, own.at_once - 1)), places.total, together=True),
            course.rows(),
            _measures(study, texts),
            (*(corpus.fingerprint for corpus in texts), *study.named_by),
            course.first,
            before=lambda runner: [[*_known(runner, sweep, study, texts), *untouched(runner, "full", places.bases, sweep.bases)]],
            after=course.go_on,
            keep=lambda c, step: c["phase"] == "result",
        )

    steps = len(sweep.selection()) * (sweep.selection_steps or sweep.steps) + count * len(sweep.results()) * sweep.steps
    read = study.read_windows(study.target.validation_bytes) * len(sweep.selection())
    read += count * len(sweep.results()) * (1 + count) * study.read_windows(study.target.test_bytes)
    share = {key: value for key, value in config.items() if key not in APART}
    flops = study.flops(steps * sweep.batch_size, (INIT,), read)
    return text_subject(study, sweep, layout, share=share, prepare=prepare, selection_steps=sweep.selection_steps, flops=flops)


class Places(NamedTuple):
    """Where in the stack of bases what a cell needs has its place.

    bases: of pretrained ones, by (init, seed), and `total` of all. fishers: of the source's Fisher diagonals, as `fishers.places` says.
    anchors: where a method is pulled, of what it is pulled to, by (what, arm, seed); filled when a task begins that is not the first.
    """

    bases: Mapping[tuple[str, int], int]
    fishers: Mapping[tuple[str, int], int]
    anchors: Mapping[tuple[str, str, int], int]
    total: int

    @classmethod
    def of(cls, sweep: SequenceSweep) -> "Places":
        """Returns the places of a sweep: bases, Fisher diagonals, anchors."""
        index = initializations.places((INIT,), sweep.all_seeds(), sweep.bases)
        count = max(index.values()) + 1
        weighed = fishers.places(sweep.labels, count)
        what = {PULLED: ("reference",), WEIGHTED: ("reference", "importance")}
        keys = [(each, m.word, seed) for m in sweep.parsed for each in what.get(m.recipe.shape, ()) for seed in range(sweep.seeds)]
        anchors = {key: count + len(weighed) + place for place, key in enumerate(keys)}
        return cls(index, weighed, anchors, count + len(weighed) + len(anchors))


class Course:
    """The tasks of a sequence, and what cells do in each of them. texts: windows of the source and of each target, equally many."""

    def __init__(self, sweep: SequenceSweep, study: Study, places: Places, texts: Sequence[np.ndarray]) -> None:
        self.sweep, self.study, self.places, self.texts = sweep, study, places, texts
        self.tasks, self.size = len(sweep.targets), len(texts[0])
        self.weighed = [fishers.spaced(rows, sweep.fisher["sequences"]) for rows in texts]  # of which Fisher diagonals are

    def rows(self) -> np.ndarray:
        """Returns all windows (n, time + 1): for each order the source and the targets in that order, and behind them the targets mixed.

        So what a cell learns, and all that it learned before, are windows in a row.
        """
        blocks = [self.texts[place] for first in range(self.tasks) for place in (0, *(1 + text for text in self.sweep.order(first)))]
        return np.concatenate([*blocks, np.stack(self.texts[1:], axis=1).reshape(-1, self.texts[0].shape[1])])

    def first(self, c: Mapping[str, Any]) -> Cell:
        """Returns the cell of the first task, of coordinates with a learning rate."""
        return self._at(begun(c, self.places.bases[c["init"], c["seed"]], self.places.fishers), 0)

    def following(self, cell: Cell, task: int) -> Cell:
        """Returns the cell that goes on from another one, named by it: its optimizer anew, pulled to where it begins."""
        arm, name = cell.coordinates["arm"], fingerprint({"after": cell.fingerprint, "task": task})
        reference, importance = (self.places.anchors.get((what, arm, cell.seed)) for what in ("reference", "importance"))
        return self._at(cell._replace(fingerprint=name, after=cell.fingerprint, reference=reference, importance=importance), task)

    def go_on(self, runner: Runner, cells: Sequence[Cell]) -> Iterator[Rows]:
        """Yields the records of the tasks behind the first, each method from where it ended."""
        for task in range(1, self.tasks):
            before, cells = cells, [self.following(cell, task) for cell in cells]
            name = f"task {task + 1} of {self.tasks}"
            with timed(name, runner.workdir.timings.append):
                yield from self._anchored(runner, before, cells, task).run(cells, name)

    def _at(self, cell: Cell, task: int) -> Cell:
        order = self.sweep.order(cell.seed)
        block = order[0] * (1 + self.tasks) * self.size
        learned = block + (1 + task) * self.size
        mixed = (self.tasks * (1 + self.tasks) + task) * self.size
        start = mixed if cell.coordinates["arm"] == JOINT else learned
        where = {**cell.coordinates, "task": 1 + task, "text": 1 + order[task]}
        return cell._replace(coordinates=where, span=(start, start + self.size), again=(block, learned))

    def _anchored(self, runner: Runner, before: Sequence[Cell], cells: Sequence[Cell], task: int) -> Runner:
        """The runner with what each method is pulled to: where it ended, and how much its weights matter to all that it has learned."""
        last = runner.setting.budgets[-1]
        if not self.places.anchors or finished(runner.workdir, last).issuperset(cell.fingerprint for cell in cells):
            return runner
        own, of = runner.setting.bases, fishers.diagonals(self.study)
        trees = [own.params(place) for place in range(own.at_once)]
        for old, new in zip(before, cells, strict=True):
            if new.reference is None:
                continue
            trees[new.reference] = start = weights(runner, old, last)
            if new.importance is not None and (labels := parse(new.coordinates["arm"]).recipe.labels):
                learned = (0, *(1 + text for text in self.sweep.order(new.seed)[:task]))
                diagonal = [of(labels, start, self.weighed[place]) for place in learned]
                trees[new.importance] = jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *diagonal)
        return runner.on(Bases(trees.__getitem__, len(trees), together=True))


def _measures(study: Study, texts: Sequence[Corpus]) -> dict[str, tuple[Measure, ...]]:
    """Of the first target what rates are chosen by; of all texts the held-out part, read whole where a task ends."""
    names = ["source_loss", *(f"target_{number}_loss" for number in range(1, len(texts)))]
    select = whole(study, texts[1], "validation", "validation_loss")._replace(groups=None)
    read = [whole(study, corpus, corpus.read, name)._replace(groups=None) for corpus, name in zip(texts, names, strict=True)]
    return {"select": (select,), "result": tuple(read)}


def _known(runner: Runner, sweep: SequenceSweep, study: Study, texts: Sequence[Corpus]) -> Rows:
    """What the texts are, and how far one is from another: what its bytes' frequencies cost on the other, beside those of its own."""
    experiment, rows = runner.setting.experiment, described(runner.setting.experiment, study)
    for number, corpus in enumerate(texts):
        rows.append({**reference(experiment, "text", number, "count", text=number), "note": corpus.source})
        for other, from_there in enumerate(texts):
            train, test, size = from_there.parts["train"], corpus.parts[corpus.read], corpus.bytes[corpus.read]
            bits = unigram_bits(train, test, corpus.vocabulary, size)
            rows.append(reference(experiment, "unigram_bits", bits, "bits/byte", text=number, known=other))
    return rows
