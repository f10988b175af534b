"""What an adapter is before any model runs: targets, ranks, scales, and how A and B begin."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters.adapt import adapt, attach
from research.adapters.lora import LoRA, initialize, scale, targeted
from research.adapters.sites import Site, find_sites
from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.models.model import Model, count
from tests.adapters.foreign import BATCH, EVERY, SITES, adapted, foreign, random, shapes


def site(module: str, inputs: int, outputs: int, name: str = "kernel", stack: tuple[int, ...] = ()) -> Site:
    return Site(module, f"params/{module}/{name}", inputs, outputs, stack)


GIVEN = [site("a/query", 8, 6), site("a/value", 8, 4), site("b/up", 8, 20, stack=(3,)), site("words", 30, 8, "embedding")]
THERE = {one.kernel: one for one in GIVEN}


@pytest.mark.parametrize(
    "wrong",
    [
        {"targets": ("query", "vlaue")},
        {"targets": ("query", "^a/")},
        {"ranks": (("query", 3), ("up", 3))},
        {"ranks": (("params/b/up", 3),)},
        {"alphas": (("value", 3.0), ("words", 3.0))},
        {"targets": ("query", "(")},
    ],
)
def test_each_pattern_of_several_must_hit(wrong: dict[str, Any]) -> None:
    fields = {"targets": ("query", "value"), "rank": 2, "alpha": 5.0, **wrong}
    with pytest.raises(UsageError, match="matches nothing|not a regular expression"):
        targeted(THERE, LoRA(**fields))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"rank": -1}, "rank"),
        ({"ranks": (("x", -2),)}, "rank"),
        ({"form": "merged"}, "adapter.form"),
        ({"scaling": "rs"}, "adapter.scaling"),
        ({"dropout": 1.0}, "adapter.dropout"),
        ({"dropout": -0.1}, "adapter.dropout"),
        ({"dropout": 0.1, "form": "fused"}, "factored"),
    ],
)
def test_what_makes_no_sense_is_a_users_mistake(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        LoRA(**{"targets": EVERY, "rank": 2, "alpha": 5.0, **wrong})


def test_ranks_and_alphas_go_by_path_and_the_first_match_wins() -> None:
    spec = LoRA(("^params/a/", "up"), 2, 5.0, ranks=(("query", 4), ("a/", 3)), alphas=(("b/up", 9.0), ("params/", 7.0)))
    chosen = {path: found[1:] for path, found in targeted(THERE, spec).items()}
    assert chosen == {"params/a/query/kernel": (4, 7.0), "params/a/value/kernel": (3, 7.0), "params/b/up/kernel": (2, 9.0)}


@pytest.mark.parametrize(("rank", "fits"), [(4, True), (5, False)])
def test_a_rank_above_the_smaller_side_is_refused(rank: int, fits: bool) -> None:
    spec = LoRA(("a/",), 2, 5.0, ranks=(("value", rank),))
    if fits:
        assert targeted(THERE, spec)["params/a/value/kernel"][1] == 4
        return
    with pytest.raises(UsageError, match=r"= 4 of params/a/value/kernel"):
        targeted(THERE, spec)


def test_a_tied_matrix_is_refused_and_the_others_are_not() -> None:
    tied = ("^params/words/embedding$",)
    with pytest.raises(UsageError, match="params/words/embedding is tied"):
        targeted(THERE, LoRA(EVERY, 2, 5.0), tied)
    assert len(targeted(THERE, LoRA(("kernel$",), 2, 5.0), tied)) == 3


@pytest.mark.parametrize(("scaling", "factor"), [("standard", 7.0 / 4), ("rslora", 7.0 / 4**0.5)])
def test_the_scale_is_alpha_over_the_rank_or_its_root(scaling: str, factor: float) -> None:
    spec = LoRA(EVERY, 4, 7.0, scaling=scaling)
    np.testing.assert_allclose(scale(spec, 4, 7.0), factor, rtol=1e-7)
    np.testing.assert_allclose(jax.jit(lambda r: scale(spec, r, 7.0))(4), factor, rtol=1e-7)
    assert scale(spec, 0, 7.0) == 0.0 and scale(spec, 4, 7.0).dtype == jnp.float32


def test_rslora_is_lora_with_alpha_times_the_root() -> None:
    np.testing.assert_allclose(scale(LoRA(EVERY, 9, scaling="rslora"), 9, 5.0), scale(LoRA(EVERY, 9), 9, 5.0 * 3), rtol=1e-6)


@functools.cache
def program(spec: LoRA) -> Any:
    return jax.jit(lambda seed, rank: initialize(jax.random.key(seed), targeted(THERE, spec), spec, rank))


def initial(spec: LoRA, rank: int | None = None, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns A, B and the scale by path; a rank that is given is traced."""
    return tree.flatten(jax.tree.map(np.asarray, program(spec)(seed, rank)))


