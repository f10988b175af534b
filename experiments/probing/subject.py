"""What is run: probes of every task on every initialization of the decoder; what stands in the records is not measured again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.probing.axes import ProbingSweep
from experiments.probing.drawn import Drawn, Examples, drawn
from experiments.probing.encoders import WITHOUT_NETWORK, encoder, read
from experiments.probing.probed import Programs, Scores, probe
from experiments.probing.readings_scores import PLAIN
from experiments.probing.tasks import TASKS
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
from research.data.corpus import DataSpec
from research.data.vocabulary import BYTES
from research.errors import UsageError
from research.records import rounded
from research.runtime.progress import Progress
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.sweeps import Plan
from research.training.memory import PROCESS_BYTES, nbytes

UNITS = {"codelength": "bits/label"}
LAST = "gradient"  # the record that stands behind all others of a task: where it stands, they do, whatever cut the file
STEPS_EACH = 2000  # that the probes of a task take about as long as, for the estimate of a plan


class Probing:
    """One run of the experiment: its axes and its text; UsageError for a config that cannot be."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name, self.sweep = name, ProbingSweep.of(config)
        initializations.check(self.sweep.inits, config["base"])
        self.study = Study.of({**config, "steps": 1, "target": self.sweep.languages[0]})
        self.study.check_batches(self.study.pretraining["batch_size"], "pretraining.batch_size")
        if self.study.vocabulary is not BYTES:
            raise UsageError(
                f"base = {config['base']}: the tasks label bytes, and its tokens are others; choose base=own or run:WORKDIR/CELL"
            )
        self.specs = {word: DataSpec(word, **config["data"]) for word in self.sweep.languages}
        self.most = max(len(TASKS[task].classes) or len(self.specs) for task in self.sweep.tasks)

    def cells(self) -> list[tuple[str, int]]:
        """Returns what is probed, as (initialization or what takes no network, seed)."""
        return [(word, seed) for seed in range(self.sweep.seeds) for word in (*self.sweep.inits, *PLAIN)]

    def plan(self) -> Plan:
        """Returns what would run; the time is a rough estimate."""
        cells = self.cells()
        windows = len(self.specs) * 2 * self.study.read_windows(self.study.source.test_bytes)
        flops = self.study.flops(0, self.sweep.inits, windows * len(cells))
        held = len(initializations.places(self.sweep.inits, range(self.sweep.seeds), self.sweep.bases))
        shapes = parameter_shapes(model_of(self.study))
        memory = PROCESS_BYTES + nbytes(stacked_shapes(shapes, at_once(shapes, held)))
        return Plan(len(cells), [], memory, estimated_seconds(flops, len(cells) * len(self.sweep.tasks) * STEPS_EACH))

    def run(self, workdir: Workdir) -> Iterator[Rows]:
        """Yields the records of each task on each initialization, whole or not at all."""
        with Progress() as progress:
            source, *texts = corpora(self.study, list(self.specs.values()), workdir)
            text = drawn(self.sweep, dict(zip(self.specs, texts, strict=True)), self.study.model.max_length)
            index = initializations.places(self.sweep.inits, range(self.sweep.seeds), self.sweep.bases)
            own = bases(self.study, index, (source, *texts), workdir, progress)
            encode, programs = encoder(self.study, model_of(self.study), self.sweep.depths), Programs.of(self.most)

            def features(word: str, seed: int, tasks: Sequence[Examples]) -> list[np.ndarray]:
                if word in PLAIN:
                    return [WITHOUT_NETWORK[word](text.rows, task) for task in tasks]
                return read(encode, own.params(index[word, seed]), text.rows, tasks)

            yield self._known(text)
            todo = self._missing(workdir, text)
            with timed("probes", workdir.timings.append), progress.task("encoders", len(todo)) as bar:
                for word, seed, tasks in todo:
                    found = zip(tasks, features(word, seed, tasks), strict=True)
                    yield from (self._rows(word, seed, task, probe(some, task, seed, programs)) for task, some in found)
                    bar.advance()

    def _missing(self, workdir: Workdir, text: Drawn) -> list[tuple[str, int, list[Examples]]]:
        """What is still to be probed: each initialization and seed with the tasks that do not stand in the records."""

        def stands(word: str, seed: int, task: Examples) -> bool:
            return workdir.records.has(phase="probe", metric=LAST, init=word, seed=seed, task=task.name)

        found = [(word, seed, [task for task in text.tasks if not stands(word, seed, task)]) for word, seed in self.cells()]
        return [one for one in found if one[-1]]

    def _known(self, text: Drawn) -> Rows:
        """What is known before anything is probed: of each task how many classes it has, which occur alike, and what its label sees."""
        rows = described(self.name, self.study)
        for each in text.tasks:
            rows.append({**reference(self.name, "classes", each.classes, "1", task=each.name), "note": TASKS[each.name].sees})
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
            for depth, of_depth in zip(self.sweep.depths, values, strict=False):
                rows += [row(metric, value, unit, depth=depth, group=group) for group, value in enumerate(of_depth)]
        rows += [row("mix", value, "1", depth=depth) for depth, value in zip(self.sweep.depths, scores.mix, strict=False)]
        return [*rows, row(LAST, scores.gradient, "nats")]
