"""What is swept over planted ranks: students that learn from teachers with an update of known rank."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.planted_rank.cases import Case, PlantedSweep, case_of, described
from experiments.planted_rank.overlaps import subspace_records
from research.cells import initializations
from research.cells.bases import Bases, stacked_shapes
from research.cells.layout import lay_out, tally
from research.cells.measures import Measure
from research.cells.phases import reference
from research.cells.pretraining import parameter_shapes
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.starts import bases
from research.cells.study import Study, corpora, text_subject, whole
from research.cells.subject import Prepared, Rows, Subject
from research.data.batches import windows
from research.data.corpus import Corpus
from research.errors import UsageError
from research.models.model import Variables
from research.runtime.bases import OWN
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir
from research.training.memory import decoder_activations

METRIC_WINDOWS = 256
PLANTED = ("planted_ranks", "spectra", "decoys", "strengths", "strength_ranks")
APART = ("base", *PLANTED, "seeds", "selection_seeds", "learning_rates", "mesh", "members", "simulations")


def planted_subject(config: Mapping[str, Any]) -> Subject:
    """Returns the subject of a plain config; raises UsageError for what cannot be."""
    if config["base"] != OWN:
        raise UsageError(f"base = {config['base']}: what is planted is measured on weights pretrained here; leave base=own")
    sweep = PlantedSweep.of(config)
    study, places = sweep.study, sweep.places()
    study.check_batches(sweep.batch_size)
    for decoy in ("none", *sweep.decoys):
        sweep.sites(decoy)
    tasks, length = sweep.tasks(), study.model.max_length
    counts = tally(lambda coordinates: coordinates["trains"], sweep.selection(), sweep.results())
    stacked = stacked_shapes(parameter_shapes(tasks["lora"].model), 1 + 2 * len(places))
    activations = 2 * decoder_activations(study.model, sweep.batch_size)
    layout = lay_out(study.make_mesh(), tasks, counts, stacked, activations, sweep.members)

    def cell(c: Mapping[str, Any]) -> Cell:
        return Cell("", c, c["trains"], 0, c["rank"] or 0, c["learning_rate"], c["seed"], places[case_of(c), c["seed"]])

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        source, target = corpora(study, (study.target,), workdir)
        params = _base(sweep, (source, target), workdir, progress)
        rows = windows(target.parts["train"], length)
        metric = sweep.metric(params, rows[:METRIC_WINDOWS])

        def after(runner: Runner, cells: Sequence[Cell]) -> Iterator[Rows]:
            exact = [each for each in cells if _keep(each.coordinates)]
            plants = (sweep.plants(metric, case_of(each.coordinates), each.seed) for each in exact)
            learned = (runner.workdir.load_artifact(each.fingerprint) for each in exact)
            triples = zip((each.coordinates for each in exact), learned, plants, strict=True)
            yield list(subspace_records(runner.setting.experiment, triples))

        return Prepared(
            Bases.stacked(sweep.stack(params, metric)),
            rows,
            {
                "select": (_divergence(study, target, "validation", "validation_loss"),),
                "result": (_divergence(study, target, target.read, "kl"),),
            },
            (source.fingerprint, target.fingerprint),
            cell,
            before=lambda runner: [_references(runner, sweep)],
            after=after,
            keep=lambda c, _: _keep(c),
        )

    share = {key: value for key, value in config.items() if key not in APART}
    flops = study.flops(layout.cells * sweep.steps * sweep.batch_size, (sweep.init,))
    return text_subject(study, sweep, layout, share=share, prepare=prepare, flops=flops)


def _divergence(study: Study, target: Corpus, part: str, metric: str) -> Measure:
    """Of students from their teachers, in bits a byte."""
    return whole(study, target, part, metric)._replace(quantity="kl", groups=None)


def _keep(coordinates: Mapping[str, Any]) -> bool:
    """Whether a student has the rank that was planted."""
    return coordinates["phase"] == "result" and coordinates["decoy"] == "none" and coordinates["rank"] == coordinates["planted_rank"]


def _base(sweep: PlantedSweep, texts: Sequence[Corpus], workdir: Workdir, progress: Progress) -> Variables:
    """The one base that students start from."""
    index = initializations.places((sweep.init,), (0,), sweep.study.pretraining["bases"])
    return bases(sweep.study, index, texts, workdir, progress).params(0)


def _references(runner: Runner, sweep: PlantedSweep) -> Rows:
    """What needs no training: the divergence of the base from each teacher, and of each teacher without its last component."""

    def stands(case: Case, seed: int) -> bool:
        known = {**described(case), "phase": "reference", "seed": seed}
        return all(runner.workdir.records.has(**known, metric=metric) for metric in ("kl", "kl_without_last"))

    places = {key: place for key, place in sweep.places().items() if key[1] < sweep.seeds and not stands(*key)}
    teachers, found = list(places.values()), []
    for metric, starts in (("kl", [0] * len(teachers)), ("kl_without_last", [place + 1 for place in teachers])):
        values = runner.untouched("lora", "result", starts, teachers)["kl"]
        for (case, seed), value in zip(places, values, strict=True):
            where = {"init": sweep.init, **described(case), "rank": 0, "seed": seed}
            found.append(reference(runner.setting.experiment, metric, float(value), "bits/byte", **where))
    return found
