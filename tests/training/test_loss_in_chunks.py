"""The loss in chunks of time against the plain one: value, gradient and curvature, on one device and on meshes, and what it holds."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import losses, tree
from research.adapters import subspace
from research.adapters.adapt import adapt
from research.adapters.lora import LoRA
from research.adapters.subspace import Subspace
from research.losses import cross_entropy, kl_divergence
from research.models.configuration import DecoderConfig
from research.models.decoder import Decoder
from research.models.model import Hidden, Model, from_linen
from research.training.mesh import MeshSpec, P, jit_step, make_mesh, specs
from tests.models.drawing import drawn

VOCABULARY, TIME, BATCH_SIZE, MEMBERS = 48, 7, 4, 2
TINY = {"vocab_size": VOCABULARY, "d_model": 8, "n_layers": 1, "n_heads": 2, "d_mlp": 8, "max_length": TIME, "bias": ("head",)}
RNG = np.random.default_rng(0)
BATCH = {
    "inputs": RNG.integers(0, VOCABULARY, (BATCH_SIZE, TIME)).astype(np.int32),
    "targets": np.repeat(RNG.integers(0, VOCABULARY, (BATCH_SIZE, 1)), TIME, 1).astype(np.int32),
    "weights": RNG.integers(0, 2, (BATCH_SIZE, TIME)).astype(np.float32),
}
WIDE, LONG = 50_000, 64
LOGITS = 8 * LONG * WIDE * 4
CHUNK = 3 * BATCH_SIZE * VOCABULARY * 4  # three tokens of time, which do not divide it
Curvature = Callable[[Any, Any], Any]


def curvature(model: Model, loss: losses.Loss = cross_entropy) -> Curvature:
    """Returns (variables, direction) -> (loss, gradient, Hessian-vector product, metrics); forward over reverse."""

    def found(variables: Any, direction: Any) -> Any:
        def graded(v: Any) -> Any:
            reference = jax.tree.map(jnp.sin, variables)
            return jax.value_and_grad(lambda v: loss(model, v, BATCH, reference, jax.random.key(5)), has_aux=True)(v)

        ((value, metrics), grads), (_, product) = jax.jvp(graded, (variables,), (direction,))
        return {"loss": value, "gradient": grads, "product": product, "metrics": metrics}

    return found


class Shallow(Decoder):
    """The decoder's embedding, last norm and head, with dropout between them instead of layers, which would take long to compile."""

    def _layers(self, x_btd: jax.Array, positions_bt: jax.Array, deterministic: bool) -> jax.Array:
        return nn.Dropout(0.1, deterministic=deterministic, name="drop")(jnp.sin(x_btd))


@functools.cache
def model_of(tied: bool) -> Model:
    return from_linen(Shallow(DecoderConfig(**TINY, tied=tied)))


@functools.cache
def points(tied: bool) -> tuple[Any, Any]:
    """Returns weights and directions of MEMBERS members."""
    stacks = [[drawn(model_of(tied), BATCH, seed) for seed in (first, first + 1)] for first in (0, 2)]
    weights, directions = (jax.tree.map(lambda *x: np.stack(x), *stack) for stack in stacks)
    return weights, directions


@functools.cache
def plain(tied: bool, loss: losses.Loss) -> Any:
    """Returns what the loss of whole logits gives, member by member."""
    return jax.device_get(jax.jit(lambda *xs: jax.lax.map(lambda x: curvature(model_of(tied), loss)(*x), xs))(*points(tied)))


def assert_equal(found: Any, wanted: Any) -> None:
    for path, leaf in tree.flatten(wanted).items():
        assert np.abs(leaf).max() > 0 or path == "metrics/correct", path
        # A divergence is a small difference of numbers of order one, whose float32 rounding hangs on the processor.
        least = 1e-6 if path in ("loss", "metrics/kl") else 0.0
        np.testing.assert_allclose(tree.flatten(found)[path], leaf, rtol=0, atol=max(least, 1e-6 * np.abs(leaf).max()), err_msg=path)


def scans(program: Any, *args: Any) -> int:
    """Returns how many loops of the chunks' number a traced program has."""
    return str(jax.make_jaxpr(program)(*args)).count("length=3\n")


