"""What does not fit is refused from headers alone, and what fits is loaded in little more than its own bytes."""

import json
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from research.pretrained import configs, families
from research.pretrained.checkpoint import places
from research.pretrained.sources import find
from tests.commands import ran
from tests.test_foreign_bases import CONFIG, words
from tests.tokenized import tokenizer_json

LOADED = """
import sys
from pathlib import Path
from research.models.configuration import DecoderConfig
from research.pretrained.sources import find
def now(key):
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
checkpoint = find(sys.argv[1])
for dtype in ("bfloat16", "float32"):
    before = now("VmRSS")
    checkpoint.load(DecoderConfig(**checkpoint.model, max_length=4, scan=True, param_dtype=dtype))
    print(now("VmHWM") - before)  # of this process alone; ru_maxrss begins with what its parent had
"""
LLAMA_3_8B = {
    "model_type": "llama",
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14_336,
    "max_position_embeddings": 8192,
    "rope_theta": 500_000.0,
    "eos_token_id": 267,
}


def headers(folder: Path, config: dict[str, object]) -> str:
    """Writes a folder whose weights, in bfloat16, are a header before a hole as large as they would be; returns its word."""
    family, model, _ = configs.from_hf(config)
    header, end = {}, 0
    for name, ((row, _), *_) in places(families.rows(family, model), model).items():
        shape = row.layout.tensor_shape(row.shape)
        first, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [first, end]}
    written = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(written).to_bytes(8, "little") + written)
        file.truncate(file.tell() + end)
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer_json(folder / "tokenizer.json")
    return f"hf:{folder}"


def test_8_billion_weights_are_refused_on_24_gb_before_one_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("research.training.memory.machine_bytes", lambda: 24 * 10**9)
    monkeypatch.setattr("research.pretrained.tensors._numbers", lambda *_: pytest.fail("a weight was read"))
    folder = tmp_path / "llama"
    folder.mkdir()
    word = headers(folder, LLAMA_3_8B)
    assert find(word).nbytes == 4 * 8_030_261_248
    assert ran(CONFIG, *words(base=word), f"--workdir={tmp_path / 'new'}") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "needs about" in errors[0] and "there are 24" in errors[0]
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone says the peak of one process")
def test_shards_of_16_bits_are_loaded_in_the_bytes_of_the_model_and_a_few_of_its_tensors(tmp_path: Path, root: Path) -> None:
    config = {**LLAMA_3_8B, "vocab_size": 512, "hidden_size": 256, "num_hidden_layers": 16, "num_attention_heads": 4, "head_dim": 64}
    config |= {"num_key_value_heads": 4, "intermediate_size": 1024}
    family, model, _ = configs.from_hf(config)
    index: dict[str, str] = {}
    for number in range(2):
        own = list(places(families.rows(family, model), model).items())[number::2]
        tensors = {name: np.ones(row.layout.tensor_shape(row.shape), ml_dtypes.bfloat16) for name, ((row, _), *_) in own}
        save_file(tensors, tmp_path / f"{number}.safetensors")
        index |= dict.fromkeys(tensors, f"{number}.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = subprocess.run([sys.executable, "-c", LOADED, f"hf:{tmp_path}"], cwd=root, capture_output=True, text=True, check=True)
    in_bfloat16, in_float32 = map(int, done.stdout.split())
    whole, tensor, slack = find(f"hf:{tmp_path}").nbytes, 4 * 256 * 1024, 4 * 2**20
    assert whole > 60 * 2**20
    reused = 2**20  # of what the process held already
    assert whole // 2 - reused <= in_bfloat16 <= whole // 2 + 3 * tensor + slack, in_bfloat16
    assert whole - reused <= in_float32 <= whole + 3 * tensor + slack, in_float32
