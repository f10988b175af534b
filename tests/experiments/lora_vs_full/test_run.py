"""A tiny run, and what its records say of kept weights by other means: NumPy alone, and the plain model."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from experiments.lora_vs_full import alike, cuts, updates
from experiments.lora_vs_full.updates import parameters
from research import tree
from research.cells import altered
from research.cells.runner import _InFlight
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from tests.experiments.lora_vs_full.tiny import END, EPS, LENGTH, TOP, Ran, concluded, tiny_run

MODEL = decoder(DecoderConfig(d_model=16, d_mlp=32, n_layers=1, max_length=LENGTH))
Leaves = Mapping[str, np.ndarray]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return tiny_run(tmp_path_factory.mktemp("lora_vs_full") / "run")


def matrices(leaves: Leaves, everywhere: bool = False) -> dict[str, np.ndarray]:
    """Returns the blocks' matrices (inputs, outputs) in float64, or all: attention/out has two axes of inputs."""
    chosen = [path for path in leaves if path.endswith("/kernel") and (everywhere or "/layers_" in path)]
    chosen += [path for path in leaves if everywhere and path.endswith("/embedding")]
    flat = {path: leaves[path].astype(np.float64) for path in chosen}
    return {path: m.reshape(-1, m.shape[-1]) if "attention/out" in path else m.reshape(len(m), -1) for path, m in flat.items()}


def overlaps(start: np.ndarray, tuned: np.ndarray) -> np.ndarray:
    """Returns the largest |cosine| of each of the tuned matrix's leading output directions with one of the start's."""
    return np.abs(np.linalg.svd(tuned)[2][:TOP] @ np.linalg.svd(start, full_matrices=False)[2].T).max(axis=1)


def loss(run: Ran, leaves: Leaves, text: str = "target") -> float:
    """Returns the bits a byte of the plain model over all whole windows of a held-out text, whose end of a document is 0."""
    stream = run.texts[text].parts["test"].astype(np.int32)
    rows = np.stack([stream[first : first + LENGTH + 1] for first in range(0, len(stream) - LENGTH, LENGTH)])
    params = tree.unflatten(dict(leaves))["params"]
    logits = np.asarray(jax.jit(MODEL.apply)({"params": params}, {"inputs": jnp.asarray(rows[:, :-1])}).logits, np.float64)
    nll = -np.take_along_axis(log_softmax(logits, axis=-1), rows[:, 1:, None], -1)[..., 0]
    return float(nll[rows[:, 1:] != 0].sum() / (rows[:, 1:] != 0).sum() / np.log(2))


@pytest.mark.parametrize(
    ("arm", "null", "at"),
    [
        ("full", "none", "0.1"),
        ("full", "none", "0.9"),
        ("full", "none", "end"),
        ("lora@2", "none", "0.1"),
        ("full", "shuffled", "0.9"),
        ("full", "source", "end"),
    ],
)
def test_readings_of_updates_are_what_numpy_says_of_kept_weights(run: Ran, arm: str, null: str, at: str) -> None:
    before, after = matrices(run.base), matrices(run.weights(arm, at, null))
    assert len(before) == 6 and before.keys() == after.keys()
    for path, start in before.items():
        delta = after[path] - start
        name = path.removeprefix("params/").removesuffix("/kernel")
        where = {"phase": "update", "arm": arm, "null": null, "at": at, "matrix": name, "like": "own"}
        values = np.linalg.svd(delta, compute_uv=False)
        held = np.cumsum(values**2) / (values**2).sum()
        assert run.read("update_norm", **where) == pytest.approx(np.sqrt((delta**2).sum()), rel=1e-4)
        assert run.read("relative_norm", **where) == pytest.approx(np.sqrt((delta**2).sum() / (start**2).sum()), rel=1e-4)
        assert run.read("energy_rank", **where) == next(i + 1 for i, share in enumerate(held) if share >= 0.9)
        assert run.read("stable_rank", **where) == pytest.approx((values**2).sum() / values[0] ** 2, rel=1e-4)
        assert run.read("strength", **where) == pytest.approx(values[0] / np.linalg.svd(start, compute_uv=False)[TOP - 1], rel=1e-4)
        assert run.read("intruders", **where) == (overlaps(start, after[path]) < EPS).sum()


def test_an_adapters_update_has_its_rank_and_noise_has_not(run: Ran) -> None:
    own = {like: run_values(run, "energy_rank", "lora@2", like) for like in ("own", "noise")}
    assert max(own["own"]) <= 2 and min(own["noise"]) > 4
    assert len(set(run_values(run, "intruders", "full", "own"))) > 1  # some matrices have more of them than others


