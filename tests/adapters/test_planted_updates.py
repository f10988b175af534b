"""What is planted has the rank, the spectrum and the subspaces it should, and only where it should."""

import numpy as np
import pytest

from research.adapters.planted_updates import chosen, draw, plant, spectrum
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


@pytest.mark.parametrize("kind", ["flat", "decaying"])
@pytest.mark.parametrize("rank", [1, 3, 8])
def test_the_change_has_the_planted_rank_and_spectrum(kind: str, rank: int) -> None:
    values = 0.5 * spectrum(kind, rank)
    planted = draw(PARAMS, [OUT, UP], values, seed=3)
    changed = plant(PARAMS, planted)
    for name, part, shape in (("attention", "out", (8, 8)), ("mlp", "up", (8, 12))):
        before, after = (p["layers_0"][name][part]["kernel"].reshape(shape) for p in (PARAMS, changed))
        found = np.linalg.svd(after - before, compute_uv=False)
        np.testing.assert_allclose(found[:rank], values * np.linalg.norm(before, 2), rtol=1e-4)
        assert (found[rank:] < 1e-5).all()
    np.testing.assert_array_equal(changed["head"]["kernel"], PARAMS["head"]["kernel"])


def test_leaving_out_a_component_leaves_the_others() -> None:
    planted = draw(PARAMS, [UP], spectrum("decaying", 3), seed=0)
    lost = plant(PARAMS, planted)["layers_0"]["mlp"]["up"]["kernel"] - plant(PARAMS, planted, 2)["layers_0"]["mlp"]["up"]["kernel"]
    update = planted["params/layers_0/mlp/up/kernel"]
    np.testing.assert_allclose(lost, update.values[2] * np.outer(update.left[:, 2], update.right[:, 2]), atol=1e-5)


def test_another_seed_is_another_plant_and_none_is_none() -> None:
    one, two = (draw(PARAMS, [UP], spectrum("flat", 2), seed)["params/layers_0/mlp/up/kernel"].left for seed in (0, 1))
    assert not np.allclose(one, two)
    empty = plant(PARAMS, draw(PARAMS, [UP], spectrum("flat", 0), 0))
    np.testing.assert_array_equal(empty["layers_0"]["mlp"]["up"]["kernel"], PARAMS["layers_0"]["mlp"]["up"]["kernel"])


def test_what_cannot_be_planted_is_refused() -> None:
    assert chosen({UP.kernel: UP, OUT.kernel: OUT}, ("mlp",), "pattern") == [UP]
    with pytest.raises(UsageError, match="above min"):
        draw(PARAMS, [UP], spectrum("flat", 9), 0)
    with pytest.raises(UsageError, match="matches nothing"):
        chosen({UP.kernel: UP}, ("nowhere",), "pattern")
    with pytest.raises(UsageError, match="several layers"):
        draw(PARAMS, [UP._replace(stack=(2,))], spectrum("flat", 1), 0)
    with pytest.raises(UsageError, match="flat, decaying"):
        spectrum("steep", 2)
