"""Tiny models of every family give transformers' logits, and stop giving them as soon as one switch or one layout is wrong."""

import dataclasses
import functools
import re
from typing import Any

import jax
import numpy as np
import pytest

from research import tree
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.pretrained.checkpoint import Checkpoint
from research.pretrained.sources import find
from tests.pretrained.make_goldens import CASES, GOLDENS

TOLERANCE = 1e-5  # of the logits' standard deviation, in float32; the rounding of these models is up to 6e-6
BIASES = ("qkv", "out", "mlp", "norm")
Switches = dict[str, Any]
MUTATIONS: list[tuple[str, Switches]] = [  # each switch once
    ("llama", {"norm_eps": 1e-6}),
    ("llama", {"rope_theta": 10_000.0}),
    ("llama", {"rope_scaling": ()}),
    ("llama", {"activation": "gelu"}),
    ("qwen2", {"bias": ()}),
    ("qwen3", {"qk_norm": "none"}),
    ("olmo2", {"norm_place": "pre"}),
    ("gpt2", {"activation": "gelu_exact"}),
    ("gpt2", {"norm": "rms"}),
    ("gpt2", {"bias": ("qkv", "mlp", "norm")}),
    ("gpt2", {"bias": ("qkv", "out", "norm")}),
    ("gpt2", {"bias": ("qkv", "out", "mlp")}),
    ("gpt_neox", {"activation": "gelu"}),
    ("gpt_neox", {"rotary_dim": 16}),
    ("gpt_neox", {"parallel": False}),
]
AGAIN: list[tuple[str, Switches]] = [  # in the families where they stand otherwise
    ("llama", {"norm": "layer"}),
    ("llama", {"rope_scaling": (8.0,) * 8}),
    ("llama", {"bias": ("qkv",)}),
    ("llama_tied", {"rope_scaling": ()}),
    ("llama_tied", {"bias": ()}),
    ("qwen3", {"rotary_dim": 8}),
    ("qwen3", {"norm_eps": 1e-5}),
    ("olmo2", {"qk_norm": "none"}),
    ("olmo2", {"parallel": True}),
    ("gpt2", {"norm_eps": 1e-6}),
    ("gpt2", {"positions": "rope"}),
    ("gpt2", {"bias": ("out", "mlp", "norm")}),
    ("gpt_neox", {"rope_theta": 20_000.0}),
    ("gpt_neox_in_turn", {"parallel": True}),
]
MISLAID: list[tuple[str, str, Switches]] = [  # leaves, and how else they might be thought to lie where shapes allow it
    ("llama", "attention/query/", {"storage": "permuted"}),
    ("llama", "attention/key/", {"storage": "permuted"}),
    ("gpt2", "attention/query/", {"part": 1}),
    ("gpt2", "attention/out/kernel", {"storage": "plain"}),
    ("gpt_neox", "attention/(query|key|value)/", {"storage": "fused"}),
]


def checkpoint(case: str) -> Checkpoint:
    return find(f"hf:{GOLDENS / case}")


@functools.cache
def compiled(config: DecoderConfig) -> Any:
    return jax.jit(decoder(config).apply)


def distance(found: Checkpoint, case: str, *, scan: bool = True, **switches: Any) -> float:
    """Returns the largest difference from transformers' logits, in their standard deviations."""
    with np.load(GOLDENS / case / "expected.npz") as file:
        tokens, expected = file["tokens"].astype(np.int32), file["logits"]
    config = DecoderConfig(**found.model, max_length=tokens.shape[1], scan=scan)
    params = found.load(config)
    with jax.default_matmul_precision("highest"):
        logits = compiled(dataclasses.replace(config, **switches))({"params": params}, {"inputs": tokens}).logits
    return float(np.abs(np.asarray(logits) - expected).max() / expected.std())


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers(case: str) -> None:
    assert distance(checkpoint(case), case) <= TOLERANCE


def test_layers_one_by_one_give_the_same() -> None:
    assert distance(checkpoint("gpt_neox"), "gpt_neox", scan=False) <= TOLERANCE


@pytest.mark.parametrize(("case", "switches"), MUTATIONS, ids=str)
def test_every_switch_matters(case: str, switches: Switches) -> None:
    assert distance(checkpoint(case), case, **switches) > 50 * TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(("case", "switches"), AGAIN, ids=str)
def test_every_switch_matters_in_every_family(case: str, switches: Switches) -> None:
    assert distance(checkpoint(case), case, **switches) > 50 * TOLERANCE


@pytest.mark.parametrize(("case", "leaves", "wrong"), MISLAID, ids=str)
def test_every_layout_matters(case: str, leaves: str, wrong: Switches) -> None:
    found = checkpoint(case)
    rows = [row._replace(layout=row.layout._replace(**wrong)) if re.search(leaves, row.ours) else row for row in found.rows]
    assert rows != found.rows
    assert distance(dataclasses.replace(found, rows=rows), case) > 0.1


@pytest.mark.parametrize("case", CASES)
def test_the_rows_are_the_leaves_of_the_decoder(case: str) -> None:
    found = checkpoint(case)
    config = DecoderConfig(**found.model, max_length=4, scan=True)
    variables = jax.eval_shape(decoder(config).init, jax.random.key(0), {"inputs": np.zeros((1, 4), np.int32)})
    expected = {path: leaf.shape for path, leaf in tree.flatten(variables["params"]).items()}
    assert {path: leaf.shape for path, leaf in tree.flatten(found.load(config)).items()} == expected
