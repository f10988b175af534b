"""What is run: probes of every task on every initialization of the decoder; what stands in the records is not measured again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.probing.axes import ProbingSweep
from experiments.probing.drawn import Drawn, Examples, drawn
from experiments.probing.drawn_words import Left, Reader, joined, words_of_subjects, words_of_treebank
from experiments.probing.encoders import Encoder, Space, encoder, read, without_network
from experiments.probing.probed import Features, Programs, Scores, features, probe
from experiments.probing.readings_scores import PLAIN
from experiments.probing.space import space
from experiments.probing.tasks import TASKS
from experiments.probing.tasks_of_words import ATTRIBUTE, WORD_TASKS
from research.analysis.costs import estimated_seconds
from research.cells import initializations
from research.cells.bases import at_once, stacked_shapes
from research.cells.described import described
from research.cells.initializations import base_of
from research.cells.phases import reference
from research.cells.pretraining import parameter_shapes
from research.cells.starts import bases
from research.cells.study import Study, corpora, model_of
from research.cells.subject import Rows
from research.data.corpus import Corpus, DataSpec
from research.data.relations import load_relations
from research.data.treebank import load_treebank
from research.data.vocabulary import BYTES
from research.errors import UsageError
from research.models.model import Variables
from research.records import rounded
from research.runtime.progress import Progress
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.sweeps import Plan
from research.training.memory import PROCESS_BYTES, nbytes

UNITS = {"codelength": "bits/label"}
LAST = "gradient"  # the record that stands behind all others of a task: where it stands, they do, whatever cut the file
STEPS_EACH = 600  # that the probes of a task take about as long as, for the estimate of a plan


class Probing:
    """One run of the experiment: its axes and its text; UsageError for a config that cannot be."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name, self.sweep = name, ProbingSweep.of(config)
        initializations.check(self.sweep.inits, config["base"])
        self.study = Study.of({**config, "steps": 1, "target": self.sweep.languages[0]})
        self.study.check_batches(self.study.pretraining["batch_size"], "pretraining.batch_size")
        if self.study.vocabulary is not BYTES and not self.sweep.of_words:
            raise UsageError(
                f"base = {config['base']}: these tasks label bytes, and its tokens are others; choose tasks of {', '.join(WORD_TASKS)}, "
                "or base=own or run:WORKDIR/CELL"
            )
        self.specs = {} if self.sweep.of_words else {word: DataSpec(word, **config["data"]) for word in self.sweep.languages}

    def cells(self) -> list[tuple[str, int]]:
        """Returns what is probed, as (initialization or what takes no network, seed)."""
        return [(word, seed) for seed in range(self.sweep.seeds) for word in (*self.sweep.inits, *PLAIN)]

    def plan(self) -> Plan:
        """Returns what would run; the time is a rough estimate."""
        cells = self.cells()
        windows = len(self.specs) * 2 * self.study.read_windows(self.study.source.test_bytes)
        windows += (self.sweep.sentences.read + self.sweep.sentences.choosing) // 2 if self.sweep.of_words else 0  # cut to about half
        flops = self.study.flops(0, self.sweep.inits, windows * self.sweep.seeds * len(self.sweep.inits))
        held = len(initializations.places(self.sweep.inits, range(self.sweep.seeds), self.sweep.bases))
        shapes = parameter_shapes(model_of(self.study))
        memory = PROCESS_BYTES + 2 * nbytes(stacked_shapes(shapes, at_once(shapes, held)))
        steps = STEPS_EACH * len(self.sweep.tasks) * (len(cells) + len(self.sweep.inits) * self.sweep.seeds * self._wide())
        return Plan(len(cells), [], memory, estimated_seconds(flops, round(steps)))

    def _wide(self) -> float:
        """How many times as much as the default's the probes of one encoder take: by depths, examples and features."""
        return len(self.sweep.depths) / 5 * self.sweep.examples / 1200 * (self.study.model.d_model / 64) ** (4 / 3)

    def run(self, workdir: Workdir) -> Iterator[Rows]:
        """Yields the records of each task on each initialization, whole or not at all."""
        with Progress() as progress, space(workdir.path) as room:
            texts, text, left = self._read(workdir)
            index = initializations.places(self.sweep.inits, range(self.sweep.seeds), self.sweep.bases)
            own = bases(self.study, index, texts, workdir, progress)
            encode, programs = encoder(self.study, model_of(self.study), self.sweep.depths), Programs.of(max(t.classes for t in text.tasks))
            yield self._known(text, left)
            todo = self._missing(workdir, text)
            with timed("probes", workdir.timings.append), progress.task("encoders", len(todo)) as bar:
                for word, seed, tasks in todo:
                    params = None if word in PLAIN else own.params(index[word, seed])
                    found = zip(tasks, self._features(word, params, text, tasks, (encode, room)), strict=True)
                    yield from (self._rows(word, seed, task, probe(some, task, seed, programs)) for task, some in found)
                    bar.advance()

    def _read(self, workdir: Workdir) -> tuple[Sequence[Corpus], Drawn, Mapping[str, Left]]:
        """The texts that bases are pretrained on or tasks read, source first; what is probed; and what was left out, by source."""
        if not self.sweep.of_words:
            source, *texts = corpora(self.study, list(self.specs.values()), workdir)
            named = dict(zip(self.specs, texts, strict=True))
            return [source, *texts], drawn(self.sweep, named, self.study.model.max_length), {}
        own, part = self.sweep.sentences, self.study.source.part
        reader, pieces, left = Reader(self.study.vocabulary, self.study.model.max_length, own.pooling), [], {}
        with timed("data", workdir.timings.append):
            if {*self.sweep.tasks} - {ATTRIBUTE}:
                bank = load_treebank(own.treebank)
                workdir.pin(own.treebank, bank.fingerprint)
                piece, left[own.treebank] = words_of_treebank(bank, self.sweep, reader, part)
                pieces.append(piece)
            if ATTRIBUTE in self.sweep.tasks:
                relations = load_relations(own.relations)
                workdir.pin(own.relations, relations.fingerprint)
                piece, left[own.relations] = words_of_subjects(relations, self.sweep, reader, part)
                pieces.append(piece)
        source_alone = corpora(self.study, [self.study.source], workdir)[:1] if self.study.checkpoint is None else ()
        return source_alone, joined(pieces, self.sweep.tasks), left

    def _features(
        self, word: str, params: Variables | None, text: Drawn, tasks: Sequence[Examples], how: tuple[Encoder, Space]
    ) -> Iterator[Features]:
        """What is probed for each task, with axes found once for tasks on the same examples."""
        if params is None:
            yield from (features(without_network(word, text, task), (0,)) for task in tasks)
            return
        mixed = [self.sweep.depths.index(depth) for depth in self.sweep.mixed]
        known: dict[int, Features] = {}
        for values in read(how[0], params, text.rows, tasks, how[1]):
            if id(values) not in known:
                known[id(values)] = features(values, mixed)
            yield known[id(values)]

    def _missing(self, workdir: Workdir, text: Drawn) -> list[tuple[str, int, list[Examples]]]:
        """What is still to be probed: each initialization and seed with the tasks that do not stand in the records."""

        def stands(word: str, seed: int, task: Examples) -> bool:
            return workdir.records.has(phase="probe", metric=LAST, init=word, seed=seed, task=task.name)

        found = [(word, seed, [task for task in text.tasks if not stands(word, seed, task)]) for word, seed in self.cells()]
        return [one for one in found if one[-1]]

    def _known(self, text: Drawn, left: Mapping[str, Left]) -> Rows:
        """What is known before anything is probed: of each task how many classes it has and what its label sees; and what was left out."""
        rows = described(self.name, self.study)
        sees = {**{name: task.sees for name, task in TASKS.items()}, **{name: task.sees for name, task in WORD_TASKS.items()}}
        for each in text.tasks:
            rows.append({**reference(self.name, "classes", each.classes, "1", task=each.name), "note": sees[each.name]})
        for source, own in left.items():
            rows.append({**reference(self.name, "texts", own.read, "1", source=source), "note": own.why})
            rows.append(reference(self.name, "longer", own.longer, "1", source=source))
        return rows

    def _rows(self, word: str, seed: int, task: Examples, scores: Scores) -> Rows:
        base = seed if word in PLAIN else base_of(word, seed, self.sweep.bases)
        start = {
            "experiment": self.name,
            "cell": "",
            "phase": "probe",
            "init": word,
            "seed": seed,
            "base": base,
            "task": task.name,
            "step": 0,
        }

        def row(metric: str, value: Any, unit: str, **where: int) -> dict[str, Any]:
            return {**start, **where, "metric": metric, "value": rounded(float(value)), "unit": unit}

        rows = [row("unseen", scores.unseen, "1")]
        rows += [row("examples", size, "1", group=group) for group, size in enumerate(scores.sizes)]
        for metric, values in scores.groups.items():
            unit = UNITS.get(metric, "1")
            depths = self.sweep.mixed if metric == "cumulative_accuracy" else self.sweep.depths
            for depth, of_depth in zip(depths, values, strict=False):
                rows += [row(metric, value, unit, depth=depth, group=group) for group, value in enumerate(of_depth)]
        rows += [row("mix", value, "1", depth=depth) for depth, value in zip(self.sweep.mixed, scores.mix, strict=False)]
        return [*rows, row(LAST, scores.gradient, "nats")]
