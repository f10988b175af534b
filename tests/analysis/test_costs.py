import dataclasses

import jax
import jax.numpy as jnp
import optax
import pytest

from research.analysis import costs
from research.analysis.costs import (
    ACTIVATION,
    FORWARD,
    WEIGHT,
    Moves,
    attended,
    compiled_flops,
    flops_per_token,
    ledger,
    trainable_count,
    tree_bytes,
)
from research.data.batches import batch
from research.data.vocabulary import BYTES
from research.errors import UsageError
from research.losses import cross_entropy
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder

D, F, LENGTH, LAYERS, VOCAB = 128, 512, 128, 2, 64
TINY = DecoderConfig(vocab_size=VOCAB, d_model=D, n_layers=LAYERS, n_heads=2, n_kv_heads=2, d_mlp=F, max_length=LENGTH, mlp="plain")
NAMES = {"query": (D, D), "key": (D, D), "value": (D, D), "out": (D, D), "up": (D, F), "down": (F, D)}
BLOCK = (r"layers_\d+/(attention|mlp)/.*kernel",)
ELEMENTWISE = 0.02  # softmax, activations and residuals beside the products, at this width


def shapes(rank: int = 0) -> dict:
    params = {f"layers_{i}": {name: jnp.ones(size) for name, size in NAMES.items()} for i in range(LAYERS)}
    adapters = {
        f"layers_{i}": {name: (jnp.ones((size[0], rank)), jnp.ones((rank, size[1]))) for name, size in NAMES.items()} for i in range(LAYERS)
    }
    return {"blocks": params, "adapters": adapters if rank else {}, "embedding": jnp.ones((VOCAB, D)), "head": jnp.ones((D, VOCAB))}