def test_what_is_random_is_a_mean_over_draws(run: Ran) -> None:
    """Counts are whole, so that their means over draws are so many parts of one."""
    for like, arm in (("noise", "full"), ("rotated", "full"), ("rotated", "lora@2")):
        counts = updates.DRAWS * np.array(run_values(run, "intruders", arm, like))
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-3)
    ranks = np.array(run_values(run, "energy_rank", "full", "noise"))
    assert (ranks % 1 != 0).any() and (np.array(run_values(run, "intruders", "full", "rotated")) % 1 != 0).any()
    assert (np.array(run_values(run, "intruders", "full", "own")) % 1 == 0).all()


def run_values(run: Ran, metric: str, arm: str, like: str) -> list[float]:
    wanted = {"phase": "update", "metric": metric, "arm": arm, "like": like, "at": "0.1", "null": "none"}
    return [row["value"] for row in run.rows if wanted.items() <= row.items()]


@pytest.mark.parametrize(("arm", "at"), [("full", "0.9"), ("lora@2", "end")])
def test_losses_of_cut_updates_are_those_of_cut_weights(run: Ran, arm: str, at: str) -> None:
    """All matrices are cut, embedding and head among them; vectors stay as they were tuned."""
    tuned, where = run.weights(arm, at), {"phase": "cut", "arm": arm, "at": at}
    whole = run.read("target_loss", **where, directions="whole")
    assert whole == pytest.approx(loss(run, tuned), rel=1e-5)
    start, cut = matrices(run.base, everywhere=True), dict(tuned)
    for path, matrix in matrices(tuned, everywhere=True).items():
        left, values, right = np.linalg.svd(matrix - start[path], full_matrices=False)
        cut[path] = (start[path] + values[0] * np.outer(left[:, 0], right[0])).reshape(tuned[path].shape).astype(np.float32)
    best = run.read("target_loss", **where, directions="best", cut=1)
    assert best == pytest.approx(loss(run, cut), rel=1e-5) and abs(best - whole) > 1e-3
    assert run.read("target_loss", **where, directions="random", cut=1) > best


def test_updates_are_cut_at_the_largest_share_and_at_the_end_to_no_more_directions_than_they_have(run: Ran) -> None:
    """Arms at a lower rate are not: they are a control of what updates are like."""
    places = {(row["arm"], row["at"]) for row in run.rows if row["phase"] == "cut"}
    assert places == {("full", "0.9"), ("full", "end"), ("lora@2", "end")}
    ranks = {arm: {row["cut"] for row in run.rows if row["phase"] == "cut" and row["arm"] == arm} for arm, _ in places}
    assert ranks == {"full": {None, 1, 4}, "lora@2": {None, 1}}
    assert {(row["arm"], row["at"]) for row in run.rows if row["phase"] == "altered"} == {("full", "end"), ("lora@2", "end")}


def test_spectra_are_of_the_largest_share_alone(run: Ran) -> None:
    """Nulls stand there under their own names; an arm that does not come down has none."""
    own = [row for row in run.rows if row["phase"] == "spectrum"]
    step = run.step("full", "0.9")
    assert {(row["arm"], row["step"]) for row in own} == {(arm, step) for arm in ("full", "shuffled", "source")}
    before, after = matrices(run.base), matrices(run.weights("full", "0.9"))
    deltas = [after[path] - start for path, start in before.items()]
    first = np.mean([np.linalg.norm(delta, 2) / np.linalg.norm(delta) for delta in deltas])
    assert run.read("singular_value", phase="spectrum", arm="full", null="none", index=1) == pytest.approx(first, rel=1e-4)


@pytest.mark.parametrize("arm", ["full", "lora@2"])
def test_losses_of_scaled_updates_are_those_of_scaled_weights(run: Ran, arm: str) -> None:
    tuned, start, changed = run.weights(arm, "end"), matrices(run.base), 0
    half = {path: (run.base[path] + (tuned[path] - run.base[path]) / 2).astype(np.float32) for path in tuned}
    parts = {part: dict(tuned) for part in ("intruders", "others", "update")}
    for path, matrix in matrices(tuned).items():
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        intruder = np.append(overlaps(start[path], matrix) < EPS, np.zeros(len(values) - TOP, bool))
        other = np.isin(np.arange(len(values)), np.flatnonzero(~intruder)[: intruder.sum()])
        along = sum(((matrix - start[path]) @ np.outer(v, v) for v in right[intruder]), np.zeros_like(matrix))
        for part, made in (
            ("intruders", (left * np.where(intruder, values / 2, values)) @ right),
            ("others", (left * np.where(other, values / 2, values)) @ right),
            ("update", matrix - along / 2),
        ):
            parts[part][path] = made.reshape(tuned[path].shape).astype(np.float32)
        changed += int(intruder.sum())
    assert changed > 0
    for what, leaves in (("all", half), *parts.items()):
        for text in ("target", "source"):
            read = run.read(f"{text}_loss", phase="altered", arm=arm, scaled=what, factor=0.5)
            assert read == pytest.approx(loss(run, leaves, text), rel=1e-5)


