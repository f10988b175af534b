"""What is swept of decoders: trained on the target, from blocks of networks that were trained on another text, on the target, or not."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from experiments.transfer.arms import DONOR, MATCHED, OWN, RANDOM, SHUFFLED, Arm
from experiments.transfer.axes import TransferSweep, word_of
from experiments.transfer.blocks import Blocks
from experiments.transfer.losses import UNTOUCHED, WHOLE
from research.analysis.ngrams import unigram_bits
from research.cells import initializations
from research.cells.bases import Bases, at_once
from research.cells.described import described
from research.cells.measures import BY_DOCUMENT
from research.cells.phases import document_sizes, reference
from research.cells.pretraining import parameter_shapes
from research.cells.runner import Runner
from research.cells.runs import SELECTION_SEEDS
from research.cells.setting import Cell
from research.cells.starts import Loaded, Phases, layout_of, loader
from research.cells.study import Study, model_of, text_subject, whole
from research.cells.subject import Coordinates, Prepared, Rows, Subject
from research.data.batches import windows
from research.data.corpus import Corpus
from research.errors import UsageError
from research.runtime.progress import Progress
from research.runtime.workdir import Workdir

ORDER = 50_000  # what a cell's order is drawn by, apart from that of donors: B's arms would read B's batches anew
APART = ("base", "arms", "blocks", "rates_at", "seeds", "selection_seeds", "selection_steps", "learning_rates", "mesh", "members")

Load = Callable[[Workdir, Progress], Loaded]


def text_subjects(config: Mapping[str, Any]) -> list[Subject]:
    """Returns the subjects of a plain config: all arms, and from scratch for as long as a donor and an arm took together.

    Of a base from elsewhere, whose training is not ours to match, the arms alone. Raises UsageError for what cannot be.
    """
    sweep, study = TransferSweep.of(config), Study.of(config)
    study.check_batches(sweep.batch_size)
    if study.checkpoint is None:
        check_words(config)
    words = {DONOR: "pretrained", OWN: f"pretrained:{config['target']}", RANDOM: "random", SHUFFLED: "shuffled"}
    donors = dict.fromkeys((*(start[0] for start in sweep.starts), RANDOM))
    index = initializations.places([words[donor] for donor in donors], sweep.all_seeds(), sweep.bases)
    loaded = loader(study, (config["target"],), index)
    first = _subject(config, study, sweep, _grafts(study, sweep, loaded, words, index))
    if study.checkpoint is not None:
        return [first]
    steps = sweep.steps + round(study.pretraining["steps"] * study.pretraining["batch_size"] / sweep.batch_size)
    longer = {**config, "steps": steps, "selection_steps": 0, "read_at": (), "arms": (MATCHED,)}
    alone = TransferSweep.of(longer)
    return [first, _subject(longer, Study.of(longer), alone, _grafts(study, alone, loaded, words, index), MATCHED)]


def check_words(config: Mapping[str, Any]) -> None:
    """Raises UsageError where one word names source and target."""
    if config["source"] == config["target"]:
        raise UsageError(f"source and target are both {config['target']}: nothing is transferred; name another target")


def check_apart(source: Corpus, target: Corpus) -> None:
    """Raises UsageError where the target is the text that the donor was trained on, under another word."""
    if source.held_out == target.held_out:
        raise UsageError(f"{source.source} and {target.source} are one text under two words: nothing is transferred; name another target")


def _grafts(
    study: Study, sweep: TransferSweep, loaded: Load, words: Mapping[str, str], index: Mapping[tuple[str, int], int]
) -> Callable[[Workdir, Progress], tuple[Loaded, Bases]]:
    """Returns what loads the texts and makes what the cells of a sweep begin with: copied blocks in fresh networks of the same seeds."""
    shapes = parameter_shapes(model_of(study))
    keys = sweep.begun()

    def load(workdir: Workdir, progress: Progress) -> tuple[Loaded, Bases]:
        texts, own = loaded(workdir, progress), Blocks.of(shapes)

        def make(place: int) -> Any:
            (donor, copied, n), seed = keys[place]
            fresh = texts.bases.params(index[words[RANDOM], seed])
            return own.grafted(texts.bases.params(index[words[donor], seed]), fresh, copied, n)

        return texts, Bases(make, len(keys), at_once(shapes, len(keys)) == len(keys))

    return load


def _subject(
    config: Mapping[str, Any],
    study: Study,
    sweep: TransferSweep,
    load: Callable[[Workdir, Progress], tuple[Loaded, Bases]],
    name: str = "",
) -> Subject:
    model, places = model_of(study), sweep.places()
    tasks = sweep.tasks(model, parameter_shapes(model), study.optimizer, study.to_batch, dropout=study.model.dropout > 0)
    phases = Phases([[_begun(c) for c in cells] for cells in (sweep.selection(), sweep.results())], lambda c: arm_of(c).shape)
    layout = layout_of(study, tasks, phases, sweep, places)

    def cell(c: Coordinates) -> Cell:
        arm = arm_of(c)
        return Cell("", c, arm.shape, places[word_of(arm.start), c["seed"]], 0, c["learning_rate"], ORDER + c["seed"])

    def prepare(workdir: Workdir, progress: Progress) -> Prepared:
        texts, bases = load(workdir, progress)
        target = texts.targets[study.target.source]
        if study.checkpoint is None:
            check_apart(texts.source, target)
        measures = {
            "select": (whole(study, target, "validation", "validation_loss")._replace(groups=None),),
            "result": (whole(study, target, target.read, "target_loss", early="budget_loss"),),
        }

        def before(runner: Runner) -> Iterator[Rows]:
            if not name:
                yield [*_known(runner, study, sweep, texts.source, target), *document_sizes(runner), *donors_read(runner, sweep, places)]

        data = (texts.source.fingerprint, target.fingerprint, *study.named_by)
        return Prepared(bases, windows(target.parts["train"], study.model.max_length), measures, data, cell, before)

    steps = len(sweep.selection()) * (sweep.selection_steps or sweep.steps) + len(sweep.results()) * sweep.steps
    words = () if name else ("pretrained", f"pretrained:{config['target']}")
    return text_subject(
        study,
        sweep,
        layout,
        share={key: value for key, value in config.items() if key not in APART},
        prepare=prepare,
        read_at=sweep.read_at,
        selection_steps=sweep.selection_steps,
        flops=study.flops(steps * sweep.batch_size, words, _read(study, sweep)),
        name=name,
        described={"name": name} if name else {},
    )


def donors_read(runner: Runner, sweep: TransferSweep, places: Mapping[tuple[str, int], int]) -> Rows:
    """Returns the losses of the donors as they are, without a step on the target, where they do not stand."""
    experiment, shape = runner.setting.experiment, next(iter(runner.setting.widths))
    seeds, rows = [seed for seed in sweep.all_seeds() if seed < SELECTION_SEEDS], []
    for start in sweep.donors:
        where = [{"init": start[0], "arm": UNTOUCHED.format(start[0]), "seed": seed, "base": sweep.base_of(seed)} for seed in seeds]
        if all(runner.workdir.records.has(**each, phase="reference", metric=WHOLE) for each in where):
            continue
        found = runner.untouched(shape, "result", [places[word_of(start), seed] for seed in seeds])
        units = {name: m.unit for m in runner.setting.measures["result"] for name in m.names()}
        for place, each in enumerate(where):
            rows += [reference(experiment, name, float(found[name][place]), unit, **each) for name, unit in units.items()]
            documents = found[BY_DOCUMENT][place] if BY_DOCUMENT in found else ()
            rows += [reference(experiment, BY_DOCUMENT, float(x), "bits/byte", document=i, **each) for i, x in enumerate(documents)]
    return rows


def arm_of(c: Coordinates) -> Arm:
    """Returns the arm of a cell's coordinates."""
    return Arm(c["name"], c["blocks"])


