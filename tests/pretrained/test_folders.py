"""Folders as people have them: links, shards, spare buffers, types of 16 bits; and what is wrong with one is said in one line."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from research import tree
from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.pretrained import families
from research.pretrained.sources import find
from tests.pretrained.make_goldens import GOLDENS
from tests.pretrained.written_gguf import tensors_of

Edit = Callable[[dict[str, np.ndarray]], object]


def loaded(word: str, *, scan: bool = True, param_dtype: str = "float32") -> dict[str, np.ndarray]:
    found = find(word)
    return tree.flatten(found.load(DecoderConfig(**found.model, max_length=4, scan=scan, param_dtype=param_dtype)))


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for path, leaf in one.items():
        np.testing.assert_array_equal(leaf, other[path], err_msg=path)


def rewritten(case: str, folder: Path, edit: Edit = lambda tensors: None, **config: object) -> str:
    """Writes a case in one file after `edit` of its tensors and changes of its config; returns its word."""
    folder.mkdir()
    tensors = tensors_of(GOLDENS / case)
    edit(tensors)
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, folder / "model.safetensors")
    changed = json.loads((GOLDENS / case / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(changed))
    return f"hf:{folder}"


def complaint(word: str) -> str:
    with pytest.raises(UsageError) as caught:
        found = find(word)
        found.load(DecoderConfig(**found.model, max_length=4))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_layers_apart_are_slices_of_the_stack() -> None:
    stacked, apart = (loaded(f"hf:{GOLDENS / 'gpt2'}", scan=scan) for scan in (True, False))
    assert len(apart) == 3 * 16 + 4 and len(stacked) == 16 + 4
    for path, leaf in apart.items():
        layer = path.partition("/")[0].removeprefix("layers_")
        expected = stacked[path.replace(f"layers_{layer}", "layers")][int(layer)] if layer.isdigit() else stacked[path]
        np.testing.assert_array_equal(leaf, expected, err_msg=path)


def test_one_file_is_the_same_model_as_shards_and_has_the_same_identity(tmp_path: Path) -> None:
    word = rewritten("gpt_neox", tmp_path / "whole")
    shutil.copy(GOLDENS / "gpt_neox" / "config.json", tmp_path / "whole")
    assert_same(loaded(word), loaded(f"hf:{GOLDENS / 'gpt_neox'}"))
    assert find(word).identity == find(f"hf:{GOLDENS / 'gpt_neox'}").identity


def test_weights_of_16_bits_become_those_of_float32_exactly(tmp_path: Path) -> None:
    theirs = tensors_of(GOLDENS / "llama_tied")["model.layers.2.mlp.up_proj.weight"]
    assert theirs.dtype.name == "bfloat16"
    leaf = loaded(f"hf:{GOLDENS / 'llama_tied'}")["layers/mlp/up/kernel"]
    assert leaf.dtype == np.float32
    np.testing.assert_array_equal(leaf[2], theirs.astype(np.float32).T)
    assert loaded(f"hf:{GOLDENS / 'llama_tied'}", param_dtype="bfloat16")["layers/mlp/up/kernel"].dtype == theirs.dtype


def test_bytes_are_known_from_headers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr("research.pretrained.tensors._numbers", lambda tensor, *rest: read.append(tensor.path.name))
    found = find(f"hf:{GOLDENS / 'llama_tied'}")
    assert found.nbytes == 4 * sum(array.size for array in tensors_of(GOLDENS / "llama_tied").values())
    assert not read


def test_a_snapshot_of_links_a_tilde_and_a_trailing_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for number, file in enumerate((GOLDENS / "gpt2").iterdir()):
        shutil.copy(file, tmp_path / f"blob{number}")
        os.symlink(f"../../blob{number}", snapshot / file.name)
    expected = loaded(f"hf:{GOLDENS / 'gpt2'}")
    monkeypatch.setenv("HOME", str(tmp_path))
    for word in (f"hf:{snapshot}", f"hf:{snapshot}/", "hf:~/snapshots/0123", "hf:~/snapshots/0123/"):
        assert_same(loaded(word), expected)
    monkeypatch.chdir(tmp_path)
    assert_same(loaded("hf:snapshots/0123"), expected)  # a path that exists wins over a name of the hub


def test_first_files_of_gpt2_and_both_names_of_neox_heads(tmp_path: Path) -> None:
    def without_prefix(tensors: dict[str, np.ndarray]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        tensors["h.0.attn.bias"] = np.ones((1, 1, 8, 8), np.float32)  # the mask, which those files carry

    def renamed(tensors: dict[str, np.ndarray]) -> None:
        name = "lm_head.weight" if "embed_out.weight" in tensors else "embed_out.weight"
        tensors[name] = tensors.pop("embed_out.weight" if name == "lm_head.weight" else "lm_head.weight")

    assert_same(loaded(rewritten("gpt2", tmp_path / "gpt2", without_prefix)), loaded(f"hf:{GOLDENS / 'gpt2'}"))
    assert_same(loaded(rewritten("gpt_neox", tmp_path / "neox", renamed)), loaded(f"hf:{GOLDENS / 'gpt_neox'}"))


def test_heads_that_are_tied(tmp_path: Path) -> None:
    def with_head(tensors: dict[str, np.ndarray], factor: float = 1.0) -> None:
        tensors["lm_head.weight"] = (tensors["model.embed_tokens.weight"] * factor).astype(tensors["model.embed_tokens.weight"].dtype)

    expected = loaded(f"hf:{GOLDENS / 'llama_tied'}")
    assert_same(loaded(rewritten("llama_tied", tmp_path / "equal", with_head)), expected)
    assert "tie_word_embeddings = true" in complaint(rewritten("llama_tied", tmp_path / "other", lambda tensors: with_head(tensors, 2.0)))
    assert "lacks lm_head.weight" in complaint(rewritten("llama_tied", tmp_path / "lost", tie_word_embeddings=False))
    untied = loaded(rewritten("llama_tied", tmp_path / "untied", with_head, tie_word_embeddings=False))
    np.testing.assert_array_equal(untied["head/kernel"], expected["embedding/embedding"].T)


def test_tensors_that_are_missing_left_over_or_misshapen(tmp_path: Path) -> None:
    norm = "model.layers.1.input_layernorm.weight"
    assert f"lacks {norm}" in complaint(rewritten("qwen2", tmp_path / "lost", lambda tensors: tensors.pop(norm)))
    extra = rewritten("qwen2", tmp_path / "more", lambda tensors: tensors.update({"model.layers.3.input_layernorm.weight": tensors[norm]}))
    assert "has no place for: model.layers.3.input_layernorm.weight" in complaint(extra)
    turned = rewritten("qwen2", tmp_path / "turned", lambda tensors: tensors.update({norm: tensors[norm][None]}))
    assert f"{norm} is (1, 48) and should be (48,)" in complaint(turned)
    down = "model.layers.0.mlp.down_proj.weight"
    assert f"{down} is (72, 48) and should be (48, 72)" in complaint(
        rewritten("qwen2", tmp_path / "square", lambda tensors: tensors.update({down: tensors[down].T}))
    )
    integers = rewritten("qwen2", tmp_path / "whole", lambda tensors: tensors.update({norm: tensors[norm].astype(np.int8)}))
    assert f"{norm} holds I8 numbers" in complaint(integers)
    more = rewritten("qwen2", tmp_path / "deeper", num_hidden_layers=4, layer_types=None)
    assert "lacks model.layers.3" in complaint(more) and "and 9 more" in complaint(more)


def test_a_tensor_under_two_names(tmp_path: Path) -> None:
    def doubled(tensors: dict[str, np.ndarray]) -> None:
        head = tensors.get("embed_out.weight", tensors.get("lm_head.weight"))
        tensors["embed_out.weight"] = tensors["lm_head.weight"] = head

    assert "holds embed_out.weight twice" in complaint(rewritten("gpt_neox", tmp_path / "doubled", doubled))


def test_shards_and_an_index_that_disagree(tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    shutil.copytree(GOLDENS / "olmo2", folder)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    names, shards = index["weight_map"], sorted(set(index["weight_map"].values()))
    astray = "model.embed_tokens.weight"
    moved = {**names, astray: next(shard for shard in shards if shard != names[astray])}

    def with_index(changed: dict[str, str]) -> str:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": changed}))
        return complaint(f"hf:{folder}")

    assert f"and the shards disagree on {astray}" in with_index(moved)
    assert "disagree on model.extra.weight" in with_index({**names, "model.extra.weight": shards[0]})
    assert f"disagree on {max(names)}" in with_index({name: shard for name, shard in names.items() if name != max(names)})
    assert "names the shard absent.safetensors, which is not in" in with_index({**names, max(names): "absent.safetensors"})
    assert "which is not in" in with_index({**names, max(names): "../olmo2/absent.safetensors"})
    again = load_file(folder / shards[0])
    save_file(load_file(folder / shards[1]) | {min(again): again[min(again)]}, folder / shards[1])
    assert f"{min(again)} is in {shards[0]} and in {shards[1]}" in with_index(names)


def test_folders_that_hold_no_model(tmp_path: Path) -> None:
    assert complaint(f"hf:{tmp_path}/absent/") == f"hf:{tmp_path}/absent/: no such folder"
    assert complaint("hf:./absent") == "hf:./absent: no such folder"
    assert "has no config.json" in complaint(f"hf:{tmp_path}")
    (tmp_path / "adapter_config.json").write_text("{}")
    assert f"holds an adapter alone, no model; name its base here, and the adapter as peft:{tmp_path}" in complaint(f"hf:{tmp_path}")
    shutil.copy(GOLDENS / "gpt2" / "config.json", tmp_path)
    assert "holds no model.safetensors" in complaint(f"hf:{tmp_path}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    assert "pickles, which are never opened here; convert them to safetensors" in complaint(f"hf:{tmp_path}")
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"")
    assert "neither model.safetensors nor model.safetensors.index.json" in complaint(f"hf:{tmp_path}")
    assert "is a file; name the folder" in complaint(f"hf:{tmp_path / 'config.json'}")
    (tmp_path / "config.json").write_text("{'single quotes'}")
    assert "config.json is not JSON" in complaint(f"hf:{tmp_path}")


def test_a_file_cut_short_and_one_that_names_a_tensor_twice(tmp_path: Path) -> None:
    word = rewritten("gpt2", tmp_path / "cut")
    file = tmp_path / "cut" / "model.safetensors"
    whole = file.read_bytes()
    for size in (len(whole) - 1, 200, 3, 0):
        file.write_bytes(whole[:size])
        assert "model.safetensors is not a safetensors file, or is cut short" in complaint(word)
    entry = '"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
    header = f"{{{entry}, {entry}}}".encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert "twice" in complaint(word) or "not a safetensors file" in complaint(word)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "weights"])
def test_the_identity_follows_config_tokenizer_and_weights(name: str, tmp_path: Path) -> None:
    word = rewritten("gpt2", tmp_path / "one")
    before = find(word).identity
    assert find(word).identity == before
    if name == "weights":
        file = tmp_path / "one" / "model.safetensors"
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
    else:
        file = tmp_path / "one" / name
        file.write_text((file.read_text() if file.exists() else "{}") + "\n")
    assert find(word).identity != before


def test_every_family_has_a_name_for_its_head() -> None:
    assert families.HEADS.keys() == families.FAMILIES.keys() == set(families.ARCHITECTURES.values())
