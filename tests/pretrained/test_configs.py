"""A config.json says the whole shape, missing keys included; what is not implemented is refused by its name."""

import json
from typing import Any

import pytest

from research.errors import UsageError
from research.models.configuration import DecoderConfig
from research.pretrained import configs, rotary
from tests.pretrained.make_goldens import CASES, GOLDENS

TINY = {"model_type": "llama", "hidden_size": 48, "num_attention_heads": 6, "num_hidden_layers": 2}
SCALED = {"rope_type": "llama3", "factor": 8.0, **rotary.LLAMA3}


def written(case: str) -> dict[str, Any]:
    return json.loads((GOLDENS / case / "config.json").read_text())


def in_the_keys_of_4(config: dict[str, Any]) -> dict[str, Any]:
    """The same config as transformers 4 wrote it."""
    old = {key: value for key, value in config.items() if key not in ("rope_parameters", "dtype")} | {"torch_dtype": "float32"}
    if rope := dict(config.get("rope_parameters", {})):
        neox = config["model_type"] == "gpt_neox"
        old["rotary_emb_base" if neox else "rope_theta"] = rope.pop("rope_theta")
        if neox:
            old["rotary_pct"] = rope.pop("partial_rotary_factor")
        old["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    return old


@pytest.mark.parametrize("case", CASES)
def test_keys_of_transformers_4_and_5_say_the_same(case: str) -> None:
    assert configs.from_hf(in_the_keys_of_4(written(case))) == configs.from_hf(written(case))


@pytest.mark.parametrize("case", CASES)
def test_a_missing_key_is_the_default_of_the_class(case: str) -> None:
    _, bare, context = configs.from_hf({"model_type": written(case)["model_type"]})
    published = {
        "llama": (32_000, 4096, 32, 32, 128, 11_008, 1e-6, False, 2048),
        "qwen2": (151_936, 4096, 32, 32, 128, 22_016, 1e-6, False, 32_768),
        "qwen3": (151_936, 4096, 32, 32, 128, 22_016, 1e-6, False, 32_768),
        "olmo2": (50_304, 4096, 32, 32, 128, 11_008, 1e-5, False, 2048),
        "gpt2": (50_257, 768, 12, 12, 64, 3072, 1e-5, True, 1024),
        "gpt_neox": (50_432, 6144, 64, 64, 96, 24_576, 1e-5, False, 2048),
    }
    keys = ("vocab_size", "d_model", "n_heads", "n_kv_heads", "head_dim", "d_mlp", "norm_eps", "tied")
    assert (*(bare[key] for key in keys), context) == published[written(case)["model_type"]]
    DecoderConfig(**bare, max_length=4)


@pytest.mark.parametrize("case", [case for case in CASES if case != "llama"])
def test_a_config_goes_out_as_it_came_in(case: str) -> None:
    family, model, context = configs.from_hf(written(case))
    assert configs.from_hf(configs.to_hf(family, model, context)) == (family, model, context)


def test_the_scaling_of_llama_3_goes_out_by_its_published_constants() -> None:
    scaled = {"rope_type": "llama3", "factor": 32.0, **rotary.LLAMA3}
    family, model, context = configs.from_hf({**TINY, "head_dim": 64, "rope_theta": 500_000.0, "rope_scaling": scaled})
    assert configs.to_hf(family, model, context)["rope_scaling"] == scaled
    other = configs.from_hf(written("llama"))  # made for 64 positions: a GGUF of it would not say so
    with pytest.raises(UsageError, match="neither linear nor Llama 3's"):
        configs.to_hf(*other)


def test_what_no_config_of_the_family_says_does_not_leave() -> None:
    family, model, context = configs.from_hf(TINY)
    with pytest.raises(UsageError, match="no config.json of a llama model says mlp = 'plain'"):
        configs.to_hf(family, {**model, "mlp": "plain"}, context)


def test_llama3_scaling_keeps_the_fast_and_divides_the_slow() -> None:
    rope = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    divisors = rotary.scaling("llama3", rope, 500_000.0, 128)
    assert divisors[:28] == (1.0,) * 28 and divisors[-20:] == (8.0,) * 20
    assert tuple(sorted(divisors)) == divisors
    assert sum(1.0 < divisor < 8.0 for divisor in divisors) == 6  # log(4) / log(theta ** (1 / 64)) = 6.8 frequencies wide


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model_type": "mamba"}, "model_type = 'mamba'"),
    ({"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window = True"),
    ({**TINY, "sliding_window": 4096}, "sliding_window = 4096"),
    ({**TINY, "layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
    ({**TINY, "quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantization_config = {'quant_method': 'gptq'"),
    ({**TINY, "auto_map": {"AutoModelForCausalLM": "modeling_mine.Mine"}}, "auto_map"),
    ({**TINY, "num_experts": 8}, "num_experts = 8"),
    ({**TINY, "pretraining_tp": 2}, "pretraining_tp = 2"),
    ({**TINY, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "yarn"),
    ({**TINY, "rope_scaling": {"type": "dynamic", "factor": 4.0}}, "dynamic"),
    ({**TINY, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "needs low_freq_factor"),
    ({**TINY, "rope_parameters": {"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
    ({**TINY, "rope_scaling": {"rope_type": "linear", "factor": 2.0}, "rope_parameters": {"rope_type": "default"}}, "differ"),
    ({**TINY, "hidden_act": "relu"}, "'relu'"),
    ({**TINY, "hidden_size": "48"}, "hidden_size = '48'"),
    ({**TINY, "logit_scale": 0.0625}, "logit_scale = 0.0625"),
    ({"model_type": "gpt2", "scale_attn_weights": False}, "scale_attn_weights = False"),
    ({"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
    ({"model_type": "gpt2", "add_cross_attention": True}, "add_cross_attention"),
    ({**TINY, "position_embedding_type": "alibi"}, "position_embedding_type = 'alibi'"),
    ({**TINY, "qk_norm": "l2"}, "qk_norm = 'l2'"),
    ({**TINY, "hidden_activation": "gelu"}, "hidden_activation = 'gelu'"),
    ({"model_type": "gpt2", "hidden_act": "relu"}, "hidden_act = 'relu'"),
    ({**TINY, "hidden_act": ["silu"]}, "activation ['silu']"),
    ({**TINY, "layer_types": [{"kind": "full_attention"}]}, "layer_types = [{'kind'"),
    ({**TINY, "rope_scaling": "yarn"}, "rope_scaling = 'yarn'"),
    ({**TINY, "rope_theta": None}, "rope_theta = None"),
    ({**TINY, "rope_parameters": {"rope_type": "default", "rope_theta": None}}, "rope_parameters.rope_theta = None"),
    ({**TINY, "rms_norm_eps": None}, "rms_norm_eps = None"),
    ({**TINY, "rms_norm_eps": float("nan")}, "rms_norm_eps = nan"),
    ({**TINY, "num_hidden_layers": True}, "num_hidden_layers = True"),
    ({**TINY, "tie_word_embeddings": "false"}, "tie_word_embeddings = 'false'"),
    ({**TINY, "rope_scaling": {"rope_type": "linear", "factor": 0}}, "rope_scaling.factor = 0"),
    ({**TINY, "rope_scaling": SCALED | {"high_freq_factor": 1.0}}, "must be below high_freq_factor"),
    ({**TINY, "rope_scaling": SCALED | {"original_max_position_embeddings": 0}}, "original_max_position_embeddings = 0"),
    ({"model_type": "gpt_neox", "rotary_pct": 1.5}, "144 of 96 numbers of a head are turned"),
    ({"model_type": "gpt_neox", "rotary_pct": 0.001}, "0 of 96 numbers of a head are turned"),
]


@pytest.mark.parametrize(("config", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_is_not_implemented_is_refused_by_name(config: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        configs.from_hf(config)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_keys_without_meaning_pass() -> None:
    real = {  # of SmolLM2-135M, Qwen2.5-0.5B and gpt2
        "smollm2": TINY | {"rope_interleaved": False, "is_llama_config": True, "transformers.js_config": {"kv_cache_dtype": {}}},
        "qwen": {"model_type": "qwen2", "sliding_window": 32_768, "max_window_layers": 21, "use_sliding_window": False, "use_mrope": False},
        "named": TINY | {"tokenizer_class": "LlamaTokenizerFast", "finetuning_task": "qa", "layer_types": None, "pruned_heads": {}},
        "gpt2": {"model_type": "gpt2", "n_ctx": 1024, "task_specific_params": {"text-generation": {"do_sample": True}}},
    }
    assert [configs.from_hf(config)[0] for config in real.values()] == ["llama", "qwen2", "llama", "gpt2"]
