"""Records of updates: their norm at every budget, the whole spectrum and the noise's at the last."""

from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

from research.analysis.update_spectra import spectrum_records

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
