"""The language model as a subject: fine-tuned from pretrained, partly pretrained, shuffled and random weights, loss on the test text."""

from collections.abc import Mapping
from typing import Any

from experiments.intrinsic_dimension.dimensions import READ_AT, DimensionSweep, made, shape_of
from experiments.intrinsic_dimension.references import references
from experiments.intrinsic_dimension.step_times import step_costs
from research.analysis.ngrams import unigram_bits
from research.cells import initializations
from research.cells.measures import Measure
from research.cells.pretraining import parameter_shapes
from research.cells.starts import Phases, bases, layout_of
from research.cells.study import Study, corpora, early, model_of, text_subject, whole
from research.cells.subject import Prepared, Subject
from research.data.batches import windows
from research.data.corpus import Corpus
from research.errors import UsageError
from research.models.model import count
from research.runtime.bases import OWN
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir

NAME = "lm"
_OWN = ("source", "target", "data", "pretraining", "optimizer", "per_layer")


def language_subjects(config: Mapping[str, Any]) -> list[Subject]:
    """Returns the language models of a plain config, one for each of `widths`; raises UsageError for what cannot be."""
    own = config["model"]["d_model"]
    widths = config["widths"] if config["base"] == OWN else (own,)
    if not widths or len(set(widths)) < len(widths):
        raise UsageError(f"widths = {widths}: the d_model of at least one language model, each once")
    if own not in widths:
        raise UsageError(f"model.d_model = {own} is not among widths = {widths}: set widths, and model.d_model to one of them")
    return [_subject(config, width) for width in widths]


def _subject(config: Mapping[str, Any], width: int) -> Subject:
    own = {**config["model"], "d_model": width, "d_mlp": round(config["model"]["d_mlp"] * width / config["model"]["d_model"])}
    study = Study.of({**config, "model": own, "steps": config["steps"][NAME]})
    initializations.check(config["inits"], config["base"])
    if study.model.dropout:
        raise UsageError(f"model.dropout = {study.model.dropout}: a dimension is read without it; leave it 0")
    model, length = model_of(study), study.model.max_length
    shapes = parameter_shapes(model)
    size = count(shapes)
    sweep = DimensionSweep.of(config, NAME, size, config["inits"])
    study.check_batches(sweep.batch_size, f"batch_size.{NAME}")
    index = initializations.places(config["inits"], sweep.all_seeds(), study.pretraining["bases"])
    tasks = sweep.tasks(model, shapes, study.optimizer, study.to_batch, length + 1)
    layout = layout_of(study, tasks, Phases((sweep.selection(), sweep.results()), shape_of), sweep, index)
    described = {"model": NAME, "parameters": size, "data": study.target.source}

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        source, target = corpora(study, (study.target,), workdir)
        unigram = unigram_bits(target.parts["train"], target.parts[target.read], target.vocabulary, target.bytes[target.read])
        facts = [
            (None, "per_layer", float(config["per_layer"]), "1"),
            (None, "unigram_loss", unigram, "bits/byte"),
            *((init, "pretraining_steps", steps, "steps") for init, steps in study.pretraining_steps(sweep.inits).items()),
        ]
        return Prepared(
            bases(study, index, (source, target), workdir, progress),
            windows(target.parts["train"], length),
            _measures(study, target),
            (source.fingerprint, target.fingerprint, sweep.width(), *study.named_by),
            lambda c: made(c, sweep, described, index),
            before=lambda runner: references(runner, described, index, sweep.bases, facts, study),
            after=lambda runner, cells: step_costs(runner, described, layout, max(sweep.dimensions)),
        )

    share = {key: config[key] for key in _OWN} | {"model": own, "steps": sweep.steps, "batch_size": sweep.batch_size}
    return text_subject(
        study,
        sweep,
        layout,
        share=share,
        flops=study.flops(
            layout.cells * sweep.steps * sweep.batch_size, sweep.inits, layout.cells * study.read_windows(study.target.test_bytes)
        ),
        prepare=prepare,
        read_at=READ_AT,
        name=f"{NAME} ({size:,} parameters)",
        described=described,
    )


def _measures(study: Study, target: Corpus) -> dict[str, tuple[Measure, ...]]:
    """Selection reads the validation part; results the test part whole at the end, and at each budget a first chunk of either."""
    results = (
        whole(study, target, target.read, "target_loss", early="budget_loss"),
        early(study, target, "validation", "validation_loss"),
    )
    return {"select": (whole(study, target, "validation", "validation_loss")._replace(groups=None),), "result": results}
