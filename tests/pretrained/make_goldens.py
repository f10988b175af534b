"""Makes the tiny models and logits in goldens/ with transformers: python -m tests.pretrained.make_goldens (benchmarks/requirements.txt).

Every parameter is random, norm scales and biases too: at Hugging Face's own initialization biases are 0, scales 1 and weights so small that
a decoder without any rotary embedding passes at 1e-2. Shapes are not square, so that a wrong transpose cannot fit: heads share keys, heads
times head size is not the width, and a sequence outruns the context that scaled positions were made for.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

GOLDENS = Path(__file__).parent / "goldens"
_SMALL = {"vocab_size": 97, "hidden_size": 48, "intermediate_size": 72, "num_hidden_layers": 3, "max_position_embeddings": 256}
_GROUPED = {**_SMALL, "num_attention_heads": 6, "num_key_value_heads": 2}
_LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
_GPT2 = {"vocab_size": 97, "n_embd": 40, "n_layer": 3, "n_head": 5, "n_inner": 72, "n_positions": 128}
_NEOX = {**_SMALL, "num_attention_heads": 3}
CASES: dict[str, dict[str, Any]] = {  # the class, its config, the type of the file, the length of the sequence
    "llama": {
        "of": "Llama",
        "config": {**_GROUPED, "head_dim": 16, "rms_norm_eps": 1e-5, "attention_bias": True}
        | {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5000.0, **_LLAMA3}},
        "length": 160,
    },
    "llama_tied": {
        "of": "Llama",
        "config": {**_GROUPED, "head_dim": 10, "tie_word_embeddings": True, "mlp_bias": True}
        | {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}},
        "dtype": "bfloat16",
    },
    "qwen2": {
        "of": "Qwen2",
        "config": {**_GROUPED, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
    },
    "qwen3": {
        "of": "Qwen3",
        "config": {**_GROUPED, "head_dim": 16, "tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}},
    },
    "olmo2": {
        "of": "Olmo2",
        "config": {**_GROUPED, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
    },
    "gpt2": {"of": "GPT2", "config": _GPT2},
    "gpt_neox": {"of": "GPTNeoX", "config": _NEOX, "dtype": "float16"},
    "gpt_neox_in_turn": {
        "of": "GPTNeoX",
        "config": {**_NEOX, "use_parallel_residual": False, "attention_bias": False}
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 2000.0, "partial_rotary_factor": 0.5}},
    },
}


def build(case: str) -> Any:
    """Returns the PyTorch model of a case in float32, its parameters drawn anew and rounded to the type of the file."""
    import torch
    import transformers

    made = CASES[case]
    config = getattr(transformers, f"{made['of']}Config")(**made["config"], bos_token_id=1, eos_token_id=2, pad_token_id=None)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    torch.manual_seed(sorted(CASES).index(case))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape)
            is_scale = parameter.ndim == 1 and name.endswith("weight")
            drawn = 1 + 0.3 * drawn if is_scale else (0.3 if parameter.ndim == 1 else 0.15) * drawn
            parameter.copy_(drawn.to(getattr(torch, made.get("dtype", "float32"))).float())
    return model


def tokens(case: str) -> np.ndarray:
    """Returns two sequences of a case's tokens, (2, length)."""
    rng = np.random.default_rng(7)
    return rng.integers(0, CASES[case]["config"]["vocab_size"], (2, CASES[case].get("length", 96)))


def save(case: str, folder: Path) -> None:
    """Writes a case as transformers does, in shards, with its tokens and logits beside it."""
    import torch

    model, inputs = build(case), tokens(case)
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():  # in float64, or half of what is compared were the rounding of PyTorch
        logits = model.double()(torch.tensor(inputs)).logits.numpy().astype(np.float32)
    model.to(getattr(torch, CASES[case].get("dtype", "float32"))).save_pretrained(folder, max_shard_size="90KB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    np.savez_compressed(folder / "expected.npz", tokens=inputs.astype(np.uint8), logits=logits)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or CASES:
        save(wanted, GOLDENS / wanted)
        print(wanted, sum(file.stat().st_size for file in (GOLDENS / wanted).iterdir()), "bytes")
