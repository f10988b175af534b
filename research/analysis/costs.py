"""What training costs: a ledger of the decoder's matrix products, FLOPs of a compiled program, and bytes of optimizer state.

With N parameters in matrices and a multiply-add counted as 2 FLOPs, full training costs 6N a token and LoRA with P adapter parameters 4N
+ 6P, hence the ratio 2/3 + P/N; attention, which has no weights, costs both three times its forward pass. The ledger is exact where that
is not: nothing is differentiated below the lowest thing that moves.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from research.models.attention import executed_pairs
from research.tree import matching

_NEVER_RUN: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}  # machine code alone: XLA's own passes are not touched by this
FORWARD, ACTIVATION, WEIGHT = "forward", "activation gradient", "weight gradient"


class DecoderShape(Protocol):
    """The fields of a decoder's config that its matrix products depend on."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def d_model(self) -> int: ...
    @property
    def n_layers(self) -> int: ...
    @property
    def n_heads(self) -> int: ...
    @property
    def n_kv_heads(self) -> int: ...
    @property
    def d_mlp(self) -> int: ...
    @property
    def positions(self) -> str: ...
    @property
    def mlp(self) -> str: ...
    @property
    def norm(self) -> str: ...
    @property
    def bias(self) -> Sequence[str]: ...
    @property
    def tied(self) -> bool: ...
    @property
    def scan(self) -> bool: ...
    @property
    def attention(self) -> str: ...


class Product(NamedTuple):
    """One matrix product, per token: `inputs` x `outputs` multiply-adds in the pass named by `kind`; attention's outputs are a mean."""

    name: str
    kind: str
    inputs: int
    outputs: float

    @property
    def flops(self) -> float:
        """Returns FLOPs per token."""
        return 2 * self.inputs * self.outputs


class Moves(NamedTuple):
    """What training moves: patterns of parameters trained themselves, patterns of matrices with a factored adapter, and its rank."""

    trained: tuple[str, ...] = ("params/",)
    adapted: tuple[str, ...] = ()
    rank: int = 0


class Linear(NamedTuple):
    """A module with a matrix, (inputs, outputs); `lookup` marks embeddings, whose own product is a gather."""

    module: str
    matrix: str
    inputs: int
    outputs: int
    lookup: bool = False


def flops_per_token(config: DecoderShape, length: int, moves: Moves | None = None) -> float:
    """Returns the FLOPs per token of one training step on sequences of `length` tokens: the sum of `ledger`."""
    return float(sum(product.flops for product in ledger(config, length, moves)))


def ledger(config: DecoderShape, length: int, moves: Moves | None = None) -> list[Product]:
    """Returns every matrix product of one training step, per token, in order of the forward pass; `moves` None trains everything.

    Attention counts the pairs of query and key that are executed: see `attended`. Element-wise work, norms, rotations and recomputation
    (`remat`, the scores in cuDNN's backward pass) are not counted. Adapters are counted in their factored form: the form that adds A B
    into W costs what full training of W does. Raises UsageError for a pattern that matches no parameter.
    """
    moves = moves or Moves()
    trained, adapted = _resolve(config, moves)
    products: list[Product] = []

    def moving(module: str) -> bool:
        return any(path.startswith(f"params/{module}/") for path in trained | adapted)

    def linear(sites: Sequence[Linear], is_active: bool) -> list[bool]:
        for site in sites:
            products.extend(_linear_products(site, is_active, site.matrix in trained, moves.rank if site.matrix in adapted else 0))
        return [is_active or moving(site.module) for site in sites]

    is_active = any(linear(_embeddings(config), False))
    for layer in _layers(config):
        query, key, value = linear(_projections(config, layer), is_active or moving(f"{layer}/attention_norm"))
        products.extend(_attention_products(layer, config.d_model, attended(config, length), (query, key, value)))
        is_active = any(linear([_out(config, layer)], query or key or value)) or is_active
        hidden = any(linear(_into_mlp(config, layer), is_active or moving(f"{layer}/mlp_norm")))
        is_active = any(linear([_down(config, layer)], hidden)) or is_active
    linear([_head(config)], is_active or moving("final_norm"))
    return products


def attended(config: DecoderShape, length: int) -> float:
    """Returns the keys that a query is multiplied with, mean over the queries of a sequence.

    Our own attention says which it computes, masked ones included; of cuDNN's causal kernels the triangle is counted, though their tiles
    on the diagonal are whole.
    """
    return (executed_pairs(length) if config.attention == "xla" else length * (length + 1) / 2) / length


def compiled_flops(program: jax.stages.Lowered | jax.stages.Compiled) -> float:
    """Returns the FLOPs of one call of a compiled program, as XLA's cost analysis counts them; element-wise work included.

    The body of a loop (`lax.scan`, `lax.map`) is counted once whatever its length: compile one unrolled step. Products that XLA hands to a
    library (cuBLAS on GPU) may be missing from the count. Raises ValueError where the backend counts none.
    """
    compiled = program.compile(compiler_options=_NEVER_RUN) if isinstance(program, jax.stages.Lowered) else program
    analysis: Any = compiled.cost_analysis()
    analysis = analysis[0] if isinstance(analysis, list) else analysis
    if not analysis or "flops" not in analysis:
        raise ValueError("this backend's cost analysis counts no FLOPs")
    return float(analysis["flops"])


