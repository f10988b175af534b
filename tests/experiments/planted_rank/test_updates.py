"""What is planted has the rank, the spectrum and the subspaces it should, and only where it should."""

import numpy as np
import pytest

from experiments.planted_rank.kronecker import DAMPING, Factors
from experiments.planted_rank.spectra import spectrum
from experiments.planted_rank.updates import chosen, draw, plant
from research.adapters.sites import Site
from research.errors import UsageError

PARAMS = {
    "layers_0": {
        "attention": {"out": {"kernel": np.random.default_rng(0).standard_normal((2, 4, 8)).astype(np.float32)}},
        "mlp": {"up": {"kernel": np.random.default_rng(1).standard_normal((8, 12)).astype(np.float32)}},
    },
    "head": {"kernel": np.ones((8, 11), np.float32)},
}
OUT = Site("layers_0/attention/out", "params/layers_0/attention/out/kernel", 8, 8, ())
UP = Site("layers_0/mlp/up", "params/layers_0/mlp/up/kernel", 8, 12, ())
EVEN = {OUT.kernel: Factors(np.eye(8), np.eye(8)), UP.kernel: Factors(np.eye(8), np.eye(12))}
SIZE = 1 / np.sqrt(1 + DAMPING) ** 2  # both moments are damped


@pytest.mark.parametrize("kind", ["flat", "decaying"])
@pytest.mark.parametrize("rank", [1, 3, 8])
def test_the_change_has_the_planted_rank_and_spectrum(kind: str, rank: int) -> None:
    values = 0.5 * spectrum(kind, rank)
    planted = draw([OUT, UP], EVEN, values, seed=3)
    changed = plant(PARAMS, planted)
    for name, part, shape in (("attention", "out", (8, 8)), ("mlp", "up", (8, 12))):
        before, after = (p["layers_0"][name][part]["kernel"].reshape(shape) for p in (PARAMS, changed))
        found = np.linalg.svd(after - before, compute_uv=False)
        np.testing.assert_allclose(found[:rank], SIZE * values, rtol=1e-4)
        assert (found[rank:] < 1e-5).all()
    np.testing.assert_array_equal(changed["head"]["kernel"], PARAMS["head"]["kernel"])


def test_leaving_out_a_component_leaves_the_others() -> None:
    planted = draw([UP], EVEN, spectrum("decaying", 3), seed=0)
    lost = plant(PARAMS, planted)["layers_0"]["mlp"]["up"]["kernel"] - plant(PARAMS, planted, 2)["layers_0"]["mlp"]["up"]["kernel"]
    update = planted["params/layers_0/mlp/up/kernel"]
    np.testing.assert_allclose(lost, update.values[2] * np.outer(update.left[:, 2], update.right[:, 2]), atol=1e-5)


def test_another_seed_is_another_plant_and_none_is_none() -> None:
    one, two = (draw([UP], EVEN, spectrum("flat", 2), seed)["params/layers_0/mlp/up/kernel"].left for seed in (0, 1))
    assert not np.allclose(one, two)
    empty = plant(PARAMS, draw([UP], EVEN, spectrum("flat", 0), 0))
    np.testing.assert_array_equal(empty["layers_0"]["mlp"]["up"]["kernel"], PARAMS["layers_0"]["mlp"]["up"]["kernel"])


def test_what_cannot_be_planted_is_refused() -> None:
    assert chosen({UP.kernel: UP, OUT.kernel: OUT}, ("mlp",), "pattern") == [UP]
    with pytest.raises(UsageError, match="above min"):
        draw([UP], EVEN, spectrum("flat", 9), 0)
    with pytest.raises(UsageError, match="matches nothing"):
        chosen({UP.kernel: UP}, ("nowhere",), "pattern")
    with pytest.raises(UsageError, match="several layers"):
        draw([UP._replace(stack=(2,))], EVEN, spectrum("flat", 1), 0)
    with pytest.raises(UsageError, match="flat, decaying"):
        spectrum("steep", 2)


def test_every_component_costs_the_same_where_directions_do_not() -> None:
    inputs, outputs = np.diag(np.linspace(1, 30, 8)), np.diag(np.linspace(1, 9, 12))
    values = spectrum("flat", 3)
    update = draw([UP], {UP.kernel: Factors(inputs, outputs)}, values, 0)[UP.kernel].matrix()
    costs = np.linalg.svd(np.sqrt(inputs) @ update @ np.sqrt(outputs), compute_uv=False)[:3]
    plain = np.linalg.svd(update, compute_uv=False)[:3]
    assert costs.max() / costs.min() < 1.15 < plain.max() / plain.min()
