"""A tiny run, and what it says of tuned weights by other means: losses, divergences, distances, rates."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from research import tree
from research.cells import study
from research.cells.bases import Bases
from research.data.corpus import Corpus, load_corpus
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.runtime import artifacts
from tests.commands import ran

pytestmark = pytest.mark.slow
CONFIG = "--config=configs/forgetting.py:smoke"
TINY = (
    "--config.model.d_model=16",
    "--config.model.d_mlp=32",
    "--config.pretraining.steps=20",
    "--config.pretraining.bases=1",
    "--config.seeds=1",
    "--config.methods=full,lora@2,l2sp@0.1,ewc@1,empirical@1,replay@25,slow@0.3",
    "--config.source=text:research/**/*.py",
    "--config.fisher.sequences=8",
    "--config.learning_rates.full=5e-3,5.01e-3,5.02e-3",  # as good as one: methods differ by what they do, not by their rates
    "--config.learning_rates.lora=1e-2,1.001e-2,1.002e-2",
)
ARMS = ("full", "lora@2", "l2sp@0.1", "ewc@1", "empirical@1", "replay@25", "slow@0.3")
MODEL = decoder(DecoderConfig(d_model=16, d_mlp=32, n_layers=1, max_length=32))
END, LENGTH, READ = 40, 32, 256  # windows of the first chunk of a text


class Ran(NamedTuple):
    """A run: its folder, its records, the weights that it began with, and the held-out texts."""

    folder: Path
    rows: list[dict[str, Any]]
    base: Any
    texts: dict[str, Corpus]

    def read(self, metric: str, arm: str | None, phase: str = "kept", step: int = END) -> float:
        where = {"metric": metric, "arm": arm, "phase": phase, "step": step}
        (value,) = {row["value"] for row in self.rows if where.items() <= row.items()}
        return float(value)

    def end(self, arm: str) -> dict[str, np.ndarray]:
        """Returns what training made of an arm's weights."""
        (cell,) = {row["cell"] for row in self.rows if row["phase"] == "result" and row["arm"] == arm}
        return artifacts.load(self.folder / "artifacts" / f"{cell}.npz")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("forgetting") / "run"
    corpora: dict[str, Corpus] = {}
    made: list[Bases] = []

    def load(*args: Any, **kwargs: Any) -> Corpus:
        corpus = load_corpus(*args, **kwargs)
        return corpora.setdefault(corpus.source, corpus)

    def begin(self: Bases, *args: Any, **kwargs: Any) -> None:
        begun(self, *args, **kwargs)
        made.append(self)

    begun = Bases.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "load_corpus", load)
        patch.setattr(Bases, "__init__", begin)
        assert ran(CONFIG, *TINY, f"--workdir={folder}") == 0
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    return Ran(folder, rows, made[0].params(0), {"source": corpora["text:research/**/*.py"], "target": corpora["generated:restaurants"]})


def logs(params: Any, inputs: np.ndarray) -> np.ndarray:
    return log_softmax(np.asarray(jax.jit(MODEL.apply)({"params": params}, {"inputs": jnp.asarray(inputs)}).logits, np.float64), axis=-1)


@pytest.mark.parametrize("text", ["source", "target"])
def test_divergences_and_losses_are_what_the_weights_say(run: Ran, text: str) -> None:
    """Of the base's predictions, token by token: sum_v p(v) (log p(v) - log q(v)), in bits, over what is no end of a document."""
    stream = run.texts[text].parts["test"].astype(np.int32)
    rows = np.stack([stream[place * LENGTH :][: LENGTH + 1] for place in range(READ)])
    scored = rows[:, 1:] != 0  # a document's end is 0
    full = tree.unflatten(run.end("full"))["params"]
    before, after = (logs(params, rows[:, :-1]) for params in (run.base, full))
    kl = (np.exp(before) * (before - after)).sum(-1)
    assert run.read(f"kl_{text}", "full") == pytest.approx(kl[scored].sum() / scored.sum() / np.log(2), rel=1e-3)
    for losses, read in ((before, run.read(f"budget_{text}", None, "reference", 0)), (after, run.read(f"budget_{text}", "full"))):
        nll = -np.take_along_axis(losses, rows[:, 1:, None], -1)[..., 0]
        assert read == pytest.approx(nll[scored].sum() / scored.sum() / np.log(2), rel=1e-4)


def test_kept_weights_read_as_training_read_them(run: Ran) -> None:
    for arm in ARMS:
        for step in (10, END):
            for text in ("source", "target"):
                kept, trained = (run.read(f"budget_{text}", arm, phase, step) for phase in ("kept", "result"))
                assert kept == pytest.approx(trained, rel=1e-4)
    assert run.read("budget_target", "full") < run.read("budget_target", "full", step=10) - 0.1