# Every two of the three are met in each of their combinations; the other half is slow.
@pytest.mark.parametrize(
    ("loss", "tied", "side"),
    [
        (cross_entropy, False, "in turn"),
        (cross_entropy, True, "vmap"),
        (kl_divergence, False, "vmap"),
        (kl_divergence, True, "in turn"),
        pytest.param(cross_entropy, False, "vmap", marks=pytest.mark.slow),
        pytest.param(cross_entropy, True, "in turn", marks=pytest.mark.slow),
        pytest.param(kl_divergence, False, "in turn", marks=pytest.mark.slow),
        pytest.param(kl_divergence, True, "vmap", marks=pytest.mark.slow),
    ],
)
def test_chunks_of_time_change_no_number(loss: losses.Loss, tied: bool, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = plain(tied, loss)
    monkeypatch.setattr(losses, "WHOLE", CHUNK)
    one = curvature(model_of(tied), loss)
    program = jax.vmap(one) if side == "vmap" else lambda *xs: jax.lax.map(lambda x: one(*x), xs)
    assert_equal(jax.jit(program)(*points(tied)), wanted)
    assert scans(program, *points(tied)) >= 2  # forward and back


@pytest.mark.parametrize(
    ("mesh", "tied"),
    [
        (MeshSpec(member=2, data=2, tensor=2), False),
        (MeshSpec(member=2, fsdp=2, tensor=2), True),
        pytest.param(MeshSpec(member=2, data=2, tensor=2), True, marks=pytest.mark.slow),
        pytest.param(MeshSpec(member=2, fsdp=2, tensor=2), False, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_chunks_of_time_change_no_number_on_a_mesh(mesh: MeshSpec, tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = plain(tied, cross_entropy)
    monkeypatch.setattr(losses, "WHOLE", CHUNK)
    on, (weights, directions) = make_mesh(mesh), points(tied)
    one, member = curvature(model_of(tied)), P("member")
    mapped = jax.shard_map(
        lambda *xs: jax.lax.map(lambda x: one(*x), xs), mesh=on, in_specs=member, out_specs=member, axis_names={"member"}, check_vma=False
    )
    placed = specs(weights, ("member",))
    out = {"loss": member, "gradient": placed, "product": placed, "metrics": P("member", ("data", "fsdp"))}
    assert_equal(jit_step(mapped, (placed, placed), out, on, donate=())(weights, directions), wanted)


@functools.cache
def needed(whole: int, devices: int) -> int:
    """Returns the bytes that a device holds at most beside arguments and results while the loss of wide logits is differentiated."""
    config = DecoderConfig(**{**TINY, "vocab_size": WIDE, "max_length": LONG})
    model, on = from_linen(Shallow(config)), make_mesh(MeshSpec(data=devices))
    rows = {name: jax.ShapeDtypeStruct((8, LONG), jnp.dtype("float32" if name == "weights" else "int32")) for name in BATCH}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "WHOLE", whole)
        step = jit_step(jax.grad(lambda v, rows: cross_entropy(model, v, rows)[0]), (P(), P("data")), P(), on, donate=())
        return step.lower(jax.eval_shape(model.init, jax.random.key(0), rows), rows).compile().memory_analysis().temp_size_in_bytes


def test_of_large_logits_a_chunk_is_held_and_of_it_a_devices_share() -> None:
    few = LOGITS // 16
    assert needed(LOGITS, 1) >= LOGITS
    assert needed(few, 1) < 1.5 * few  # beside the chunk's logits, the head's gradient
    assert needed(few, 8) < few  # a batch that lies on several devices stays there, and the head's gradient is on each of them


def test_small_logits_are_made_at_once_by_the_very_program_of_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    model, variables = model_of(True), drawn(model_of(True), BATCH)

    def traced(model: Model) -> str:
        return str(jax.make_jaxpr(jax.grad(lambda v: cross_entropy(model, v, BATCH, None, jax.random.key(0))[0]))(variables))

    assert "scan" not in traced(model) and traced(model) == traced(model._replace(hidden=None, head=None))
    monkeypatch.setattr(losses, "WHOLE", CHUNK)
    assert "scan" in traced(model)


@pytest.mark.parametrize("spec", [LoRA(("head", "embedding"), 2, 4.0), Subspace(5, "fastfood")], ids=["lora", "subspace"])
def test_an_adapter_is_in_every_chunk_and_a_subspace_is_drawn_once(spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapt(model_of(False), spec)
    variables = drawn(model, BATCH)
    variables["constants"] = jax.jit(model.init)(jax.random.key(0), BATCH)["constants"]
    wanted = jax.jit(lambda v: cross_entropy(model, v, BATCH))(variables)
    drawings = []
    project = subspace.projections.project
    monkeypatch.setattr(subspace.projections, "project", lambda *args: drawings.append(1) or project(*args))
    monkeypatch.setattr(losses, "WHOLE", CHUNK)
    found = jax.jit(lambda v: cross_entropy(model, v, BATCH))(variables)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), found, wanted)
    assert len(drawings) == isinstance(spec, Subspace)
    assert abs(float(jax.jit(lambda v: cross_entropy(model_of(False), v, BATCH)[0])({"params": variables["params"]}) - wanted[0])) > 1e-3


def test_chunks_drop_by_keys_of_their_own() -> None:
    masks = jnp.ones((1, 12))

    def head(variables: Any, stream: jax.Array, *, key: Any = None) -> jax.Array:
        kept = masks[..., None] if key is None else jax.random.bernoulli(key, 0.5, (*stream.shape[:2], 1))
        return stream * kept[:, : stream.shape[1]]

    def hidden(variables: Any, batch: Any, *, key: Any = None) -> Hidden:
        return Hidden(jnp.broadcast_to(jnp.arange(9.0)[None, None], (1, 12, 9)), {})

    model = Model(lambda key, batch: {}, lambda *args: None, (), hidden, head)
    rows = {"targets": jnp.zeros((1, 12), jnp.int32), "weights": jnp.ones((1, 12))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "WHOLE", 6 * 9 * 4)
        losing = jax.jit(lambda key: cross_entropy(model, {}, rows, None, key)[1]["nll"].reshape(2, 6))
        nll = [np.asarray(losing(key)) for key in (jax.random.key(1), None)]
    assert (nll[0][0] != nll[0][1]).any() and (nll[1] == nll[1][0, 0]).all()
