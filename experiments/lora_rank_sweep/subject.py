"""What is swept over ranks: the decoder, from each initialization, on each target text; the parts of a sweep share everything but that."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.lora_rank_sweep.after import costs, spectra, truncations
from experiments.lora_rank_sweep.arms import RankSweep, Spoke, shape_of
from research.analysis.ngrams import bigram_bits, unigram_bits
from research.cells import initializations
from research.cells.described import described
from research.cells.layout import Layout
from research.cells.measures import Measure
from research.cells.phases import document_sizes, reference, untouched
from research.cells.runner import Runner
from research.cells.setting import Cell
from research.cells.starts import Phases, layout_of, loader
from research.cells.study import Study, early, text_subject, whole
from research.cells.subject import Prepared, Rows, Subject
from research.data.batches import windows
from research.data.corpus import Corpus
from research.data.sources import floor_bits
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir

KEPT_AT = (0.01, 0.05, 0.1, 0.4)  # rates, and with them norms, differ several times: early steps of one run are late ones of another
NGRAMS = {"unigram_loss": unigram_bits, "bigram_loss": bigram_bits}
APART = (
    "base",
    "targets",
    "inits",
    "arms",
    "ranks",
    "rate_ranks",
    "crossed",
    "star",
    "seeds",
    "selection_seeds",
    "learning_rates",
    "mesh",
    "members",
    "matched",
    "after",
    "keep",
    "selection_steps",
)


class Common(NamedTuple):
    """What the parts of a sweep share: config, study of the first target, axes, layout, places of bases, and what is loaded once."""

    config: Mapping[str, Any]
    study: Study
    sweep: RankSweep
    layout: Layout
    places: Mapping[tuple[str, int], int]
    loaded: Any


def rank_subjects(config: Mapping[str, Any]) -> list[Subject]:
    """Returns the subjects of a plain config in the order of their parts; raises UsageError for what cannot be."""
    sweep = RankSweep.of(config)
    initializations.check(sweep.inits, config["base"])
    study = Study.of({**config, "target": sweep.targets[0]})
    study.check_batches(sweep.batch_size)
    tasks, spokes = sweep.tasks(study), sweep.spokes()
    index = initializations.places(sweep.inits, sweep.all_seeds(), sweep.bases)
    phases = [phase for spoke in spokes for phase in (spoke.selection(), spoke.results() * _times(config))]
    layout = layout_of(study, tasks, Phases(phases, shape_of), sweep, index)

    loaded = loader(study, sweep.targets, index)
    common = Common(config, study, sweep, layout, index, loaded)
    return [_subject(common, spoke, first=spoke is spokes[0]) for spoke in spokes]


def _subject(common: Common, spoke: Spoke, first: bool) -> Subject:
    config, study, sweep, layout, index, loaded = common
    share = {key: value for key, value in config.items() if key not in APART}
    steps = len(spoke.selection()) * spoke.selection_steps + len(spoke.results()) * _times(config) * sweep.steps

    def cell(c: Mapping[str, Any]) -> Cell:
        return Cell("", c, shape_of(c), index[c["init"], c["seed"]], c["rank"] or 0, c["learning_rate"], c["seed"])

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        texts = loaded(workdir, progress)
        target = texts.targets[spoke.target]

        def before(runner: Runner) -> Iterator[Rows]:
            if spoke.full:
                own = {key: place for key, place in index.items() if key[0] in spoke.inits}
                known = _known(runner.setting.experiment, study, spoke.target, target)
                sizes = document_sizes(runner, target=spoke.target)
                yield [*known, *sizes, *untouched(runner, "full", own, sweep.bases, target=spoke.target)]

        def after(runner: Runner, cells: Sequence[Cell]) -> Iterator[Rows]:
            if spoke.full and "spectra" in sweep.after:
                yield spectra(runner, cells, sweep, study.model.scan)
            if spoke.full and "cuts" in sweep.after:
                yield truncations(runner, cells, spoke)
            if first and "costs" in sweep.after:
                yield costs(runner, layout.tasks, sweep, study)

        return Prepared(
            texts.bases,
            windows(target.parts["train"], study.model.max_length),
            _measures(study, texts.source, target, config["rates_per_budget"]),
            (texts.source.fingerprint, target.fingerprint, *study.named_by),
            cell,
            before,
            after,
            keep=sweep.keeps,
        )

    return text_subject(
        study,
        spoke,
        layout,
        share=share,
        prepare=prepare,
        read_at=sweep.read_at,
        kept_at=() if sweep.elsewhere or "spectra" not in sweep.after else KEPT_AT,
        rates_per_budget=config["rates_per_budget"],
        selection_steps=sweep.selection_steps,
        flops=study.flops(steps * sweep.batch_size, sweep.inits if first else (), _windows_read(study, spoke)),
        name=spoke.name,
        described={"target": spoke.target},
    )


def _windows_read(study: Study, spoke: Spoke) -> int:
    """How many windows the readings of a part take: all of a part at the end, and a first chunk of two other texts."""
    target = study.target
    end = study.read_windows(target.test_bytes if target.part == "test" else target.final_bytes) + 2 * study.read_windows(1)
    return len(spoke.selection()) * study.read_windows(target.validation_bytes) + len(spoke.results()) * end


def _times(config: Mapping[str, Any]) -> int:
    """How often each result is trained: once for each budget that has rates of its own."""
    return len(config["read_at"]) + 1 if config["rates_per_budget"] else 1


def _known(experiment: str, study: Study, word: str, target: Corpus) -> Rows:
    """What is known without training: of a target, the model's width, what is read at once, and which base from elsewhere it is."""
    train, test, size = target.parts["train"], target.parts[target.read], target.bytes[target.read]
    bits = {name: entropy(train, test, target.vocabulary, size) for name, entropy in NGRAMS.items()}
    floor = floor_bits(word)
    bits |= {} if floor is None else {"floor_loss": floor}
    rows = [reference(experiment, name, value, "bits/byte", target=word) for name, value in bits.items()]
    rows.append(reference(experiment, "width", study.model.d_model, "1", target=word))
    return [*rows, *described(experiment, study, target=word)]


def _measures(study: Study, source: Corpus, target: Corpus, at_every_budget: bool) -> dict[str, tuple[Measure, ...]]:
    """Selection reads the validation part; results the test part whole at the end, and at each budget a first chunk of every text."""
    selection = whole(study, target, "validation", "validation_loss")._replace(last_only=not at_every_budget, groups=None)
    results = (
        whole(study, target, target.read, "target_loss", early="budget_loss"),
        early(study, target, "validation", "validation_loss"),
        early(study, source, "test", "source_loss"),
    )
    return {"select": (selection,), "result": results}
