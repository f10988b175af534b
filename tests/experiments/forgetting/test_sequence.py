"""A tiny sequence: each task is what training by hand makes of where the one before ended, and losses are those of the weights."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.forgetting import get_config
from experiments.forgetting.axes import SequenceSweep
from experiments.forgetting.fishers import diagonals, spaced
from research import tree
from research.adapters.adapt import adapt
from research.cells import study as studies
from research.cells.bases import Bases
from research.cells.study import Study
from research.data.batches import orders, replayed, windows
from research.data.corpus import Corpus, load_corpus
from research.losses import anchored, cross_entropy
from research.models.decoder import decoder
from research.optimizers import adamw
from research.records import identity
from research.runtime import artifacts
from research.training.step import TrainState, make_train_step
from tests.commands import ran

pytestmark = pytest.mark.slow  # a run of four programs and three tasks

ARMS = ("full", "lora@2", "ewc@1", "replay@25", "slow@0.3", "joint")
STEPS, TASKS, SIZE = 20, 3, 4
CHANGES: dict[str, Any] = {
    "model": {"d_model": 16, "n_layers": 1, "max_length": 32, "d_mlp": 32},
    "data": {"validation_bytes": 8192, "test_bytes": 8192, "final_bytes": 8192, "max_bytes": 2**18},
    "pretraining": {"steps": 20, "batch_size": 16, "bases": 1},
    "source": "text:research/**/*.py",
    "methods": ARMS,
    "fisher": {"sequences": 8},
    "learning_rates": {"full": (5e-3, 5.01e-3, 5.02e-3), "lora": (1e-2, 1.001e-2, 1.002e-2)},
    "seeds": 2,
    "steps": STEPS,
}


def plain() -> dict[str, Any]:
    """Returns the config of the tiny run."""
    config = get_config("sequence").to_dict()
    for key, value in CHANGES.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    return dict(config)


def words() -> list[str]:
    """Returns the same as words of a command."""
    pairs = [(f"{key}.{inner}" if inner else key, own) for key, value in CHANGES.items() for inner, own in _inner(value)]
    return [f"--config.{key}={','.join(map(str, own)) if isinstance(own, tuple) else own}" for key, own in pairs]


def _inner(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else [("", value)]


class Ran(NamedTuple):
    """A run: its folder, its records, the weights that it began with, and the texts by word."""

    folder: Path
    rows: list[dict[str, Any]]
    base: Any
    texts: dict[str, Corpus]

    def cell(self, arm: str, seed: int, task: int) -> dict[str, Any]:
        where = {"arm": arm, "seed": seed, "task": task, "phase": "result", "metric": "source_loss"}
        (found,) = [row for row in self.rows if where.items() <= row.items()]
        return found

    def end(self, arm: str, seed: int, task: int) -> dict[str, np.ndarray]:
        """Returns what moved, where a task ended."""
        return artifacts.load(self.folder / "artifacts" / f"{self.cell(arm, seed, task)['cell']}.npz")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("sequence") / "run"
    corpora: dict[str, Corpus] = {}
    made: list[Bases] = []
    begun = Bases.__init__

    def load(*args: Any, **kwargs: Any) -> Corpus:
        corpus = load_corpus(*args, **kwargs)
        corpora[corpus.source] = corpus
        return corpus

    def begin(self: Bases, *args: Any, **kwargs: Any) -> None:
        begun(self, *args, **kwargs)
        made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies, "load_corpus", load)
        patch.setattr(Bases, "__init__", begin)
        assert ran("--config=configs/forgetting.py:sequence", *words(), f"--workdir={folder}") == 0
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    return Ran(folder, rows, made[0].params(0), corpora)


def order(seed: int) -> list[str]:
    """Returns source and targets as seed 0 or 1 learns them."""
    config = plain()
    targets = [config["target"], *config["then"]]
    return [config["source"], *targets[seed:], *targets[:seed]]


def taught(run: Ran, arm: str, seed: int, task: int) -> np.ndarray:
    """Returns the windows (step, batch, time + 1) of a task: of its text, a share of them of all that was learned before."""
    config = plain()
    length = config["model"]["max_length"]
    cut = {word: windows(run.texts[word].parts["train"], length) for word in order(seed)}
    n = min(map(len, cut.values()))
    own = [cut[word][:n] for word in order(seed)]
    if arm == "joint":
        first = [cut[word][:n] for word in order(0)[1:]]  # one after another, whoever learns them
        mixed = np.concatenate([np.stack(each) for each in zip(*first, strict=True)])
        return np.asarray(mixed[(task - 1) * n : task * n][orders([seed], 0, STEPS, SIZE, n)[0]])
    rows, drawn = np.concatenate([own[task], *own[:task]]), orders([seed], 0, STEPS, SIZE, n)
    share = 0.25 if arm.startswith("replay") else 0.0
    return np.asarray(rows[replayed(drawn, [seed], [share], 0, [(n, n * (task + 1))])[0]])


def by_hand(run: Ran, arm: str, seed: int, task: int) -> dict[str, Any]:
    """Returns what moves after a task that is not the first, trained step by step from where the one before ended."""
    config = plain()
    study, sweep = Study.of(config), SequenceSweep.of(config)
    model, begin = decoder(study.model), run.end(arm, seed, task - 1)
    moves, reference, loss = {name: tree.unflatten(begin)[name] for name in tree.unflatten(begin)}, None, cross_entropy
    frozen: dict[str, Any] = {}
    if arm.startswith("lora"):
        frozen = {"params": run.base, "constants": moves.pop("constants")}
        model = adapt(model, sweep.lora(sweep.adapter["targets"], 2))
    if arm == "ewc@1":
        length, of = study.model.max_length, diagonals(study)
        cut = {word: windows(run.texts[word].parts["train"], length) for word in order(seed)}
        n = min(map(len, cut.values()))
        learned = [of("model", moves["params"], spaced(cut[word][:n], sweep.fisher["sequences"])) for word in order(seed)[:task]]
        importance = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *learned)
        loss, reference = anchored, {"params": moves["params"], "strength": jnp.float32(1), "importance": importance}
    tx = adamw(study.optimizer, run.cell(arm, seed, task)["learning_rate"], ("^adapter/",) if frozen else ("^params/",))
    step = jax.jit(make_train_step(model, loss, tx))
    state = TrainState(jnp.zeros((), jnp.int32), moves, frozen, tx.init(moves))
    for rows in taught(run, arm, seed, task):
        state, _ = step(state, study.to_batch(jnp.asarray(rows)), None, reference)
    return tree.flatten(state.trainable)


@pytest.mark.parametrize("arm", ARMS)
def test_a_task_is_what_training_by_hand_makes_of_where_the_one_before_ended(run: Ran, arm: str) -> None:
    for seed, task in ((0, 2), (1, 3)):
        found, wanted = run.end(arm, seed, task), by_hand(run, arm, seed, task)
        before, moved = run.end(arm, seed, task - 1), {path for path in found if not path.startswith("constants/")}
        assert moved == set(wanted)
        far = max(np.abs(found[path] - before[path]).max() for path in moved)
        assert max(np.abs(found[path] - np.asarray(wanted[path])).max() for path in moved) < 0.02 * far


def test_losses_after_a_task_are_those_of_its_weights(run: Ran) -> None:
    study, end = Study.of(plain()), tree.unflatten(run.end("replay@25", 1, 2))["params"]
    model, read = decoder(study.model), run.cell("replay@25", 1, 2)
    targets = [plain()["source"], plain()["target"], *plain()["then"]]
    for number, word in enumerate(targets):
        metric = f"target_{number}_loss" if number else "source_loss"
        (row,) = [row for row in run.rows if (row["cell"], row["metric"]) == (read["cell"], metric)]
        rows = windows(run.texts[word].parts["test"], study.model.max_length)
        found = cross_entropy(model, {"params": end}, study.to_batch(jnp.asarray(rows)))[1]
        assert row["value"] == pytest.approx(float(found["nll"].sum() / found["weight"].sum() / np.log(2)), rel=1e-4)


def test_a_run_that_was_stopped_before_its_last_task_ends_as_it_would_have(run: Ran, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    shutil.copytree(run.folder, folder)
    (folder / "finished.json").unlink()
    left = [row for row in run.rows if row.get("task") != TASKS]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in left))
    for arm in ARMS:
        for seed in (0, 1):
            (folder / "artifacts" / f"{run.cell(arm, seed, TASKS)['cell']}.npz").unlink()
    assert ran("--config=configs/forgetting.py:sequence", *words(), f"--workdir={folder}") == 0
    again = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    values = [{identity(row): row["value"] for row in some} for some in (run.rows, again)]
    assert len(left) < len(again) == len(run.rows) and values[0] == pytest.approx(values[1], rel=1e-5)
