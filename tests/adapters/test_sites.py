"""Sites: the linear maps of any model, found by a trace that computes nothing."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest

from research.adapters.adapt import adapt
from research.adapters.lora import LoRA
from research.adapters.sites import Site, find_sites
from research.errors import UsageError
from research.models.configuration import BIASES, DecoderConfig
from research.models.decoder import decoder
from research.models.model import Batch, Model, from_linen
from tests.adapters.foreign import BATCH, SITES, adapted, foreign, shapes

TINY = {"vocab_size": 11, "d_model": 12, "n_layers": 3, "n_heads": 2, "n_kv_heads": 1, "d_mlp": 20, "max_length": 8}
IMAGE = {"inputs": np.zeros((2, 5, 3), np.float32)}


class Mixed(nn.Module):
    """Linear maps, one of which is called twice, among modules that are none."""

    @nn.compact
    def __call__(self, batch: Batch, deterministic: bool = True) -> jax.Array:
        x = nn.Conv(4, (3,), name="conv")(batch["inputs"])
        shared = nn.Dense(4, name="shared")
        x = nn.GroupNorm(2, name="norm")(shared(shared(x)))
        return nn.Dense(2, name="last")(x)


def found(model: Model, batch: Any = BATCH) -> dict[str, Site]:
    params = jax.eval_shape(model.init, jax.random.key(0), batch)["params"]
    return find_sites(model, params, batch)


@pytest.mark.parametrize("wrap", ["plain", "remat", "scan", "scan, remat"])
def test_sites_of_a_foreign_model_have_their_sizes_and_stack(wrap: str) -> None:
    expected = {}
    for module, (inputs, outputs, stacked) in SITES.items():
        name = f"params/{module}/{'embedding' if module == 'lora' else 'kernel'}"
        expected[name] = Site(module, name, inputs, outputs, (2,) if stacked and "scan" in wrap else ())
    assert found(foreign(wrap)) == expected


def test_the_decoder_has_its_matrices_and_nothing_else() -> None:
    blocks = {"attention/query": (12, 12), "attention/key": (12, 6), "attention/value": (12, 6), "attention/out": (12, 12)}
    blocks |= {"mlp/up": (12, 20), "mlp/gate": (12, 20), "mlp/down": (20, 12)}
    sites = found(decoder(DecoderConfig(**TINY, mlp="gated", positions="learned", bias=BIASES, norm="layer")))
    sizes = {site.module: (site.inputs, site.outputs) for site in sites.values()}
    layered = {f"layers_{layer}/{name}": size for layer in range(3) for name, size in blocks.items()}
    assert sizes == {**layered, "embedding": (11, 12), "position": (8, 12), "head": (12, 11)}
    assert list(sites) == sorted(sites) and sites["params/head/kernel"].max_rank == 11


def test_scanned_layers_are_one_site_with_a_stack() -> None:
    sites = found(decoder(DecoderConfig(**TINY, scan=True, remat="full", tied=True)))
    assert sites["params/layers/mlp/up/kernel"] == Site("layers/mlp/up", "params/layers/mlp/up/kernel", 12, 20, (3,))
    assert sites["params/embedding/embedding"].stack == () and not any("head" in path for path in sites)


def test_what_is_no_linear_map_is_no_site_and_a_shared_one_is_one() -> None:
    model = from_linen(Mixed())
    assert {path: (site.inputs, site.outputs) for path, site in found(model, IMAGE).items()} == {
        "params/shared/kernel": (4, 4),
        "params/last/kernel": (4, 2),
    }
    with pytest.raises(UsageError, match="params/last/kernel, params/shared/kernel"):
        jax.eval_shape(adapt(model, LoRA(("conv",), 2, 5.0)).init, jax.random.key(0), IMAGE)


def test_shapes_serve_as_well_as_arrays_and_a_second_look_finds_the_same() -> None:
    model = foreign()
    arrays = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes(model)["params"])
    once = find_sites(model, arrays, BATCH)
    assert once == find_sites(model, arrays, BATCH) == found(model) and len(once) == 5


def test_a_trace_of_the_model_beforehand_hides_no_site() -> None:
    model = foreign()
    params = shapes(model)["params"]
    jax.eval_shape(lambda p, b: model.apply({"params": p}, b).logits, params, BATCH)
    jax.eval_shape(adapted(model).init, jax.random.key(0), BATCH)
    assert len(find_sites(model, params, BATCH)) == 5


def test_names_like_the_adapters_own_are_told_apart() -> None:
    base = foreign("scan")
    variables = jax.eval_shape(adapt(base, LoRA(("/A/A/", "/A/B/"), 2, 5.0)).init, jax.random.key(0), BATCH)
    assert set(variables["adapter"]) == {"A"} and set(variables["adapter"]["A"]) == {"A", "B"}
    assert {path: leaf.shape for path, leaf in variables["adapter"]["A"]["A"].items()} == {"A": (2, 8, 2), "B": (2, 2, 6)}
    assert variables["constants"]["A"]["B"]["scale"].shape == (2,) and "adapter" in variables["params"]
    assert jax.tree.map(lambda x: x.shape, variables["params"]) == jax.tree.map(lambda x: x.shape, shapes(base)["params"])