def test_factors_have_the_shapes_of_their_site_and_b_is_zero() -> None:
    leaves = initial(LoRA(EVERY, 3, 7.0, ranks=(("query", 5),)))
    expected = {"a/query": ((8, 5), (5, 6)), "a/value": ((8, 3), (3, 4)), "b/up": ((3, 8, 3), (3, 3, 20)), "words": ((30, 3), (3, 8))}
    for module, (a, b) in expected.items():
        assert leaves[f"adapter/{module}/A"].shape == a and leaves[f"adapter/{module}/B"].shape == b
        assert not leaves[f"adapter/{module}/B"].any()
    assert leaves["constants/b/up/scale"].shape == (3,) and count(leaves) == 5 * 14 + 3 * 12 + 3 * 3 * 28 + 3 * 38 + 6


def test_no_two_factors_begin_alike() -> None:
    both = [initial(LoRA(EVERY, 3, 7.0), seed=seed) for seed in (0, 1)]
    layers = [leaf for leaves in both for path, leaf in leaves.items() if path.endswith("/A")]
    columns = np.concatenate([np.swapaxes(leaf, -1, -2).reshape(-1, leaf.shape[-2])[:, :8] for leaf in layers])
    assert len(np.unique(columns, axis=0)) == len(columns) == 2 * 3 * (1 + 1 + 3 + 1)


def test_what_else_is_adapted_does_not_change_how_a_factor_begins() -> None:
    alone, among = (initial(LoRA(targets, 3, 7.0))["adapter/a/query/A"] for targets in (("query",), EVERY))
    np.testing.assert_allclose(alone, among, rtol=1e-6)


def test_columns_are_of_the_size_that_keeps_inputs_at_order_one() -> None:
    big = {s.kernel: s for s in (site("dense", 400, 50), site("words", 400, 50, "embedding"))}
    spec = LoRA(EVERY, 40, 7.0)
    leaves = tree.flatten(jax.jit(lambda: initialize(jax.random.key(0), targeted(big, spec), spec))())
    np.testing.assert_allclose(leaves["adapter/dense/A"].std(), 400**-0.5, rtol=0.03)
    np.testing.assert_allclose(leaves["adapter/words/A"].std(), 1.0, rtol=0.03)


@pytest.mark.parametrize("rank", [0, 3])
def test_a_rank_is_a_prefix_of_its_padding_at_every_site(rank: int) -> None:
    padded, own = initial(LoRA(EVERY, 4, 7.0), rank), initial(LoRA(EVERY, rank, 7.0))
    for path, wanted in own.items():
        if path.endswith("/A"):
            np.testing.assert_allclose(padded[path][..., :rank], wanted, rtol=1e-6)
            assert not padded[path][..., rank:].any() and padded[path].shape[-1] == 4
        elif path.endswith("/scale"):
            np.testing.assert_allclose(padded[path], wanted, rtol=1e-6)


def test_a_rank_by_path_is_kept_where_the_common_rank_is_traced() -> None:
    leaves = initial(LoRA(("a/",), 4, 7.0, ranks=(("query", 3),)), 2)
    assert leaves["adapter/a/query/A"].shape == (8, 3) and leaves["adapter/a/query/A"].all()
    np.testing.assert_allclose(leaves["constants/a/query/scale"], 7.0 / 3, rtol=1e-6)
    np.testing.assert_allclose(leaves["constants/a/value/scale"], 7.0 / 2, rtol=1e-6)


# Exact only operation by operation, without jit: within one program XLA may fuse, and so round, y and y + 0 differently. `fused` is exact
# beside itself alone: its product sums over inputs + rank terms, in an order that depends on their number and on the processor.
@pytest.mark.parametrize("form", ["factored", "fused"])
def test_at_initialization_and_at_rank_zero_nothing_changes_by_a_bit(form: str) -> None:
    base, spec = foreign("plain"), LoRA(EVERY, 2, 7.0)
    model, params = adapted(base, form, rank=2), random(base)["params"]
    attached = jax.jit(lambda rank: attach(jax.random.key(0), base, params, BATCH, spec, rank=rank))
    fresh, none = attached(2), attached(0)
    none["adapter"] = jax.tree.map(lambda x: x + 1.0, none["adapter"])
    plain = np.asarray(base.apply({"params": params}, BATCH).logits)
    wanted = plain if form == "factored" else model.apply({"params": params, **jax.tree.map(jnp.zeros_like, fresh)}, BATCH).logits
    for added in (fresh, none):
        np.testing.assert_array_equal(model.apply({"params": params, **added}, BATCH).logits, wanted)
    np.testing.assert_allclose(wanted, plain, atol=1e-6 * np.abs(plain).max())  # 8 units in the last place of the largest
    moved = {**fresh, "adapter": jax.tree.map(lambda x: x + 1.0, fresh["adapter"])}
    assert np.abs(model.apply({"params": params, **moved}, BATCH).logits - wanted).max() > 0.1


