"""A config.json becomes the shape keys of our decoder, and goes back; a value that is not implemented is refused by name."""

from collections.abc import Mapping
from typing import Any

from research.errors import UsageError
from research.pretrained import rotary
from research.pretrained.config_values import flag, number, whole

Model = dict[str, Any]
_LLAMA = {
    "norm": "rms",
    "norm_place": "pre",
    "qk_norm": "none",
    "positions": "rope",
    "mlp": "gated",
    "activation": "silu",
    "parallel": False,
}
SWITCHES: dict[str, Model] = {  # what a family is, whatever its config says
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA | {"qk_norm": "head"},
    "olmo2": _LLAMA | {"qk_norm": "projection", "norm_place": "post"},
    "gpt2": _LLAMA | {"norm": "layer", "positions": "learned", "mlp": "plain", "activation": "gelu"},
    "gpt_neox": _LLAMA | {"norm": "layer", "mlp": "plain", "activation": "gelu_exact", "parallel": True},
}
_OF_LLAMA: dict[str, Any] = {  # what a missing key means: files leave out what equals the class's default
    "vocab_size": 32_000,
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "rope_theta": 10_000.0,
    "rope_scaling": None,
    "rope_parameters": None,
    "attention_bias": False,
    "mlp_bias": False,
}
_OF_QWEN = _OF_LLAMA | {"vocab_size": 151_936, "intermediate_size": 22_016, "num_key_value_heads": 32, "max_position_embeddings": 32_768}
_OF_NEOX: dict[str, Any] = {
    "vocab_size": 50_432,
    "hidden_size": 6144,
    "num_hidden_layers": 44,
    "num_attention_heads": 64,
    "intermediate_size": 24_576,
}
_OF_NEOX |= {"hidden_act": "gelu", "layer_norm_eps": 1e-5, "use_parallel_residual": True, "attention_bias": True}
_OF_NEOX |= {"rotary_pct": 0.25, "rotary_emb_base": 10_000.0, "max_position_embeddings": 2048, "tie_word_embeddings": False}
DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": _OF_LLAMA,
    "qwen2": {name: value for name, value in _OF_QWEN.items() if name not in ("attention_bias", "mlp_bias")},
    "qwen3": {name: value for name, value in _OF_QWEN.items() if name != "mlp_bias"} | {"head_dim": 128},
    "olmo2": {name: value for name, value in _OF_LLAMA.items() if name != "mlp_bias"} | {"vocab_size": 50_304, "rms_norm_eps": 1e-5},
    "gpt2": {
        "vocab_size": 50_257,
        "n_positions": 1024,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_inner": None,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    },
    "gpt_neox": _OF_NEOX | {"rope_scaling": None, "rope_parameters": None},
}
_ONLY: dict[str, tuple[Any, ...]] = {  # keys that would change the model, and the values of them that are implemented
    "scale_attn_weights": (True, None),
    "pretraining_tp": (0, 1, None),
    "is_encoder_decoder": (False, None),
    "pruned_heads": ({}, None),
}
_WITHOUT_MEANING = frozenset(  # for the function that a model computes
    "architectures transformers_version torch_dtype dtype initializer_range use_cache bos_token_id eos_token_id pad_token_id sep_token_id "
    "cls_token_id mask_token_id decoder_start_token_id unk_token_id return_dict return_dict_in_generate output_attentions "
    "output_hidden_states output_scores id2label label2id attention_dropout hidden_dropout classifier_dropout resid_pdrop embd_pdrop "
    "attn_pdrop summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout task_specific_params n_ctx "
    "max_window_layers is_decoder reorder_and_upcast_attn gradient_checkpointing is_llama_config transformers.js_config model_type "
    "chunk_size_feed_forward problem_type do_sample temperature top_k top_p typical_p min_length max_length max_new_tokens num_beams "
    "num_beam_groups num_return_sequences repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size "
    "diversity_penalty early_stopping bad_words_ids use_bfloat16 torchscript tie_encoder_decoder cross_attention_hidden_size "
    "unsloth_fixed unsloth_version seq_length tokenizer_class finetuning_task prefix name_or_path language attn_implementation".split()
)
_CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM", "olmo2": "Olmo2ForCausalLM"}
_CLASSES |= {"gpt2": "GPT2LMHeadModel", "gpt_neox": "GPTNeoXForCausalLM"}
_ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu_exact",
    "gelu_python": "gelu_exact",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu",
}


