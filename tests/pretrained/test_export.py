"""Adapters and models as folders: out and in again is exact, and what lies there is what peft and transformers define."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from research import tree
from research.adapters.merging import delta
from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.pretrained import export, peft
from research.pretrained.factors import of_variables
from research.pretrained.sources import find
from tests.pretrained.exported import FAMILIES, GOLDENS, LEFT_OUT, ORIGIN, by_definition, drawn, golden


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Asserts that two adapters have the same factors, number by number."""
    left, right = of_variables(one), of_variables(other)
    assert left.keys() == right.keys()
    for place, factor in left.items():
        assert factor.scale == right[place].scale, place
        np.testing.assert_array_equal(factor.a, right[place].a)
        np.testing.assert_array_equal(factor.b, right[place].b)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scan", [True, False])
def test_an_adapter_comes_back_as_it_went_out(family: str, scan: bool, tmp_path: Path) -> None:
    base = golden(family)
    variables = drawn(base, scan, rslora=scan, ends=True)
    export.write_adapter(tmp_path / "a", base, variables, scan, ORIGIN)
    back = peft.load(tmp_path / "a", base, scan)
    assert_same(variables, back)
    a = back["adapter"]["layers" if scan else "layers_0"]["mlp"]["up"]["A"]
    assert a.shape == ((3, base.model["d_model"], 3) if scan else (base.model["d_model"], 2))  # padding beyond the largest rank is gone


@pytest.mark.parametrize("family", FAMILIES)
def test_what_lies_in_the_folder_is_the_update_by_the_definition_of_peft(family: str, tmp_path: Path) -> None:
    base, rslora = golden(family), family in ("qwen2", "gpt_neox")
    variables, config = drawn(base, rslora=rslora, ends=True), DecoderConfig(**base.model, max_length=base.context, scan=True)
    export.write_adapter(tmp_path / "a", base, variables, rslora, ORIGIN)
    tensors = by_definition(tmp_path / "a", GOLDENS / family, conv=base.family == "gpt2")
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "config.json").write_bytes((GOLDENS / family / "config.json").read_bytes())
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, tmp_path / "whole" / "model.safetensors")
    theirs = tree.flatten(find(f"hf:{tmp_path / 'whole'}").load(config))
    params = base.load(config)
    ours = {path.removeprefix("params/"): np.asarray(update) for path, update in delta({"params": params, **variables}).items()}
    for path, leaf in tree.flatten(params).items():
        np.testing.assert_allclose(theirs[path] - leaf, ours.get(path, 0.0), atol=1e-5, err_msg=path)
    for path, leaf in tree.flatten(peft.merged(tmp_path / "a", base, config)).items():
        np.testing.assert_allclose(leaf, theirs[path], atol=1e-5, err_msg=path)


def test_targets_ranks_and_alphas_are_written_out(tmp_path: Path) -> None:
    base = golden("gpt2")
    export.write_adapter(tmp_path / "a", base, drawn(base), False, {"base": "gpt2", "revision": "main"})
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["fan_in_fan_out"] is True
    assert (config["base_model_name_or_path"], config["revision"], config["task_type"]) == ("gpt2", "main", "CAUSAL_LM")
    assert "transformer.h.1.mlp.c_proj" in config["target_modules"]
    assert not any("h.2.mlp" in name for name in config["target_modules"])  # of rank 0
    fused, part = "transformer.h.1.attn.c_attn", "transformer.h.0.mlp.c_fc"
    ranks, alphas = ({"r": config["r"], **config["rank_pattern"]}, {"r": config["lora_alpha"], **config["alpha_pattern"]})
    assert (ranks.get(fused, ranks["r"]), alphas.get(fused, alphas["r"])) == (6, 14)  # of queries and values, 3 and 7 each
    assert (ranks.get(part, ranks["r"]), alphas.get(part, alphas["r"])) == (2, 7)
    tensors = load_file(tmp_path / "a" / "adapter_model.safetensors")
    assert tensors[f"base_model.model.{fused}.lora_A.weight"].shape == (6, 40)
    b = tensors[f"base_model.model.{fused}.lora_B.weight"]
    assert b.shape == (120, 6)
    assert not b[40:80].any()  # of keys, which are not adapted
    assert not b[:40, 3:].any()
    with safe_open(tmp_path / "a" / "adapter_model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_unequal_scales_of_a_fused_matrix_go_into_its_rows(tmp_path: Path) -> None:
    base = golden("gpt_neox")
    variables = drawn(base)
    leaves = tree.flatten(variables)
    leaves["constants/layers/attention/value/scale"] = leaves["constants/layers/attention/value/scale"] * np.float32(3)
    variables = tree.unflatten(leaves)
    export.write_adapter(tmp_path / "a", base, variables, False, ORIGIN)
    params = base.load(DecoderConfig(**base.model, max_length=16, scan=True))
    before, after = (delta({"params": params, **each}) for each in (variables, peft.load(tmp_path / "a", base)))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-4), before, after)
    assert before["params/layers/attention/value/kernel"].any()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_comes_back_as_it_went_out(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "SHARD_BYTES", 60_000)
    base = golden(family)
    config = DecoderConfig(**base.model, max_length=base.context, scan=True)
    leaves = tree.flatten(base.load(config))
    moved = {"layers/mlp/up/kernel", "final_norm/scale", "layers/attention/value/kernel"}
    trained = {path: leaf + 1 if path in moved else leaf for path, leaf in leaves.items()}
    export.write_model(tmp_path / "m", base, {"params": tree.unflatten({path: trained[path] for path in moved})}, ORIGIN)
    assert len(list((tmp_path / "m").glob("*.safetensors"))) > 1
    back = find(f"hf:{tmp_path / 'm'}")
    assert (back.family, back.model, back.context, back.special) == (base.family, base.model, base.context, base.special)
    for path, leaf in tree.flatten(back.load(config)).items():
        np.testing.assert_array_equal(leaf, trained[path], err_msg=path)