@pytest.mark.parametrize("form", ["factored", "fused"])
def test_at_initialization_every_b_can_learn_in_every_layer(form: str) -> None:
    base = foreign("scan, remat")
    model, params = adapted(base, form), random(base)["params"]
    variables = {"params": params, **jax.jit(lambda: attach(jax.random.key(0), base, params, BATCH, LoRA(EVERY, 3, 7.0)))()}
    grads = jax.jit(jax.grad(lambda a: jnp.sin(model.apply({**variables, "adapter": a}, BATCH).logits).mean()))(variables["adapter"])
    for path, leaf in tree.flatten(grads).items():
        layers = np.abs(leaf).reshape(-1, *leaf.shape[-2:]).max((1, 2))
        assert (layers > 1e-6).all() if path.endswith("/B") else not layers.any(), path


def test_padding_has_no_gradient_and_the_rest_that_of_its_own_rank() -> None:
    base, targets = foreign("scan"), ("lora/", "A/B/", "adapter/kernel")
    wide, own = (adapted(base, "fused", targets=targets, rank=rank) for rank in (4, 2))
    moved = random(own)
    padding = jax.tree.map(
        lambda x, s: [(0, n - m) for m, n in zip(x.shape, s.shape, strict=True)], moved["adapter"], shapes(wide)["adapter"]
    )
    padded = {**moved, "adapter": jax.tree.map(np.pad, moved["adapter"], padding)}

    def grads(model: Model, v: Any) -> Any:
        return jax.grad(lambda a: jnp.sin(model.apply({**v, "adapter": a}, BATCH).logits).mean())(v["adapter"])

    mine, wanted = jax.device_get(jax.jit(lambda p, m: (grads(wide, p), grads(own, m)))(padded, moved))
    for path, leaf in tree.flatten(wanted).items():
        inside, beyond = np.split(tree.flatten(mine)[path], [2], -1 if path.endswith("/A") else -2)
        assert beyond.size == inside.size and not beyond.any(), path
        np.testing.assert_allclose(inside, leaf, atol=2e-5 * np.abs(leaf).max(), err_msg=path)


def test_the_count_is_rank_times_inputs_and_outputs() -> None:
    for rank in (2, 5):
        added = jax.eval_shape(adapted(foreign(), rank=rank).init, jax.random.key(0), BATCH)["adapter"]
        assert count(added) == sum(rank * (inputs + outputs) * (2 if stack else 1) for inputs, outputs, stack in SITES.values())


@pytest.mark.parametrize(("targets", "rank", "scalars"), [(("query", "value"), 32, 9_175_040), (("mlp/",), 10, 9_461_760)])
def test_the_count_is_what_peft_reports_for_llama(targets: tuple[str, ...], rank: int, scalars: int) -> None:
    sizes = {"vocab_size": 128_256, "d_model": 3072, "n_layers": 28, "n_heads": 24, "n_kv_heads": 8, "d_mlp": 8192}
    llama = decoder(DecoderConfig(**sizes, mlp="gated", tied=True, scan=True))
    added = jax.eval_shape(adapt(llama, LoRA(targets, rank, 64.0)).init, jax.random.key(0), BATCH)["adapter"]
    assert count(added) == scalars


def test_the_sites_of_a_foreign_model_are_those_that_are_targeted() -> None:
    base = foreign()
    chosen = targeted(find_sites(base, random(base)["params"], BATCH), LoRA(EVERY, 2, 5.0))
    assert {found.module: (found.inputs, found.outputs, len(found.stack)) for found, _, _ in chosen.values()} == SITES


def test_double_precision_elsewhere_in_the_process_changes_no_draw_and_no_type() -> None:
    found, spec = targeted(THERE, LoRA(("query", "words"), 2, 5.0)), LoRA(("query", "words"), 2, 5.0)
    single = initialize(jax.random.key(3), found, spec)
    with jax.enable_x64(True):
        double = initialize(jax.random.key(3), found, spec)
    assert tree.flatten(single).keys() == tree.flatten(double).keys()
    for path, leaf in tree.flatten(double).items():
        assert leaf.dtype == jnp.float32, path
        np.testing.assert_array_equal(leaf, tree.flatten(single)[path])
