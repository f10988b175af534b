"""What training costs: a ledger of the decoder's matrix products, FLOPs of a compiled program, and bytes of optimizer state.

With N parameters in matrices and a multiply-add counted as 2 FLOPs, full training costs 6N a token and LoRA with P adapter parameters 4N
+ 6P, hence the ratio 2/3 + P/N; attention, which has no weights, costs both three times its forward pass. The ledger is exact where that
is not: nothing is differentiated below the lowest thing that moves.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from research.analysis import matrices
from research.analysis.matrices import DecoderShape, Linear
from research.models.attention import executed_pairs
from research.tree import matching

_NEVER_RUN: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}  # machine code alone: XLA's own passes are not touched by this
FORWARD, ACTIVATION, WEIGHT = "forward", "activation gradient", "weight gradient"


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

    def attention(layer: str, is_active: bool) -> bool:
        query, key, value = linear(matrices.projections(config, layer), is_active)
        query, key = query or moving(f"{layer}/attention/query_norm"), key or moving(f"{layer}/attention/key_norm")
        products.extend(_attention_products(layer, config.n_heads * config.head_dim, attended(config, length), (query, key, value)))
        return any(linear([matrices.out(config, layer)], query or key or value))

    def mlp(layer: str, is_active: bool) -> bool:
        return any(linear([matrices.down(config, layer)], any(linear(matrices.into_mlp(config, layer), is_active))))

    def branch(function: Callable[[str, bool], bool], layer: str, norm: str, is_active: bool) -> bool:
        """Whether what the branch adds leads to something that moves, its norm before or behind it."""
        before = config.norm_place == "pre" and moving(f"{layer}/{norm}")
        behind = config.norm_place == "post" and moving(f"{layer}/{norm}")
        return function(layer, is_active or before) or behind

    is_active = any(linear(matrices.embeddings(config), False))
    for layer in matrices.layers(config):
        attended_to = branch(attention, layer, "attention_norm", is_active) or is_active
        is_active = branch(mlp, layer, "mlp_norm", is_active if config.parallel else attended_to) or attended_to
    linear([matrices.head(config)], is_active or moving("final_norm"))
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


def _attention_products(layer: str, width: int, keys: float, active: tuple[bool, bool, bool]) -> Iterator[Product]:
    """Scores q k^T and mixture p v; each operand that leads to something that moves costs one more product of the same size."""
    query, key, value = active
    for name, operands in (("scores", (query, key)), ("values", (query or key, value))):
        yield Product(f"{layer}/attention/{name}", FORWARD, width, keys)
        yield from (Product(f"{layer}/attention/{name}", ACTIVATION, width, keys) for operand in operands if operand)


def _resolve(config: DecoderShape, moves: Moves) -> tuple[set[str], set[str]]:
    """Paths trained, and paths adapted; at rank 0 none is."""
    paths = sorted(set(matrices.parameters(config)))
    adapted = _matched(moves.adapted, [path for path in paths if path.endswith(("/kernel", "/embedding"))]) if moves.rank else set()
    return _matched(moves.trained, paths), adapted


def _matched(patterns: Sequence[str], paths: Sequence[str]) -> set[str]:
    return {path for pattern in patterns for path in matching(pattern, paths)}


def estimated_seconds(flops: float, member_steps: int) -> float:
    """Returns roughly how long training takes on this process's devices, from FLOPs, a fixed overhead per step, and a minute for the rest.

    flops: of all cells and of pretraining; member_steps: steps of all cells.
    """
    rate, overhead = (4e10, 1.5e-3) if jax.default_backend() == "cpu" else (2e14, 1e-4)
    return (flops / rate + member_steps * overhead) / len(jax.devices()) + 60