@pytest.mark.parametrize("null", ["shuffled", "source"])
def test_losses_of_nulls_are_those_of_their_last_weights(run: Ran, null: str) -> None:
    for text in ("target", "source"):
        read = run.read(f"{text}_loss", phase="altered", arm="full", null=null, scaled="whole", factor=1.0)
        assert read == pytest.approx(loss(run, run.weights("full", "end", null), text), rel=1e-5)
    assert {row["scaled"] for row in run.rows if row["phase"] == "altered" and row["null"] == null} == {"whole"}


def test_two_seeds_of_the_base_are_paired_at_the_largest_share_and_at_the_end_and_no_seed_with_itself(run: Ran) -> None:
    """Seed 1 stands beside seed 0, of one arm and of two; an arm that does not come down is compared at its end alone."""
    pairs = {(row["pair"], row["at"], row["seed"]) for row in run.rows if row["phase"] == "alike"}
    own = {(f"{arm} & another seed's", "end", 0) for arm in ("full", "slow@0.01", "lora@2")}
    assert pairs == own | {("full & another seed's", "0.9", 0), ("full & slow@0.01", "end", 0), ("full & lora@2", "end", 0)}


def test_an_arm_is_read_at_those_levels_to_which_it_comes_down_and_at_its_end(run: Ran) -> None:
    read = {(row["arm"], row["at"]) for row in run.rows if row["phase"] == "update"}
    assert read == {("full", "0.1"), ("full", "0.9"), ("full", "end"), ("lora@2", "0.1"), ("lora@2", "end"), ("slow@0.01", "end")}
    assert [run.step("full", at) for at in ("0.1", "0.9", "end")] == [10, 20, END]
    told = {row["level"]: row["value"] for row in run.rows if row["phase"] == "reference" and row["metric"] == "equal_at"}
    assert told == {0: 0.1, 1: 0.9}


def test_a_null_draws_what_it_is_to_learn_nothing_of(run: Ran) -> None:
    """`source` sees windows of the source alone, all else windows of the target."""
    texts = {}
    for name, corpus in run.texts.items():
        stream = corpus.parts["train"]
        texts[name] = {stream[first : first + LENGTH + 1].tobytes() for first in range(0, len(stream) - LENGTH, LENGTH)}
    assert not texts["source"] & texts["target"]
    for arm, null, text in (
        ("full", "source", "source"),
        ("full", "shuffled", "target"),
        ("full", "none", "target"),
        ("lora@2", "none", "target"),
    ):
        seen = np.concatenate(run.trained[run.cell(arm, null)])
        assert len(seen) == END * 4 and {row.tobytes() for row in seen} <= texts[text]


def test_nulls_are_other_runs_than_full_from_the_same_start(run: Ran) -> None:
    ends = {null: matrices(run.weights("full", "end", null)) for null in ("none", "source", "shuffled")}
    start = matrices(run.base)
    for one, other in (("none", "source"), ("none", "shuffled"), ("source", "shuffled")):
        for path, matrix in ends[one].items():
            assert np.linalg.norm(matrix - ends[other][path]) > 0.1 * np.linalg.norm(matrix - start[path])
    rates = {row["null"]: row["learning_rate"] for row in run.rows if row["phase"] in ("result", "null") and row["arm"] == "full"}
    assert len(set(rates.values())) == 1 and len(rates) == 3
    for at in ("0.1", "0.9", "end"):
        assert run.step("full", at) == run.step("full", at, "source") == run.step("full", at, "shuffled")


def never(*args: Any, **kwargs: Any) -> None:
    raise AssertionError("trained or read again")


def test_what_stands_is_not_trained_or_read_again_and_larger_subspaces_are_read_beside_it(
    run: Ran, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An adapter of rank 2 has no three directions, and the slowed arm is read at its end alone: six updates have to be looked at."""
    shutil.copytree(run.folder, tmp_path / "run")
    monkeypatch.setattr(_InFlight, "__init__", never)
    monkeypatch.setattr(altered, "_together", never)
    for module in (updates, cuts):
        monkeypatch.setattr(module, "parameters", never)
    looked = []
    monkeypatch.setattr(alike, "parameters", lambda runner, reading: looked.append(reading.step) or parameters(runner, reading))
    assert concluded(tmp_path / "run", "--config.subspaces=1,2,3") == 0
    before, after = ((folder / "records.jsonl").read_text() for folder in (run.folder, tmp_path / "run"))
    assert after.startswith(before) and sorted(looked) == [20, 20, *[END] * 4]
    added = [json.loads(line) for line in after.removeprefix(before).splitlines()]
    assert {(row["pair"], row["at"], row["dimension"]) for row in added} == {
        ("full & another seed's", "0.9", 3),
        ("full & another seed's", "end", 3),
        ("slow@0.01 & another seed's", "end", 3),
        ("full & slow@0.01", "end", 3),
    }
