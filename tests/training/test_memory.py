import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from research.losses import WHOLE, cross_entropy
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.training.memory import (
    CPU_BYTES,
    Footprint,
    budget,
    decoder_activations,
    footprint,
    members_side_by_side,
    nbytes,
    peak_bytes,
    width,
)
from tests.models.families import FAMILIES

CONFIG = DecoderConfig(d_model=16, d_mlp=32, n_layers=2, n_heads=2, max_length=8)


@pytest.mark.parametrize("multiple", [1, 2])
def test_a_width_that_divides_both_batches_wastes_nothing(multiple: int) -> None:
    size = width([72, 54], 100, multiple)
    assert 72 % size == 0 and 54 % size == 0 and size == 18


@pytest.mark.parametrize("counts", [[72, 54], [1], [5, 7, 13], [100]])
@pytest.mark.parametrize(("most", "multiple"), [(64, 8), (10, 4), (30, 1), (2, 8)])
def test_a_width_is_a_multiple_of_the_devices_and_at_most_what_fits(counts: list[int], most: int, multiple: int) -> None:
    size = width(counts, most, multiple)
    assert size % multiple == 0 and size >= multiple
    assert size <= max(most, multiple)


def test_one_batch_that_fits_is_one_population() -> None:
    assert width([12], 64, 4) == 12 and width([13], 64, 4) == 16


def test_a_cpu_trains_one_member_at_a_time() -> None:
    assert members_side_by_side(Footprint(0, 1, 1), jax.devices("cpu")[0], 64) == 1
    assert budget(jax.devices("cpu")[0], 8) == CPU_BYTES


def test_a_footprint_counts_what_is_there() -> None:
    bases = {"w": jax.ShapeDtypeStruct((3, 4, 5), jnp.float32)}
    state = {"a": jax.ShapeDtypeStruct((7,), jnp.bfloat16), "step": jax.ShapeDtypeStruct((), jnp.int32)}
    assert nbytes(bases) == 240 and nbytes(state) == 18
    one, two = (footprint(decoder_activations(CONFIG, batch_size), bases, state) for batch_size in (4, 8))
    assert (one.shared, one.member) == (240, 18)
    assert two.in_step - one.in_step == one.in_step - 160
    assert one.total(5, 2) == 240 + 5 * 18 + 2 * one.in_step


def test_activations_halve_in_bfloat16_and_keep_no_scores_under_cudnn() -> None:
    wide = dataclasses.replace(CONFIG, d_model=64, n_layers=4, n_heads=8, max_length=512, vocab_size=1)
    half = dataclasses.replace(wide, dtype="bfloat16", attention="cudnn")
    scores = 2 * wide.n_heads * wide.max_length * 4
    per_token = [decoder_activations(shape, 1) / wide.max_length / wide.n_layers for shape in (wide, half)]
    assert per_token[1] == pytest.approx((per_token[0] - scores) / 2, rel=0.05)


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_the_peak_is_in_bytes_on_every_system(platform: str, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("resource.getrusage", lambda who: SimpleNamespace(ru_maxrss=5000))
    assert peak_bytes() == 5000 * unit


def test_the_peak_is_at_least_what_this_process_holds() -> None:
    held = jnp.ones(2**22).block_until_ready()
    assert peak_bytes() > held.nbytes


@pytest.mark.parametrize("family", ["neox", "qwen3", "olmo2"])
def test_what_each_switch_holds_is_counted(family: str) -> None:
    sizes = {"vocab_size": 100, "d_model": 64, "n_layers": 3, "n_heads": 4, "n_kv_heads": 4, "d_mlp": 96, "max_length": 64, "scan": True}
    switches = {name: value for name, value in FAMILIES[family].items() if name not in ("rope_scaling", "rotary_dim", "n_positions")}
    config = DecoderConfig(**{**sizes, **switches, "head_dim": 32 if family == "qwen3" else 0})
    model, rows = decoder(config), {name: jax.ShapeDtypeStruct((2, 64), jnp.int32) for name in ("inputs", "targets", "weights")}
    variables = jax.eval_shape(model.init, jax.random.key(0), rows)
    gradient = jax.jit(jax.grad(lambda v, rows: cross_entropy(model, v, rows)[0]))
    held = gradient.lower(variables, rows).compile().memory_analysis().temp_size_in_bytes
    print(f"{family}: estimated / compiled {decoder_activations(config, 2) / held:.2f}")
    assert 0.85 < decoder_activations(config, 2) / held < 1.2


def test_logits_in_chunks_are_there_a_chunk_at_a_time() -> None:
    narrow, wide, wider = (decoder_activations(dataclasses.replace(CONFIG, vocab_size=size), 8) for size in (1, 10**6, 10**7))
    assert wide == wider == narrow + 3 * WHOLE - 3 * 8 * 8 * 4
