"""The language model as a subject: fine-tuned from pretrained, partly pretrained, shuffled and random weights, loss on the test text."""

from collections.abc import Mapping
from typing import Any

from research.data.batches import batch, windows
from research.errors import UsageError
from research.loop import initializations
from research.loop.dimensions import DimensionSweep
from research.loop.layout import lay_out, stacked_shapes
from research.loop.populations import Measure
from research.loop.pretraining import parameter_shapes
from research.loop.progress import Progress
from research.loop.study import EVALUATION_BATCH, EVALUATION_BATCHES, Study, bases, chunk_of, corpora, held_out, model_of
from research.loop.subjects import Prepared, Subject
from research.loop.workdir import Workdir
from research.models.model import count
from research.training.memory import decoder_activations

NAME = "lm"
_OWN = ("source", "target", "data", "pretraining", "optimizer", "per_layer")


def language_subjects(config: Mapping[str, Any]) -> list[Subject]:
    """Returns the language models of a plain config, one for each of `widths`; raises UsageError for what cannot be."""
    widths, own = config["widths"], config["model"]["d_model"]
    if not widths or len(set(widths)) < len(widths):
        raise UsageError(f"widths = {widths}: the d_model of at least one language model, each once")
    if own not in widths:
        raise UsageError(f"model.d_model = {own} is not among widths = {widths}: set widths, and model.d_model to one of them")
    return [_subject(config, width) for width in config["widths"]]


def _subject(config: Mapping[str, Any], width: int) -> Subject:
    own = {**config["model"], "d_model": width, "d_mlp": round(config["model"]["d_mlp"] * width / config["model"]["d_model"])}
    study = Study.of({**config, "model": own, "steps": config["steps"][NAME]})
    for init in config["inits"]:
        initializations.parse(init)
    if study.model.dropout:
        raise UsageError(f"model.dropout = {study.model.dropout}: a dimension is read without it; leave it 0")
    model, length, mesh = model_of(study), study.model.max_length, study.make_mesh()
    shapes = parameter_shapes(model)
    size = count(shapes)
    sweep = DimensionSweep.of(config, NAME, size, config["inits"])
    study.check_batches(sweep.batch_size)
    index = initializations.places(config["inits"], sweep.all_seeds(), study.pretraining["bases"])
    tasks = sweep.tasks(model, shapes, study.optimizer, batch, length + 1)
    stacked = stacked_shapes(shapes, max(index.values()) + 1)
    layout = lay_out(mesh, tasks, sweep.counts(), stacked, decoder_activations(study.model, sweep.batch_size), sweep.members)

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        source, target = corpora(study, workdir)
        weights = bases(study, index, (source, target), workdir, progress)
        validation, test = (held_out(target, part, length) for part in ("validation", "test"))
        measures = {
            "select": (Measure("validation_loss", validation, True),),
            "result": (Measure("target_loss", test, False),),
        }
        texts, fingerprints = (target.parts["train"], target.parts["test"]), (source.fingerprint, target.fingerprint)
        return Prepared(weights, index, windows(texts[0], length), measures, fingerprints, texts, _pretrained(study, config["inits"]))

    described = {"model": NAME, "parameters": size, "data": study.target.source}
    trained = sum(map(sum, sweep.counts().values())) * sweep.steps * sweep.batch_size
    stages = {steps for steps in _pretrained(study, config["inits"]).values() if steps}
    flops = 6.0 * size * length * (trained + study.pretraining["bases"] * sum(stages) * study.pretraining["batch_size"])
    share = {key: config[key] for key in _OWN} | {"model": own, "steps": sweep.steps, "batch_size": sweep.batch_size}
    evaluation = (EVALUATION_BATCHES, EVALUATION_BATCH)
    return Subject(NAME, described, sweep, layout, mesh, length + 1, chunk_of(sweep.steps), evaluation, "bits/byte", share, flops, prepare)


def _pretrained(study: Study, inits: tuple[str, ...]) -> dict[str, int]:
    parsed = {init: initializations.parse(init) for init in inits}
    return {init: study.pretraining_of(p, 0).optimizer.steps if p.kind != "random" else 0 for init, p in parsed.items()}
