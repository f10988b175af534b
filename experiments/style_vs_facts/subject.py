"""What is swept: the pretrained decoder, taught a style or facts in several ways; what it recalls then."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.style_vs_facts import asked, kept, prices
from experiments.style_vs_facts.axes import INIT, LONGEST, StyleSweep
from experiments.style_vs_facts.lessons import FACTS, PLAIN, STYLE, parse
from experiments.style_vs_facts.material import LENGTH, Material, first, marginal_bits, material, said
from experiments.style_vs_facts.value_loss import FORM, VALUE, scored_bytes
from research.cells import initializations
from research.cells.bases import Bases, at_once
from research.cells.described import described
from research.cells.initializations import base_of
from research.cells.layout import Layout
from research.cells.measures import Measure
from research.cells.phases import reference
from research.cells.pretraining import parameter_shapes
from research.cells.runner import Runner
from research.cells.runs import SELECTION_SEEDS
from research.cells.setting import Cell
from research.cells.starts import Phases, bases, layout_of
from research.cells.study import Study, corpora, in_chunks, model_of
from research.cells.subject import Prepared, Rows, Subject
from research.data.batches import windows
from research.data.corpus import Corpus
from research.data.facts import Sentence, rows
from research.errors import UsageError
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir

APART = ("base", "arms", "seeds", "selection_seeds", "selection_steps", "learning_rates", "mesh", "members")
READ = 128  # windows of general text


def style_subjects(config: Mapping[str, Any]) -> tuple[Subject, ...]:
    """Returns the subjects of a plain config, styles and facts, as far as it has arms of both; raises UsageError for what cannot be.

    They share programs and bases, and are apart since rates are chosen by different losses.
    """
    sweep = StyleSweep.of(config)
    study = Study.of({**config, "target": config["source"]})
    study.check_batches(sweep.batch_size)
    if study.model.max_length < asked.TWO:
        raise UsageError(f"model.max_length = {study.model.max_length}: a fact and a question take {asked.TWO} bytes; choose at least that")
    index = initializations.places((INIT,), sweep.all_seeds(), sweep.bases)
    if at_once(parameter_shapes(model_of(study)), max(index.values()) + 1) <= max(index.values()):
        raise UsageError("this experiment takes small models, whose bases are all held at once; choose a smaller one")
    halves = {sweeps: half for sweeps in (STYLE, FACTS) if (half := sweep.half(sweeps))}
    phases = Phases([cells for half in halves.values() for cells in (half.selection(), half.results())], lambda c: str(c["trains"]))
    layout = layout_of(study, sweep.tasks(study), phases, sweep, index)
    whole = _Whole(config, sweep, study, layout, index)
    return tuple(whole.subject(sweeps, half, place == 0) for place, (sweeps, half) in enumerate(halves.items()))


class _Whole:
    """What both halves share: texts and bases, which are read once, and sentences."""

    def __init__(self, config: Mapping[str, Any], sweep: StyleSweep, study: Study, layout: Layout, index: Mapping[Any, int]) -> None:
        self.config, self.sweep, self.study, self.layout, self.index = config, sweep, study, layout, index
        self.style = next((arm.lesson.style for arm in sweep.parsed if arm.lesson.style), None)
        self.materials = {seed: material(min(seed, SELECTION_SEEDS), sweep.entities) for seed in sweep.all_seeds()}
        self._read: tuple[Corpus, Bases] | None = None

    def read(self, workdir: Workdir, progress: Progress) -> tuple[Corpus, Bases]:
        """Returns the text and the bases that read it, the second time as they were."""
        if self._read is None:
            source, _ = corpora(self.study, (self.study.target,), workdir)
            self._read = source, bases(self.study, self.index, (source,), workdir, progress)
        return self._read

    def subject(self, sweeps: str, half: StyleSweep, leads: bool) -> Subject:
        """Returns one half; the one that leads reads the untouched bases, and what everything costs."""
        study, spans, taught = self.study, *_spans(half, self.materials)

        def cell(c: Mapping[str, Any]) -> Cell:
            place = self.index[c["init"], c["seed"]]
            return Cell("", c, c["trains"], place, c["rank"] or 0, c["learning_rate"], c["seed"], span=spans[c["lesson"], c["seed"]])

        def prepare(workdir: Workdir, progress: Progress) -> Prepared:
            source, own = self.read(workdir, progress)
            text = windows(source.parts[source.read], study.model.max_length)[:READ]

            @functools.lru_cache
            def what(lesson: str, seed: int) -> asked.Asked:
                return asked.of_lesson(self.materials[seed], parse(lesson), parse(lesson).style or self.style, text)

            return Prepared(
                own,
                taught,
                {"select": (self._measure(sweeps, half),), "result": ()},
                (source.fingerprint,),
                cell,
                before=lambda runner: [self._known(runner, text)] if leads else [],
                after=lambda runner, cells: kept.read(runner, study, lambda lesson, seed: what(lesson.word, seed), cells),
                keep=lambda c, step: c["phase"] == "result",
            )

        share = {key: value for key, value in self.config.items() if key not in APART}
        steps = len(half.selection()) * (half.selection_steps or half.steps) + len(half.results()) * half.steps
        reading = len(half.results()) * (1 + len(half.kept_at)) * 3 * READ
        return Subject(
            half,
            self.layout,
            study.make_mesh(),
            LENGTH + 1,
            study.evaluation,
            share=share,
            flops=study.flops(steps * half.batch_size // 2, (INIT,) if leads else (), reading),  # a row has half of a window
            prepare=prepare,
            kept_at=half.kept_at,
            longest=LONGEST,
            selection_steps=half.selection_steps,
            dtype=study.vocabulary.dtype,
            vocabulary=study.vocabulary,
            name=sweeps,
            described={"sweeps": sweeps},
        )

    def _measure(self, sweeps: str, half: StyleSweep) -> Measure:
        """What rates are chosen by: the form of styled sentences on others, in a paraphrase that is withheld, or values that are taught."""
        own = self.materials[SELECTION_SEEDS]
        least = min(arm.lesson.entities for arm in half.chosen_by().values())
        taught = {STYLE: (own.asked, own.order[-1:], self.style or PLAIN), FACTS: (own.new, own.order[:1], PLAIN)}
        world, paraphrases, style = taught[sweeps]
        found = rows(_texts(said(first(world, least), paraphrases, style)), LENGTH)
        quantity, mark = FORM if sweeps == STYLE else VALUE, self.study.vocabulary.mark
        batches, size = (in_chunks(self.study, each, 0) for each in (found, scored_bytes(found, mark, quantity)))
        return Measure("validation_loss", batches, True, quantity=quantity, bytes=size)

    def _known(self, runner: Runner, text: np.ndarray) -> Rows:
        experiment, count, where = runner.setting.experiment, self.sweep.retrieved, {}
        for seed in range(self.sweep.seeds):
            at = {"phase": "reference", "init": INIT, "seed": seed, "base": base_of(INIT, seed, self.sweep.bases), "entities": count}
            if not runner.workdir.records.has(**at, metric="old_bits"):
                where[seed] = reference(experiment, "", 0.0, "", **at)
        questions = {seed: asked.of_base(self.materials[seed], count, self.style, text) for seed in where}
        places = {seed: self.index[INIT, seed] for seed in where}
        read = kept.untouched(runner, self.study, questions, where, places) if where else []
        own = [self.materials[seed] for seed in range(self.sweep.seeds)]
        sizes = sorted({arm.lesson.entities for arm in self.sweep.parsed if arm.lesson.learns})
        marginal = [
            reference(experiment, "marginal_bits", marginal_bits(first(each.new, size)), "bits", init=INIT, seed=seed, entities=size)
            for seed, each in self.materials.items()
            for size in (sizes if seed < SELECTION_SEEDS else ())
        ]
        return [*described(experiment, self.study), *marginal, *prices.prices(experiment, self.sweep, self.study, own), *read]


def _spans(half: StyleSweep, materials: Mapping[int, Material]) -> tuple[dict[tuple[str, int], tuple[int, int]], np.ndarray]:
    """Where the rows of each lesson and seed lie, and all rows; raises UsageError for a sentence that is longer than a row."""
    spans, found, count = {}, [], 0
    for seed, own in materials.items():
        for lesson in {arm.lesson: None for arm in half.parsed}:
            texts = rows(_texts(own.of(lesson)), LENGTH)
            spans[lesson.word, seed] = count, count + len(texts)
            count += len(texts)
            found.append(texts)
    return spans, np.concatenate(found)


def _texts(sentences: Sequence[Sentence]) -> list[bytes]:
    return [sentence.text for sentence in sentences]
