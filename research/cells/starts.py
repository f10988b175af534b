"""What the cells of a study start from, and how they lie on the devices: bases pretrained here, or read from a checkpoint."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from research.cells import initializations
from research.cells.bases import Bases, at_once, stacked_shapes
from research.cells.initializations import ADAPTED, Initialization
from research.cells.layout import Coordinates, Layout, lay_out, tally
from research.cells.pretraining import Pretraining, initializer, parameter_shapes, pretrain
from research.cells.study import Study, corpora, note
from research.data.corpus import Corpus, load_corpus
from research.errors import UsageError
from research.models.decoder import decoder
from research.models.model import Variables
from research.pretrained import peft, sources
from research.runtime.progress import Progress
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.training.memory import decoder_activations
from research.training.population import Task
from research.training.processes import fetch

Places = Mapping[tuple[str, int], int]
Makes = Callable[[Initialization, int], Variables]


class Axes(Protocol):
    """What of a sweep its layout depends on: its phases, the examples of a step, and members of a program at most."""

    @property
    def batch_size(self) -> int: ...
    @property
    def members(self) -> int: ...


class Phases(NamedTuple):
    """The coordinates of the cells of each phase, and which shape a cell has."""

    cells: Sequence[Sequence[Coordinates]]
    shape_of: Callable[[Coordinates], str]


class Loaded(NamedTuple):
    """Texts, targets by their words, and what cells start from."""

    source: Corpus
    targets: Mapping[str, Corpus]
    bases: Bases


def loader(
    study: Study, targets: Sequence[str], index: Places, check: Callable[[Sequence[Corpus]], None] = lambda corpora: None
) -> Callable[[Workdir, Progress], Loaded]:
    """Returns what loads several targets and the bases of `index` once, for all parts of a sweep; `check` sees the targets before that."""

    @functools.cache
    def loaded(workdir: Workdir, progress: Progress) -> Loaded:
        source, *others = corpora(study, [dataclasses.replace(study.target, source=target) for target in targets], workdir)
        check(others)
        return Loaded(source, dict(zip(targets, others, strict=True)), bases(study, index, (source, *others), workdir, progress))

    return loaded


def layout_of(study: Study, tasks: Mapping[str, Task], phases: Phases, axes: Axes, index: Places) -> Layout:
    """Returns the layout of cells that start from the bases of `index`."""
    shapes, count = parameter_shapes(decoder(study.model)), max(index.values()) + 1
    held = at_once(shapes, count)

    def group_of(c: Coordinates) -> int | None:
        return index[c["init"], c["seed"]] if held < count else None

    counts = tally(phases.shape_of, *phases.cells, group_of=group_of)
    activations = decoder_activations(study.model, axes.batch_size)
    return lay_out(study.make_mesh(), tasks, counts, stacked_shapes(shapes, held), activations, axes.members)


def bases(study: Study, index: Places, corpora: Sequence[Corpus], workdir: Workdir, progress: Progress) -> Bases:
    """Returns the bases of `index` (see `initializations.places`): pretrained or taken from the cache, or read from a checkpoint.

    corpora: source and targets, of which a checkpoint needs none. A text that a word of `index` names lacks what any target holds out, as
    the source does.
    """
    mesh, model, count = study.solo_mesh(), decoder(study.model), max(index.values()) + 1
    together = at_once(parameter_shapes(model), count) == count
    with timed("pretraining", workdir.timings.append):
        made = _read(study, workdir) if study.checkpoint is not None else _pretrained(study, corpora, workdir, progress, together)
        if study.checkpoint is None and not together:  # each is made, and kept on disk, before the first cell trains
            for init, seed in [(initializations.parse(word), seed) for word, seed in index]:
                made(init, seed) if init.kind != "random" else None
        random = initializer(model, mesh)
        # Seeds of random weights are apart from those that pretraining begins with.
        make = initializations.maker(index, made, lambda seed: fetch(random(10_000 + seed)))
        return Bases(make, count, together)


def _pretrained(study: Study, corpora: Sequence[Corpus], workdir: Workdir, progress: Progress, remember: bool) -> Makes:
    """What pretrains the base of an initialization and seed here, or takes it from the cache; all are remembered, or the last one."""
    source, *targets = corpora
    texts, held_out = {"": source}, tuple(target.held_out for target in targets)
    known: dict[tuple[Pretraining, str], Variables] = {}

    def made(init: Initialization, seed: int) -> Variables:
        spec = study.pretraining_of(init, seed)
        if (spec, init.source) not in known:
            if init.source not in texts:
                texts[init.source] = load_corpus(dataclasses.replace(study.source, source=init.source), study.vocabulary, held_out)
                note(texts[init.source], workdir)
            None if remember else known.clear()
            base = pretrain(spec, texts[init.source], study.solo_mesh(), progress)
            name = f"base {init.source or study.source.source} seed {spec.seed} steps {spec.optimizer.steps} width {spec.model.d_model}"
            workdir.pin(name, base.fingerprint)
            known[spec, init.source] = fetch(base.params)
        return known[spec, init.source]

    return made


def _read(study: Study, workdir: Workdir) -> Makes:
    """What reads the weights of an initialization from the study's checkpoint, another revision of it, or with an adapter merged."""
    checkpoint = study.checkpoint
    assert checkpoint is not None
    workdir.pin("base", checkpoint.identity)

    def made(init: Initialization, seed: int) -> Variables:
        if init.kind == ADAPTED:
            workdir.pin(f"adapter {init.source}", peft.identity(init.source))
            return peft.merged(init.source, checkpoint, study.model)
        if not init.revision:
            return checkpoint.load(study.model)
        other = sources.find(f"{checkpoint.word.partition('@')[0]}@{init.revision}")
        if dict(other.model) != dict(checkpoint.model):
            raise UsageError(f"inits has @{init.revision}: that revision of {checkpoint.word} has another shape; leave it out")
        workdir.pin(f"base @{init.revision}", other.identity)
        return other.load(study.model)

    return made
