"""Records of updates: their norm at every budget, the whole spectrum and the noise's at the last."""

from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

from research.analysis.update_spectra import energy_ranks, noise_ranks, spectrum_records

QUERY, UP = "params/layers_0/attention/query/kernel", "params/layers_0/mlp/up/kernel"
WHERE = {"phase": "result", "init": "pretrained", "arm": None, "trains": "full", "rank": None, "learning_rate": 1e-3, "seed": 4}
GENERATOR = np.random.default_rng(0)
BASES = {
    "layers_0": {"attention": {"query": {"kernel": np.ones((2, 16, 2, 8))}}, "mlp": {"up": {"kernel": np.zeros((2, 16, 24))}}},
    "head": {"kernel": np.zeros((2, 16, 5))},
}


def start_of(place: int) -> dict[str, Any]:
    return jax.tree.map(lambda x: x[place], BASES)


def moved(strength: float) -> dict[str, np.ndarray]:
    """Weights that moved along one direction of the query and evenly in two of the up projection."""
    one = strength * np.outer(np.eye(16)[0], np.eye(16)[3]).reshape(16, 2, 8)
    two = strength * np.eye(16)[:, :24] @ np.diag([1.0, 1.0] + [0.0] * 14) @ np.eye(16, 24)
    return {QUERY: np.asarray(1 + one, np.float32), UP: np.asarray(two, np.float32), "params/head/kernel": np.full((16, 5), 9.0)}


def recorded(*cells: tuple[dict[str, Any], dict[str, np.ndarray]], last: int | None = None) -> pd.DataFrame:
    return pd.DataFrame(spectrum_records("e", [({**WHERE, **where}, 1, weights) for where, weights in cells], start_of, False, last))


def test_norms_and_first_values_of_every_budget_and_the_spectrum_of_the_last() -> None:
    rows = recorded(({"step": 30, "base": 1, "target": "t"}, moved(0.5)), ({"step": 60, "base": 1, "target": "t"}, moved(2.0)), last=60)
    norms = rows[rows["metric"] == "update_norm"].set_index("step")["value"]
    assert norms.to_dict() == {30: pytest.approx(0.5 * np.sqrt(3)), 60: pytest.approx(2 * np.sqrt(3))}  # the head is no block matrix
    updates = rows[rows["null"] == "none"]
    assert list(updates[updates["step"] == 30]["index"]) == [1] and list(updates[updates["step"] == 60]["index"]) == [*range(1, 17)]
    assert list(updates[updates["index"] == 1]["value"]) == pytest.approx([(1 + np.sqrt(0.5)) / 2] * 2)
    noise = rows[rows["null"] == "noise"]
    assert set(noise["step"]) == {60} and 0.3 < noise["value"].iloc[0] < 0.6
    assert set(rows["base"]) == {1} and set(rows["target"]) == {"t"} and set(rows["phase"]) == {"spectrum"}


def test_without_a_last_step_every_spectrum_is_whole() -> None:
    rows = recorded(({}, moved(1.0)), ({"seed": 5}, moved(1.0)))
    assert rows["step"].isna().all() and (rows["metric"] == "singular_value").sum() == 2 * 2 * 16
    assert "base" not in rows


@pytest.mark.parametrize("strength", [0.0, np.nan])
def test_what_did_not_move_or_diverged_has_neither_norm_nor_spectrum(strength: float) -> None:
    assert recorded(({}, moved(strength))).empty


def by_svd(delta: np.ndarray) -> int:
    """Returns in how many leading singular values 90 % of the sum of squares lies, by the definition."""
    values = np.linalg.svd(delta, compute_uv=False) ** 2
    return next(k for k in range(1, len(values) + 1) if values[:k].sum() >= 0.9 * values.sum())


@pytest.mark.parametrize("scanned", [False, True])
def test_energy_ranks_are_those_of_singular_values_matrix_by_matrix(scanned: bool) -> None:
    tall, wide, spread = GENERATOR.standard_normal((40, 3)), GENERATOR.standard_normal((3, 16)), np.geomspace(1, 1e-2, 16)
    deltas = {
        "down": tall @ wide,
        "up": GENERATOR.standard_normal((16, 40)) * spread[:, None],
        "out": GENERATOR.standard_normal((2, 8, 16)),
    }
    names = {"down": "mlp/down", "up": "mlp/up", "out": "attention/out"}
    paths = {key: f"params/{'layers' if scanned else 'layers_0'}/{name}/kernel" for key, name in names.items()}
    tuned = {paths[key]: np.stack([delta, delta]) if scanned else delta for key, delta in deltas.items()}
    tuned["params/head/kernel"] = np.ones((16, 5))
    found = energy_ranks({path: np.zeros_like(own) for path, own in tuned.items()}, tuned)
    wanted = {key: by_svd(delta.reshape(-1, delta.shape[-1])) for key, delta in deltas.items()}
    layers = range(1 + scanned)
    assert found == {f"params/layers_{layer}/{names[key]}/kernel": wanted[key] for key in deltas for layer in layers}
    assert len(set(wanted.values())) == 3 and wanted["down"] <= 3


def test_a_matrix_that_did_not_move_has_no_rank_and_noise_prefers_no_direction() -> None:
    start = {QUERY: np.ones((16, 2, 8), np.float32), UP: np.zeros((16, 24), np.float32)}
    outer = {**start, UP: np.outer(np.arange(1, 17), np.ones(24)).astype(np.float32)}
    assert energy_ranks(start, outer) == {UP: 1} and energy_ranks(start, start) == {}
    ranks, again = noise_ranks(start, 0), noise_ranks({QUERY: 5 * start[QUERY], UP: start[UP] + 1}, 0)
    assert ranks == again and set(ranks) == {QUERY, UP} and all(8 <= rank <= 14 for rank in ranks.values())