def test_losses_by_document_along_the_way_are_those_of_the_first_chunk(run: Ran) -> None:
    """Weighed by their bytes they are its loss, of every run at every budget, and of what lies between full's ends."""
    sizes = {row["document"]: row["value"] for row in run.rows if row["metric"] == "budget_document_bytes"}
    stream, groups = (side["test"][1 : 1 + LENGTH * READ] for side in (run.texts["source"].parts, run.texts["source"].groups))
    assert sorted(sizes.values()) == sorted(np.unique(groups[(groups >= 0) & (stream != 0)], return_counts=True)[1])
    found: dict[tuple[Any, ...], float] = {}
    for row in run.rows:
        if row["metric"] == "budget_document":
            key = row["phase"], row["arm"], row["step"]
            found[key] = found.get(key, 0.0) + row["value"] * sizes[row["document"]] / sum(sizes.values())
    where = {(row["phase"], row["arm"], row["step"]) for row in run.rows if row["metric"] == "budget_source" and row["phase"] != "kept"}
    assert found.keys() == where | {("kept", "wise@0.5", END)} and len(sizes) > 8
    assert len([key for key in where if key[0] == "result"]) == 4 * len(ARMS)
    for (phase, arm, step), value in found.items():
        assert value == pytest.approx(run.read("budget_source", arm, phase, step), rel=1e-5)


def test_distances_are_those_of_the_weights_and_half_of_the_way_is_half_as_far(run: Ran) -> None:
    base = tree.flatten({"params": run.base})
    ends = {arm: run.end(arm) for arm in ARMS if arm != "lora@2"}
    for arm, end in ends.items():
        assert end.keys() == base.keys()
        far = np.sqrt(sum(((end[path] - base[path]).astype(np.float64) ** 2).sum() for path in end))
        assert run.read("distance", arm) == pytest.approx(far, rel=1e-4)
    assert run.read("distance", "wise@0.5") == pytest.approx(run.read("distance", "full") / 2, rel=1e-5)
    assert run.read("distance", "lora@2") > 0
    moved = [end["params/head/kernel"] for end in ends.values()]
    assert min(np.abs(one - other).max() for i, one in enumerate(moved) for other in moved[:i]) > 1e-4  # no method is another's


def test_ranks_of_updates_are_those_of_their_singular_values(run: Ran) -> None:
    base, full = (tree.flatten(side) for side in (run.base, tree.unflatten(run.end("full"))["params"]))
    inner = {path: full[path] - base[path] for path in full if "attention/" in path or "mlp/" in path}
    matrices = {path: own.reshape(-1, own.shape[-1]) if "out" in path else own.reshape(len(own), -1) for path, own in inner.items()}
    held = [np.cumsum(np.linalg.svd(own, compute_uv=False) ** 2) for own in matrices.values()]
    assert len(held) == 6 and run.read("energy_rank", "full") == pytest.approx(np.mean([1 + (h < 0.9 * h[-1]).sum() for h in held]))
    assert 1 <= run.read("energy_rank", "lora@2") <= 2 < run.read("energy_rank", "full") < run.read("noise_rank", None, "reference", 0)
    assert not [row for row in run.rows if row["metric"] == "energy_rank" and (row["step"] != END or row["arm"] not in ARMS)]


def test_what_is_held_back_moves_less(run: Ran) -> None:
    far = {arm: run.read("distance", arm) for arm in ARMS}
    assert far["l2sp@0.1"] < 0.6 * far["full"] and far["ewc@1"] < 0.99 * far["full"]
    assert far["ewc@1"] > 2 * far["l2sp@0.1"]  # though ten times as strong: a weight's Fisher information is far below 1
    for text in ("source", "target"):
        assert 0 < run.read(f"kl_{text}", "slow@0.3") < 0.5 * run.read(f"kl_{text}", "full")
        assert 0 < run.read(f"kl_{text}", "wise@0.5") < run.read(f"kl_{text}", "full")
    assert run.read("source_loss", "replay@25", "result") < run.read("source_loss", "full", "result")


def test_a_slow_run_takes_a_part_of_fulls_rate_and_is_no_candidate(run: Ran) -> None:
    rates = {row["arm"]: row["learning_rate"] for row in run.rows if row["phase"] == "result"}
    assert rates["slow@0.3"] == pytest.approx(0.3 * rates["full"], rel=1e-6)
    assert not [row for row in run.rows if row["phase"] in ("select", "choice") and row["arm"] == "slow@0.3"]
    assert {row["arm"] for row in run.rows if row["phase"] == "select"} == set(ARMS) - {"slow@0.3"}
