"""What every experiment begins with: two texts, a model, a mesh, and the bases from which its cells start."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from research.analysis.costs import flops_per_token
from research.cells import initializations
from research.cells.initializations import Initialization
from research.cells.layout import Layout
from research.cells.measures import Measure
from research.cells.pretraining import Pretraining, check_batch
from research.cells.subject import Subject, Sweep
from research.data.batches import batch, in_batches, windows
from research.data.corpus import Corpus, DataSpec, load_corpus
from research.data.vocabulary import BYTES, Vocabulary
from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.model import Batch, Model
from research.optimizers import OptimizerSpec
from research.runtime import devices
from research.runtime.bases import Pretrained, found
from research.runtime.devices import say_idle
from research.runtime.provenance import timed
from research.runtime.workdir import Workdir
from research.training.mesh import MeshSpec, make_mesh, solo

EVALUATION = (8, 32)  # batches and windows of one call, where windows are short and cheap
BYTES_PER_TOKEN = 4  # of other people's vocabularies, roughly
EVALUATED_TOKENS = 1024  # of one call, where they are not


@dataclasses.dataclass(frozen=True)
class Study:
    """The sections of a config that experiments share, each as the dataclass it becomes at this border.

    checkpoint: what `base` names, None where bases are pretrained here; vocabulary: of what is trained on.
    """

    source: DataSpec
    target: DataSpec
    model: DecoderConfig
    pretraining: Mapping[str, Any]
    optimizer: OptimizerSpec
    mesh: MeshSpec
    checkpoint: Pretrained | None = None
    vocabulary: Vocabulary = BYTES

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Study":
        """Returns the study of a plain config; raises UsageError for values that cannot be, on these devices or at all."""
        if config["model"]["attention"] == "cudnn" and jax.default_backend() != "gpu":
            raise UsageError("model.attention = 'cudnn' needs an NVIDIA GPU, and JAX uses none here; choose --config.model.attention=xla")
        if "float16" in (config["model"]["dtype"], config["model"]["param_dtype"]) and not devices.computes_float16():
            raise UsageError("float16 needs a processor with F16C; choose bfloat16 or float32 for model.dtype and model.param_dtype")
        checkpoint = found(config["base"])
        return cls(
            source=DataSpec(config["source"], **config["data"]),
            target=DataSpec(config["target"], **config["data"]),
            model=DecoderConfig(**config["model"]),
            pretraining=config["pretraining"],
            optimizer=OptimizerSpec(steps=config["steps"], **config["optimizer"]),
            mesh=MeshSpec(**config["mesh"]),
            checkpoint=checkpoint,
            vocabulary=BYTES if checkpoint is None else checkpoint.vocabulary(),
        )

    @property
    def named_by(self) -> tuple[str, ...]:
        """Returns the fingerprints that cells are named by beside those of texts: the checkpoint's identity, where there is one."""
        return () if self.checkpoint is None else (self.checkpoint.identity,)

    @property
    def evaluation(self) -> tuple[int, int]:
        """Returns batches and windows of one call of an evaluation, small where a window costs much: a part is filled up to whole calls."""
        return EVALUATION if self.checkpoint is None else (1, max(1, EVALUATED_TOKENS // self.model.max_length))

    def read_windows(self, nbytes: int) -> int:
        """Returns about how many windows are evaluated to read so many bytes of text, filled up to whole calls."""
        call = self.evaluation[0] * self.evaluation[1]
        per_token = 1 if self.checkpoint is None else BYTES_PER_TOKEN
        return -(-nbytes // (per_token * self.model.max_length * call)) * call

    @property
    def to_batch(self) -> Callable[[Any], Batch]:
        """Returns what makes a batch of windows of this vocabulary, also under jit."""
        return functools.partial(batch, vocabulary=self.vocabulary)

    def pretraining_of(self, init: Initialization, seed: int) -> Pretraining:
        """Returns how the base of an initialization and seed is pretrained."""
        p = self.pretraining
        steps = max(1, round(p["steps"] * init.fraction))
        optimizer = OptimizerSpec(steps=steps, schedule=p["schedule"], warmup=p["warmup"])
        return Pretraining(self.model, optimizer, p["learning_rate"], p["batch_size"], p["accumulate"], seed % p["bases"])

    def pretraining_steps(self, words: Sequence[str]) -> dict[str, int]:
        """Returns the steps of pretraining behind each initialization of which they are known."""
        parsed = {word: initializations.parse(word) for word in words}
        known = {word: init for word, init in parsed.items() if self.checkpoint is None or init.kind == "random"}
        return {word: self.pretraining_of(init, 0).optimizer.steps if init.kind != "random" else 0 for word, init in known.items()}

    def flops(self, sequences: int, words: Sequence[str], read: int = 0) -> float:
        """Returns roughly what training on so many sequences takes, reading others, and pretraining for these initializations."""
        p, length = self.pretraining, self.model.max_length
        texts = {(initializations.parse(word).source, steps) for word, steps in self.pretraining_steps(words).items()}
        sequences += p["bases"] * sum(steps for _, steps in texts) * p["batch_size"]
        return (sequences + read / 3) * length * flops_per_token(self.model, length)  # the backward pass is two thirds of a step

    def make_mesh(self) -> Mesh:
        """Returns the mesh of populations."""
        return population_mesh(self.mesh)

    def solo_mesh(self) -> Mesh:
        """Returns the mesh of pretraining: the member axis is spent on data, as far as it divides a part of a batch."""
        examples = self.pretraining["batch_size"] // max(1, self.pretraining["accumulate"])
        return make_mesh(solo(self.mesh, jax.device_count(), examples, jax.process_count()))

    def check_batches(self, batch_size: int, key: str = "batch_size") -> None:
        """Raises UsageError when a batch of pretraining, or of a member, the config's `key`, does not divide over devices that share it."""
        p, mesh, solo_mesh = self.pretraining, self.make_mesh(), self.solo_mesh()
        check_batch("pretraining.batch_size", p["batch_size"], solo_mesh, p["accumulate"])
        check_batch(key, batch_size, mesh)
        if solo_mesh.size < mesh.size:
            say_idle(solo_mesh.size, f"while a base is pretrained: a batch of {p['batch_size']} is shared evenly by {solo_mesh.size}")


def population_mesh(spec: MeshSpec) -> Mesh:
    """Returns the mesh of populations, after one line says which devices it leaves idle."""
    mesh = make_mesh(spec)
    say_idle(mesh.size, f"beside a mesh of {', '.join(f'{axis} {size}' for axis, size in mesh.shape.items())}")
    return mesh


def corpora(study: Study, targets: Sequence[DataSpec], workdir: Workdir) -> tuple[Corpus, ...]:
    """Returns the source and the targets, pinned in the workdir by their fingerprints; the source lacks what any target holds out."""
    source = study.source
    read = functools.partial(load_corpus, vocabulary=study.vocabulary, cache=devices.cache_folder(os.environ))
    with timed("data", workdir.timings.append):
        loaded = {spec: read(spec) for spec in targets}
        without = tuple(target.held_out for spec, target in loaded.items() if spec != source)
        loaded[source] = read(source, without=without) if without else loaded[source]
    for corpus in loaded.values():
        workdir.pin(corpus.source, corpus.fingerprint)
        note(corpus, workdir)
    return (loaded[source], *(loaded[spec] for spec in targets))


def note(corpus: Corpus, workdir: Workdir) -> None:
    """Returns after what is known of a text stands among the timings of its reading."""
    workdir.timings.append([{"stage": "data", "text": corpus.provenance}])


def in_chunks(study: Study, rows: np.ndarray, filling: int) -> np.ndarray:
    """Returns rows as chunks of evaluation batches (chunk, batch, window, numbers), all of one shape however many rows there are.

    The last chunk is filled with windows of `filling`: marks, say, which have no weight.
    """
    return in_batches(rows, study.evaluation, filling)


def whole(study: Study, corpus: Corpus, part: str, metric: str, early: str = "", first_groups: bool = False) -> Measure:
    """Returns the measure of a part's loss at the last budget, whole and by its groups of documents; `early` and whether there are
    `first_groups`: as in `Measure`."""
    rows, groups, size = (windows(stream[part], study.model.max_length) for stream in (corpus.parts, corpus.groups, corpus.bytes))
    documents, predicted = in_chunks(study, _read_at_all(groups[:, 1:], size[:, 1:]), -1), in_chunks(study, size[:, 1:], 0)
    first = _read_at_all(documents[:1], predicted[:1]) if first_groups else None
    batches = in_chunks(study, rows, corpus.vocabulary.mark)
    return Measure(metric, batches, True, early=early, groups=documents, first_groups=first, bytes=predicted)


def _read_at_all(groups: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Returns the groups numbered anew without those of which no byte is scored, as what lies behind the last whole window."""
    present = np.unique(groups[(groups >= 0) & (size > 0)])
    number = np.full(groups.max(initial=-1) + 2, -1)  # the last place is that of -1
    number[present] = np.arange(len(present))
    found: np.ndarray = number[groups]
    return found


def early(study: Study, corpus: Corpus, part: str, metric: str) -> Measure:
    """Returns the measure of the loss on the first chunk of a part, 16 KB where windows have 64 bytes, at every budget."""
    rows, size = (windows(stream[part], study.model.max_length) for stream in (corpus.parts, corpus.bytes))
    batches, predicted = in_chunks(study, rows, corpus.vocabulary.mark)[:1], in_chunks(study, size[:, 1:], 0)[:1]
    return Measure(metric, batches, False, bytes=predicted)


def model_of(study: Study) -> Model:
    """Returns the plain model of a study."""
    return decoder(study.model)


def text_subject(study: Study, sweep: Sweep, layout: Layout, **rest: Any) -> Subject:
    """Returns the subject of a sweep over windows of a study's text; `rest` as in `Subject`."""
    text: dict[str, Any] = {"dtype": study.vocabulary.dtype, "vocabulary": study.vocabulary}
    return Subject(sweep, layout, study.make_mesh(), study.model.max_length + 1, study.evaluation, **text, **rest)