def from_hf(config: Mapping[str, Any]) -> tuple[str, Model, int]:
    """Returns (family, model, context) of a config.json; UsageError, naming the key, for every value that is not implemented."""
    family = str(config.get("model_type"))
    if family not in DEFAULTS:
        raise UsageError(f"config.json: model_type = {family!r} is not implemented; known: {', '.join(DEFAULTS)}")
    _refuse_unknown(family, config)
    c = DEFAULTS[family] | dict(config)
    if family == "gpt2":
        names = {
            "hidden_size": "n_embd",
            "num_hidden_layers": "n_layer",
            "num_attention_heads": "n_head",
            "hidden_act": "activation_function",
        }
        c |= {ours: c[theirs] for ours, theirs in names.items()}
        c |= {"max_position_embeddings": c["n_positions"], "intermediate_size": c["n_inner"] or 4 * whole(c, "n_embd")}
    if not isinstance(c["hidden_act"], str) or c["hidden_act"] not in _ACTIVATIONS:
        raise UsageError(f"config.json: the activation {c['hidden_act']!r} is not implemented; known: {', '.join(_ACTIVATIONS)}")
    heads, width, context = (whole(c, key) for key in ("num_attention_heads", "hidden_size", "max_position_embeddings"))
    head_dim = whole(c, "head_dim") if c.get("head_dim") else width // heads
    eps = next(key for key in ("rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps") if key in DEFAULTS[family])
    model = SWITCHES[family] | {
        "vocab_size": whole(c, "vocab_size"),
        "d_model": width,
        "n_layers": whole(c, "num_hidden_layers"),
        "n_heads": heads,
        "n_kv_heads": whole(c, "num_key_value_heads") if c.get("num_key_value_heads") else heads,
        "head_dim": head_dim,
        "d_mlp": whole(c, "intermediate_size"),
        "norm_eps": number(c, eps),
        "activation": _ACTIVATIONS[c["hidden_act"]],
        "bias": _biases(family, c),
        "tied": flag(c, "tie_word_embeddings"),
        "n_positions": context if family == "gpt2" else 0,
        "rope_theta": 10_000.0,
        "rope_scaling": (),
        "rotary_dim": head_dim,
    }
    if family == "gpt_neox":
        model["parallel"] = flag(c, "use_parallel_residual")
    return family, model if family == "gpt2" else model | rotary.keys(family, c, head_dim), context


def _refuse_unknown(family: str, config: Mapping[str, Any]) -> None:
    for key, value in config.items():
        if key == "sliding_window" and family in ("qwen2", "qwen3"):
            continue  # it counts only under use_sliding_window, which is refused
        if key in DEFAULTS[family] or key in _WITHOUT_MEANING or key.startswith("_"):
            continue
        if key == "layer_types" and isinstance(value, list) and all(kind == "full_attention" for kind in value):
            continue
        if value not in _ONLY[key] if key in _ONLY else value:
            raise UsageError(f"config.json: {key} = {value!r} is not implemented for {family} models")


def _biases(family: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    attention = ("qkv", "out") if flag(config, "attention_bias") else ()
    if family == "qwen2":
        return ("qkv",)
    if family == "gpt2":
        return ("qkv", "out", "mlp", "norm")
    if family == "gpt_neox":
        return (*attention, "mlp", "norm")
    return (*attention, "mlp") if flag(config, "mlp_bias") else attention


def to_hf(family: str, model: Mapping[str, Any], context: int) -> dict[str, Any]:
    """Returns the config.json of a model, in the keys that transformers 4 and 5 both read; the inverse of `from_hf`.

    UsageError for a model whose switches are not of this family, which no config.json of it could say.
    """
    sizes = (model["d_model"], model["n_layers"], model["n_heads"], model["d_mlp"], context)
    if family == "gpt2":
        found = dict(zip(("n_embd", "n_layer", "n_head", "n_inner", "n_positions"), sizes, strict=True))
        found |= {"activation_function": _named(model["activation"]), "layer_norm_epsilon": model["norm_eps"]}
    else:
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
        found = dict(zip(names, sizes, strict=True)) | {"hidden_act": _named(model["activation"])} | rotary.to_hf(family, model)
    if family == "gpt_neox":
        found |= {"layer_norm_eps": model["norm_eps"], "use_parallel_residual": model["parallel"], "attention_bias": "qkv" in model["bias"]}
    elif family != "gpt2":
        biases = {"attention_bias": "qkv" in model["bias"], "mlp_bias": "mlp" in model["bias"]}
        found |= {name: value for name, value in biases.items() if name in DEFAULTS[family]}
        found |= {"num_key_value_heads": model["n_kv_heads"], "head_dim": model["head_dim"], "rms_norm_eps": model["norm_eps"]}
    found = {"architectures": [_CLASSES[family]], "model_type": family, "vocab_size": model["vocab_size"], **found}
    found["tie_word_embeddings"] = model["tied"]
    _, again, _ = from_hf(found)
    if differing := [key for key, value in again.items() if key != "rope_scaling" and model[key] != value]:
        words = ", ".join(f"{key} = {model[key]!r}" for key in differing)
        raise UsageError(f"no config.json of a {family} model says {words}; it cannot leave as one")
    return found


def _named(activation: str) -> str:
    return {"silu": "silu", "gelu_exact": "gelu", "gelu": "gelu_new"}[activation]
