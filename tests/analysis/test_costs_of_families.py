"""The ledger of each family of decoders: equal to the products of the decoder's own differentiated program, counted one by one."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

from research import tree
from research.adapters.adapt import adapt
from research.adapters.lora import LoRA
from research.analysis import matrices
from research.analysis.costs import Moves, compiled_flops, flops_per_token
from research.losses import cross_entropy
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from tests.models.families import FAMILIES

LENGTH = 8
TINY = {"vocab_size": 20, "d_model": 16, "n_layers": 2, "n_heads": 2, "n_kv_heads": 2, "d_mlp": 24, "max_length": LENGTH + 1}
ROWS = {"inputs": np.zeros((1, LENGTH), np.int32), "targets": np.zeros((1, LENGTH), np.int32), "weights": np.ones((1, LENGTH), np.float32)}
EVERYTHING, BLOCKS = Moves(), Moves((), ("(attention|mlp)/.*kernel",), 3)
QUERY_NORM, KEY, MLP_NORM = Moves(("query_norm",)), Moves(("layers_1/attention/key",)), Moves(("layers_1/mlp_norm",))
SOME = [EVERYTHING, BLOCKS, KEY, MLP_NORM, Moves(("attention_norm",), ("layers_1/.*out",), 3)]


def config_of(family: str, **sizes: Any) -> DecoderConfig:
    return DecoderConfig(**{**TINY, **sizes, **FAMILIES[family]})


@functools.cache
def gradient(config: DecoderConfig, moves: Moves) -> tuple[Any, tuple[Any, Any]]:
    """Returns the gradient of the loss in what moves, and the shapes of its arguments."""
    plain = decoder(config)
    model = adapt(plain, LoRA(moves.adapted, moves.rank)) if moves.adapted else plain
    rows = {name: jnp.zeros((1, config.max_length - 1), row.dtype) for name, row in ROWS.items()}
    shapes = jax.eval_shape(model.init, jax.random.key(0), rows)
    parts = tree.partition(shapes, (*moves.trained, *(("^adapter/",) if moves.adapted else ())))
    return lambda a, b: jax.grad(lambda a: cross_entropy(model, tree.combine(a, b), rows)[0])(a), parts


def products(jaxpr: Jaxpr) -> int:
    """Returns the FLOPs of all matrix products of a traced program."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (summed, _), _ = equation.params["dimension_numbers"]
            total += 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(equation.invars[0].aval.shape[i] for i in summed)
        inner = jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: isinstance(x, (Jaxpr, ClosedJaxpr)))
        total += sum(products(getattr(x, "jaxpr", x)) for x in inner if isinstance(x, (Jaxpr, ClosedJaxpr)))
    return total


def counted(config: DecoderConfig, moves: Moves) -> float:
    function, shapes = gradient(config, moves)
    return products(jax.make_jaxpr(function)(*shapes).jaxpr) / LENGTH


@pytest.mark.parametrize("family", FAMILIES)
def test_the_ledger_is_what_the_decoders_own_program_multiplies(family: str) -> None:
    config = config_of(family)
    for moves in [*SOME, *([QUERY_NORM] if config.qk_norm != "none" else [])]:
        assert flops_per_token(config, LENGTH, moves) == counted(config, moves), moves


@pytest.mark.parametrize(
    ("family", "flip", "moves"),
    [
        ("neox", {"parallel": False}, KEY),
        ("qwen3", {"head_dim": 16}, EVERYTHING),
        ("qwen3", {"n_kv_heads": 2}, EVERYTHING),
        ("olmo2", {"norm_place": "pre"}, MLP_NORM),
        ("llama", {"mlp": "plain"}, BLOCKS),
    ],
)
def test_a_ledger_of_another_switch_counts_otherwise(family: str, flip: dict[str, Any], moves: Moves) -> None:
    config = config_of(family)
    assert flops_per_token(dataclasses.replace(config, **flip), LENGTH, moves) != counted(config, moves)


@pytest.mark.parametrize("family", ["neox", "olmo2"])
def test_the_compiler_counts_little_beside_the_ledger(family: str) -> None:
    config = config_of(family, d_model=384, d_mlp=1024, n_layers=1, max_length=65)
    function, shapes = gradient(config, BLOCKS)
    ratio = compiled_flops(jax.jit(function).lower(*shapes)) / 64 / flops_per_token(config, 64, BLOCKS)
    print(f"{family}: compiled / formula {ratio:.4f}")
    assert 1.0 <= ratio < 1.04


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scan", [False, True])
def test_every_parameter_has_its_path_and_every_matrix_its_size(family: str, scan: bool) -> None:
    config = dataclasses.replace(config_of(family), scan=scan)
    leaves = tree.flatten(jax.eval_shape(decoder(config).init, jax.random.key(0), ROWS))
    assert set(matrices.parameters(config)) == set(leaves)
    for site in matrices.block(config, matrices.layers(config)[0]):
        assert leaves[site.matrix].size == site.inputs * site.outputs * (config.n_layers if scan else 1), site
    for site in (*matrices.embeddings(config), matrices.head(config)):
        assert leaves[site.matrix].size == site.inputs * site.outputs, site