def trainable_count(tree: Any) -> int:
    """Returns the number of scalars in a tree of arrays or shapes."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def tree_bytes(tree: Any) -> int:
    """Returns the bytes of a tree of arrays or shapes, such as an optimizer's state or what a checkpoint has to hold."""
    return sum(int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(tree))


def _linear_products(site: Linear, is_active: bool, is_trained: bool, rank: int) -> Iterator[Product]:
    """Products of y = x W (+ x A B): dx = dy W^T where something below moves, dW = x^T dy where W itself does; a lookup has neither."""
    name, (inputs, outputs) = site.module, (site.inputs, site.outputs)
    if not site.lookup:
        kinds = [FORWARD] + [ACTIVATION] * is_active + [WEIGHT] * is_trained
        yield from (Product(name, kind, inputs, outputs) for kind in kinds)
    if rank:
        yield from (Product(f"{name} B", kind, rank, outputs) for kind in (FORWARD, ACTIVATION, WEIGHT))
    if rank and not site.lookup:
        yield from (Product(f"{name} A", kind, inputs, rank) for kind in [FORWARD, WEIGHT] + [ACTIVATION] * is_active)


def _attention_products(layer: str, d_model: int, keys: float, active: tuple[bool, bool, bool]) -> Iterator[Product]:
    """Scores q k^T and mixture p v; each operand that leads to something that moves costs one more product of the same size."""
    query, key, value = active
    for name, operands in (("scores", (query, key)), ("values", (query or key, value))):
        yield Product(f"{layer}/attention/{name}", FORWARD, d_model, keys)
        yield from (Product(f"{layer}/attention/{name}", ACTIVATION, d_model, keys) for operand in operands if operand)


def _resolve(config: DecoderShape, moves: Moves) -> tuple[set[str], set[str]]:
    """Paths trained, and paths adapted; at rank 0 none is."""
    paths = sorted(set(_parameters(config)))
    adapted = _matched(moves.adapted, [path for path in paths if path.endswith(("/kernel", "/embedding"))]) if moves.rank else set()
    return _matched(moves.trained, paths), adapted


def _matched(patterns: Sequence[str], paths: Sequence[str]) -> set[str]:
    return {path for pattern in patterns for path in matching(pattern, paths)}


def _parameters(config: DecoderShape) -> Iterator[str]:
    layers = _layers(config)
    norms = ["final_norm", *(f"{layer}/{name}_norm" for layer in layers for name in ("attention", "mlp"))]
    yield from (f"params/{name}/scale" for name in norms)
    if "norm" in config.bias and config.norm == "layer":
        yield from (f"params/{name}/bias" for name in norms)
    for site in (*_embeddings(config), *(site for layer in layers for site in _block(config, layer)), _head(config)):
        yield site.matrix
        if _place(site.module) in config.bias and site.matrix.endswith("/kernel"):
            yield f"params/{site.module}/bias"


def _place(module: str) -> str:
    """Returns which of a config's `bias` places a linear map is."""
    parts = module.split("/")
    return {"query": "qkv", "key": "qkv", "value": "qkv", "out": "out", "head": "head"}.get(parts[-1], parts[-2] if len(parts) > 1 else "")


def _layers(config: DecoderShape) -> list[str]:
    return ["layers"] * config.n_layers if config.scan else [f"layers_{index}" for index in range(config.n_layers)]


def _block(config: DecoderShape, layer: str) -> list[Linear]:
    return [*_projections(config, layer), _out(config, layer), *_into_mlp(config, layer), _down(config, layer)]


def _embeddings(config: DecoderShape) -> list[Linear]:
    names = ["embedding", "position"] if config.positions == "learned" else ["embedding"]
    return [Linear(name, f"params/{name}/embedding", config.vocab_size, config.d_model, lookup=True) for name in names]


def _projections(config: DecoderShape, layer: str) -> list[Linear]:
    heads = config.d_model // config.n_heads * config.n_kv_heads
    sizes = {"query": config.d_model, "key": heads, "value": heads}
    return [Linear(f"{layer}/attention/{n}", f"params/{layer}/attention/{n}/kernel", config.d_model, size) for n, size in sizes.items()]


def _out(config: DecoderShape, layer: str) -> Linear:
    return Linear(f"{layer}/attention/out", f"params/{layer}/attention/out/kernel", config.d_model, config.d_model)


def _into_mlp(config: DecoderShape, layer: str) -> list[Linear]:
    names = ("gate", "up") if config.mlp == "gated" else ("up",)
    return [Linear(f"{layer}/mlp/{n}", f"params/{layer}/mlp/{n}/kernel", config.d_model, config.d_mlp) for n in names]


def _down(config: DecoderShape, layer: str) -> Linear:
    return Linear(f"{layer}/mlp/down", f"params/{layer}/mlp/down/kernel", config.d_mlp, config.d_model)


def _head(config: DecoderShape) -> Linear:
    matrix = "params/embedding/embedding" if config.tied else "params/head/kernel"
    return Linear("head", matrix, config.d_model, config.vocab_size)


def estimated_seconds(flops: float, member_steps: int) -> float:
    """Returns roughly how long training takes on this process's devices, from FLOPs, a fixed overhead per step, and a minute for the rest.

    flops: of all cells and of pretraining; member_steps: steps of all cells.
    """
    rate, overhead = (4e10, 1.5e-3) if jax.default_backend() == "cpu" else (2e14, 1e-4)
    return (flops / rate + member_steps * overhead) / len(jax.devices()) + 60