def _begun(c: Coordinates) -> dict[str, Any]:
    """Coordinates by which a cell's base is found, where bases are held one at a time."""
    return {**c, "init": word_of(arm_of(c).start)}


def _known(runner: Runner, study: Study, sweep: TransferSweep, source: Corpus, target: Corpus) -> Rows:
    """What the texts are, how many blocks there are, how much all arms train on, and what the target costs by its bytes' frequencies."""
    experiment, tokens = runner.setting.experiment, study.model.max_length
    train, test, size = target.parts["train"], target.parts[target.read], target.bytes[target.read]
    said = f", the donor's {source.source}" if study.checkpoint is None else ""
    rows = [
        reference(experiment, "depth", study.model.n_layers, "1"),
        reference(experiment, "train_tokens", sweep.steps * sweep.batch_size * tokens, "tokens"),
        reference(experiment, "unigram_loss", unigram_bits(train, test, target.vocabulary, size), "bits/byte"),
        {**reference(experiment, "target", 1.0, "count"), "note": target.source + said},
    ]
    if study.checkpoint is None:
        p = study.pretraining
        rows.append(reference(experiment, "donor_tokens", p["steps"] * p["batch_size"] * tokens, "tokens"))
    return [*rows, *described(experiment, study)]


def _read(study: Study, sweep: TransferSweep) -> int:
    """How many windows' forward passes all readings take, roughly."""
    text = study.target
    ends = study.read_windows(text.test_bytes if text.part == "test" else text.final_bytes)
    results = len(sweep.results()) * (ends + len(sweep.read_at) * study.read_windows(1))
    return len(sweep.selection()) * study.read_windows(text.validation_bytes) + results
