"""What every experiment begins with: two texts, a model, a mesh, and the bases from which its cells start."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from research.data.batches import in_batches, windows
from research.data.corpus import Corpus, DataSpec, load_corpus
from research.data.vocabulary import BYTES
from research.errors import UsageError
from research.loop import initializations
from research.loop.initializations import Initialization
from research.loop.layout import Layout
from research.loop.pretraining import Pretraining, check_batch, initializer, pretrain
from research.loop.programs import Programs
from research.loop.progress import Progress
from research.loop.provenance import timed
from research.loop.workdir import Workdir
from research.models.decoder import DecoderConfig, decoder
from research.models.model import Model, Variables
from research.optimizers import OptimizerSpec
from research.training.mesh import MeshSpec, make_mesh, solo
from research.training.processes import fetch

EVALUATION_BATCH = 32
EVALUATION_BATCHES = 8
CHUNKS = 20


@dataclasses.dataclass(frozen=True)
class Study:
    """The sections of a config that experiments share, each as the dataclass it becomes at this border."""

    source: DataSpec
    target: DataSpec
    model: DecoderConfig
    pretraining: Mapping[str, Any]
    optimizer: OptimizerSpec
    mesh: MeshSpec

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Study":
        """Returns the study of a plain config; raises UsageError for values that cannot be, on these devices or at all."""
        if config["model"]["attention"] == "cudnn" and jax.default_backend() != "gpu":
            raise UsageError("model.attention = 'cudnn' needs an NVIDIA GPU, and JAX uses none here; choose --config.model.attention=xla")
        return cls(
            source=DataSpec(config["source"], **config["data"]),
            target=DataSpec(config["target"], **config["data"]),
            model=DecoderConfig(**config["model"]),
            pretraining=config["pretraining"],
            optimizer=OptimizerSpec(steps=config["steps"], **config["optimizer"]),
            mesh=MeshSpec(**config["mesh"]),
        )

    def pretraining_of(self, init: Initialization, seed: int) -> Pretraining:
        """Returns how the base of an initialization and seed is pretrained."""
        p = self.pretraining
        steps = max(1, round(p["steps"] * init.fraction))
        optimizer = OptimizerSpec(steps=steps, schedule=p["schedule"], warmup=p["warmup"])
        return Pretraining(self.model, optimizer, p["learning_rate"], p["batch_size"], p["accumulate"], seed % p["bases"])

    def make_mesh(self) -> Mesh:
        """Returns the mesh of populations."""
        return make_mesh(self.mesh)

    def solo_mesh(self) -> Mesh:
        """Returns the mesh of pretraining: the member axis is spent on data."""
        return make_mesh(solo(self.mesh, len(jax.devices())))

    def check_batches(self, batch_size: int) -> None:
        """Raises UsageError when a batch of pretraining, or of a member, does not divide over the devices that share it."""
        p = self.pretraining
        check_batch("pretraining.batch_size", p["batch_size"], self.solo_mesh(), p["accumulate"])
        check_batch("batch_size", batch_size, self.make_mesh())


def corpora(study: Study, workdir: Workdir) -> tuple[Corpus, Corpus]:
    """Returns source and target, pinned in the workdir by their fingerprints."""
    with timed("data", workdir.timings.append):
        source = load_corpus(study.source)
        target = source if study.target == study.source else load_corpus(study.target)
    workdir.pin(study.source.source, source.fingerprint)
    workdir.pin(study.target.source, target.fingerprint)
    return source, target


def bases(study: Study, index: Mapping[tuple[str, int], int], source: Corpus, workdir: Workdir, progress: Progress) -> Any:
    """Returns the stacked bases of `index` (see `initializations.places`), pretrained or taken from the cache, on the host."""
    mesh = study.solo_mesh()
    made: dict[tuple[Pretraining, str], Variables] = {}
    texts = {"": source}

    def pretrained(init: Initialization, seed: int) -> Variables:
        spec = study.pretraining_of(init, seed)
        key = (spec, init.source)
        if key not in made:
            if init.source not in texts:
                texts[init.source] = load_corpus(dataclasses.replace(study.source, source=init.source))
            base = pretrain(spec, texts[init.source], mesh, progress)
            name = f"base {init.source or study.source.source} seed {spec.seed} steps {spec.optimizer.steps} width {spec.model.d_model}"
            workdir.pin(name, base.fingerprint)
            made[key] = fetch(base.params)
        return made[key]

    with timed("pretraining", workdir.timings.append):
        random = initializer(decoder(study.model), mesh)
        # Seeds of random weights are apart from those that pretraining begins with.
        return initializations.stack(index, pretrained, lambda seed: fetch(random(10_000 + seed)))


def held_out(corpus: Corpus, part: str, length: int) -> np.ndarray:
    """Returns a part as chunks of evaluation batches (chunk, batch, window, length + 1), all of one shape whatever the part.

    The last chunk is filled with windows of separators, whose tokens have no weight.
    """
    return in_batches(windows(corpus.parts[part], length), (EVALUATION_BATCHES, EVALUATION_BATCH), BYTES.separator)


def chunk_of(steps: int) -> int:
    """Returns the steps of one call of a program."""
    return max(1, steps // CHUNKS)


def budgets_of(steps: int, chunk: int, shares: Iterable[float]) -> tuple[int, ...]:
    """Returns the steps at which results are measured: these shares of all steps, to whole chunks, and the end."""
    rounded = (max(1, round(share * steps / chunk)) * chunk for share in shares)
    return tuple(sorted({min(steps, budget) for budget in rounded} | {steps}))


def programs(study: Study, layout: Layout, steps: int, batch_size: int) -> Programs:
    """Returns the compiled functions of a layout, on a CPU made in the background as soon as they are entered."""
    length, chunk = study.model.max_length + 1, chunk_of(steps)
    windows = {shape: jax.ShapeDtypeStruct((width, chunk, batch_size, length), np.uint8) for shape, width in layout.widths.items()}
    batches = jax.ShapeDtypeStruct((EVALUATION_BATCHES, EVALUATION_BATCH, length), np.uint8)
    return Programs(layout.tasks, study.make_mesh(), layout.bases, windows, batches)


def model_of(study: Study) -> Model:
    """Returns the plain model of a study."""
    return decoder(study.model)