def loss(moves: dict, stays: dict, tokens: jax.Array) -> jax.Array:
    """A decoder in bare jnp, two heads, no norms: its products are those of the ledger."""
    params = {**stays, **moves}

    def linear(layer: str, name: str, x: jax.Array) -> jax.Array:
        y = x @ params["blocks"][layer][name]
        if params["adapters"]:
            a, b = params["adapters"][layer][name]
            y = y + (x @ a) @ b
        return y

    x = params["embedding"][tokens]
    for layer in params["blocks"]:
        q, k, v = (linear(layer, name, x).reshape(-1, LENGTH, 2, D // 2) for name in ("query", "key", "value"))
        weights = jax.nn.softmax(jnp.einsum("bthk,bshk->bhts", q, k))
        x = x + linear(layer, "out", jnp.einsum("bhts,bshk->bthk", weights, v).reshape(-1, LENGTH, D))
        x = x + linear(layer, "down", jax.nn.relu(linear(layer, "up", x)))
    logits = x @ params["head"]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - logits[..., 0])


def measured(moving: tuple[str, ...], rank: int = 0) -> float:
    params, tokens = shapes(rank), jnp.zeros((1, LENGTH), jnp.int32)
    moves = {name: params[name] for name in moving}
    stays = {name: params[name] for name in params if name not in moving}
    return compiled_flops(jax.jit(jax.grad(loss)).lower(moves, stays, tokens)) / LENGTH


@pytest.mark.parametrize(
    ("moving", "rank", "moves"),
    [
        (("blocks", "embedding", "head"), 0, Moves()),
        (("blocks",), 0, Moves(trained=BLOCK)),
        (("adapters",), 8, Moves(trained=(), adapted=BLOCK, rank=8)),
        (("adapters",), 64, Moves(trained=(), adapted=BLOCK, rank=64)),
        (("head",), 0, Moves(trained=("head/kernel",))),
        (("adapters", "embedding"), 8, Moves(trained=("embedding/embedding",), adapted=BLOCK, rank=8)),
    ],
)
def test_formula_agrees_with_the_compiled_program(moving: tuple[str, ...], rank: int, moves: Moves) -> None:
    compiled, formula = measured(moving, rank), flops_per_token(TINY, LENGTH, moves)
    print(f"{moving} rank {rank}: compiled {compiled:.0f}, formula {formula:.0f}, ratio {compiled / formula:.4f}")
    assert 1.0 <= compiled / formula < 1.0 + ELEMENTWISE


LONG = DecoderConfig(vocab_size=16, d_model=128, n_layers=1, n_heads=1, n_kv_heads=1, d_mlp=16, max_length=512)


@pytest.mark.parametrize("length", [256, 512])
def test_attention_is_counted_as_it_is_executed(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder's own program, where it leaves out keys; the formula that counts all pairs is far off."""
    model, data = decoder(LONG), batch(jnp.zeros((1, length + 1), jnp.int32), BYTES)
    params = jax.eval_shape(model.init, jax.random.key(0), data)
    gradient = jax.jit(jax.grad(lambda variables: cross_entropy(model, variables, data, None)[0]))
    compiled = compiled_flops(gradient.lower(params)) / length
    formula = flops_per_token(LONG, length)
    print(f"length {length}: compiled {compiled:.0f}, formula {formula:.0f}, ratio {compiled / formula:.4f}")
    assert 1.0 <= compiled / formula < 1.04
    monkeypatch.setattr(costs, "executed_pairs", lambda length: length**2)
    assert compiled / flops_per_token(LONG, length) < 0.95


def test_the_triangle_is_counted_of_cudnn() -> None:
    mixed = dataclasses.replace(LONG, attention="cudnn", dtype="bfloat16")
    assert attended(mixed, 1024) == 512.5 and attended(LONG, 1024) == 640 and attended(LONG, 64) == 64


def test_what_a_rank_adds_is_counted_exactly() -> None:
    """Element-wise work does not depend on the rank, so the difference of two ranks is products alone."""
    formula = flops_per_token(TINY, LENGTH, Moves((), BLOCK, 24)) - flops_per_token(TINY, LENGTH, Moves((), BLOCK, 8))
    assert measured(("adapters",), 24) - measured(("adapters",), 8) == formula


def test_a_chain_of_products_is_counted_exactly() -> None:
    chain = jax.jit(lambda a, b, c: (a @ b) @ c).lower(jnp.ones((8, 32)), jnp.ones((32, 64)), jnp.ones((64, 16)))
    assert compiled_flops(chain) == compiled_flops(chain.compile()) == 2 * 8 * (32 * 64 + 64 * 16)


def test_a_loop_body_is_counted_once() -> None:
    def looped(x: jax.Array, w: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda carry, _: (carry @ w, None), x, length=10)[0]

    assert compiled_flops(jax.jit(looped).lower(jnp.ones((8, 32)), jnp.ones((32, 32)))) < 2 * 2 * 8 * 32 * 32


def test_full_training_is_six_per_parameter_and_attention() -> None:
    matrices = LAYERS * (4 * D * D + 2 * D * F)
    assert flops_per_token(TINY, LENGTH) == 6 * matrices + 12 * LAYERS * D * LENGTH + 6 * D * VOCAB
    assert {p.kind for p in ledger(TINY, LENGTH)} == {FORWARD, ACTIVATION, WEIGHT}


def test_lora_comes_to_two_thirds_when_blocks_dominate() -> None:
    wide = dataclasses.replace(TINY, d_model=1024, d_mlp=4096, n_layers=24, vocab_size=2)
    matrices, adapters = 24 * 12 * 1024**2, 24 * 8 * (4 * 2 * 1024 + 2 * 5 * 1024)
    ratio = flops_per_token(wide, 1, Moves((), BLOCK, 8)) / flops_per_token(wide, 1)
    assert ratio == pytest.approx(2 / 3 + adapters / matrices, abs=0.01)


def test_nothing_below_the_lowest_site_is_differentiated() -> None:
    top = [p for p in ledger(TINY, LENGTH, Moves((r"layers_1/mlp/down/kernel",))) if p.kind != FORWARD]
    assert [(p.name, p.kind) for p in top] == [("layers_1/mlp/down", WEIGHT), ("head", ACTIVATION)]
    norm_below = ledger(TINY, LENGTH, Moves(("attention_norm",), BLOCK, 8))
    without = ledger(TINY, LENGTH, Moves((), BLOCK, 8))
    extra = sum(p.flops for p in norm_below) - sum(p.flops for p in without)
    assert extra == 2 * 3 * (D * D + D * 8)


def test_key_training_alone_spares_the_value_path() -> None:
    kinds = [(p.name.split("/")[-1], p.kind) for p in ledger(TINY, LENGTH, Moves((r"layers_1/attention/key/kernel",)))]
    assert kinds.count(("scores", ACTIVATION)) == 1 and kinds.count(("values", ACTIVATION)) == 1


def test_switches_of_the_decoder_are_in_the_ledger() -> None:
    names = {p.name for p in ledger(dataclasses.replace(TINY, mlp="gated"), LENGTH)}
    assert "layers_0/mlp/gate" in names
    grouped = ledger(dataclasses.replace(TINY, n_heads=4, n_kv_heads=2, head_dim=32, rotary_dim=32), LENGTH)
    assert {(p.inputs, p.outputs) for p in grouped if p.name.endswith("/key")} == {(D, D // 2)}
    tied = dataclasses.replace(TINY, tied=True)
    assert flops_per_token(tied, LENGTH) == flops_per_token(TINY, LENGTH)
    assert flops_per_token(tied, LENGTH, Moves(("embedding",))) > flops_per_token(TINY, LENGTH, Moves(("embedding",)))
    assert dataclasses.replace(TINY, n_heads=4).head_dim == D // 2  # a head size that is settled stays, unless it is set again
    scanned, unrolled = Moves(("params/layers/",)), Moves((r"params/layers_\d/",))
    assert flops_per_token(dataclasses.replace(TINY, scan=True), LENGTH, scanned) == flops_per_token(TINY, LENGTH, unrolled)


def test_rank_zero_moves_nothing_and_unknown_patterns_are_refused() -> None:
    assert all(p.kind == FORWARD for p in ledger(TINY, LENGTH, Moves((), BLOCK, 0)))
    with pytest.raises(UsageError, match="matches nothing"):
        ledger(TINY, LENGTH, Moves(("layers_7",)))


def test_counts_and_bytes() -> None:
    params = {"a": jnp.ones((3, 4)), "b": jnp.ones(5, jnp.bfloat16)}
    assert trainable_count(params) == trainable_count(jax.eval_shape(lambda: params)) == 17
    assert tree_bytes(params) == 12 * 4 + 5 * 2
    state = optax.adam(1e-3).init(params)
    assert tree_bytes(state) == 2 * (12 * 4 + 5 * 2) + 4