def test_norms_trained_beside_an_adapter_make_a_merged_model(tmp_path: Path) -> None:
    base = golden("qwen2")
    config = DecoderConfig(**base.model, max_length=base.context, scan=False)
    leaves, adapter = tree.flatten(base.load(config)), drawn(base, scan=False)
    beside = {path: leaf + 1 for path, leaf in leaves.items() if "norm" in path}
    export.write_model(tmp_path / "m", base, {"params": tree.unflatten(beside), **adapter}, ORIGIN)
    update = delta({"params": tree.unflatten(leaves), **adapter})
    for path, leaf in tree.flatten(find(f"hf:{tmp_path / 'm'}").load(config)).items():
        np.testing.assert_allclose(leaf, beside.get(path, leaves[path]) + update.get(f"params/{path}", 0.0), atol=1e-5, err_msg=path)


def test_nothing_is_overwritten_and_nothing_is_left_behind(tmp_path: Path) -> None:
    base = golden("llama")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").write_text("kept")
    with pytest.raises(UsageError, match="is not empty"):
        export.write_adapter(tmp_path / "a", base, drawn(base), False, ORIGIN)
    none = {name: jax.tree.map(lambda x: np.zeros_like(x), part) for name, part in drawn(base).items()}
    with pytest.raises(UsageError, match="every rank of this adapter is 0"):
        export.write_adapter(tmp_path / "b", base, none, False, ORIGIN)
    with pytest.raises(RuntimeError), export.new_folder(tmp_path / "c"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "mine").read_text() == "kept"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("use_dora", True, "use_dora = True"),
        ("bias", "lora_only", "bias = 'lora_only'"),
        ("modules_to_save", ["lm_head"], "modules_to_save"),
        ("peft_type", "IA3", "peft_type = 'IA3'"),
        ("init_lora_weights", "pissa", "init_lora_weights = 'pissa'"),
        ("a_key_of_tomorrow", {"a": 1}, "a_key_of_tomorrow"),
        ("r", 4, "the rank 4, its tensors have"),
        ("alpha_pattern", {"*": 4}, "an alpha that cannot be read"),
    ],
)
def test_what_is_not_a_plain_lora_is_refused_by_name(key: str, value: Any, words: str, tmp_path: Path) -> None:
    base = golden("llama")
    export.write_adapter(tmp_path / "a", base, drawn(base), False, ORIGIN)
    path = tmp_path / "a" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(UsageError, match=words):
        peft.load(tmp_path / "a", base)


def test_tensors_that_do_not_belong_are_refused_by_name(tmp_path: Path) -> None:
    base = golden("llama")
    export.write_adapter(tmp_path / "a", base, drawn(base, ends=True), False, ORIGIN)
    for other, words in (
        ("qwen2", r"o_proj has A \(3, 96\) and B \(48, 3\)"),
        ("gpt_neox", "no linear map of"),
        ("llama_tied", "table and head"),
    ):
        with pytest.raises(UsageError, match=words):
            peft.load(tmp_path / "a", golden(other))
    weights, before = tmp_path / "a" / "adapter_model.safetensors", peft.identity(tmp_path / "a")
    tensors, name = load_file(weights), "base_model.model.model.layers.0.self_attn.q_proj"
    magnitude = {f"{name}.lora_magnitude_vector": np.zeros(96, np.float32)}
    for changed, words in (
        (tensors | magnitude, "lora_magnitude_vector"),
        ({k: v for k, v in tensors.items() if k != f"{name}.lora_B.weight"}, "only one of A and B"),
    ):
        save_file(changed, weights)
        assert peft.identity(tmp_path / "a") != before
        with pytest.raises(UsageError, match=words):
            peft.load(tmp_path / "a", base)
    weights.rename(tmp_path / "a" / "adapter_model.bin")
    with pytest.raises(UsageError, match="pickle"):
        peft.load(tmp_path / "a", base)
    (tmp_path / "a" / "adapter_config.json").unlink()
    for folder, words in ((tmp_path / "a", "no adapter_config.json"), (tmp_path / "none", "no such folder")):
        with pytest.raises(UsageError, match=words):
            peft.load(folder, base)


def test_a_fused_matrix_of_another_trainer_gives_each_part_its_own_rows(tmp_path: Path) -> None:
    base = golden("gpt_neox")
    export.write_adapter(tmp_path / "a", base, drawn(base), False, ORIGIN)
    weights = tmp_path / "a" / "adapter_model.safetensors"
    rng, tensors = np.random.default_rng(0), load_file(weights)
    save_file({name: rng.normal(size=value.shape).astype(np.float32) for name, value in tensors.items()}, weights)
    found = peft.load(tmp_path / "a", base)["adapter"]["layers"]["attention"]
    assert found.keys() == {"query", "key", "value", "out"}  # keys as well, of which our own adapter had nothing
    np.testing.assert_array_equal(found["query"]["A"], found["key"]["A"])
    assert LEFT_OUT.endswith("key")
    tensors = by_definition(tmp_path / "a", GOLDENS / "gpt_neox", conv=False)
    config = DecoderConfig(**base.model, max_length=16, scan=True)
    merged = tree.flatten(peft.merged(tmp_path / "a", base, config))
    third = tensors["gpt_neox.layers.1.attention.query_key_value.weight"].reshape(3, 3, 16, 48)[:, 1]  # (heads, q|k|v, head, width)
    np.testing.assert_allclose(merged["layers/attention/key/kernel"][1].transpose(1, 2, 0), third, atol=1e-4)
