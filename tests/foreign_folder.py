"""A tiny model of the Llama family as others save it, tokenizer included: what a base from elsewhere is in tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.tokenized import tokenizer_json

ROWS, WIDTH, LAYERS, HEADS, KV_HEADS, HEAD, HIDDEN = 280, 24, 2, 4, 2, 8, 40


def foreign_folder(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Writes config.json, model.safetensors and tokenizer.json of a random tied Llama and returns the folder; `changes` of its config."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "llama",
        "vocab_size": ROWS,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD,
        "intermediate_size": HIDDEN,
        "max_position_embeddings": 64,
        "tie_word_embeddings": True,
        "rope_theta": 50_000.0,
        "eos_token_id": 267,
    }
    (folder / "config.json").write_text(json.dumps(config | changes))
    tokenizer_json(folder / "tokenizer.json")
    shapes = {"model.embed_tokens.weight": (ROWS, WIDTH), "model.norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        block = {
            "self_attn.q_proj": (HEADS * HEAD, WIDTH),
            "self_attn.k_proj": (KV_HEADS * HEAD, WIDTH),
            "self_attn.v_proj": (KV_HEADS * HEAD, WIDTH),
            "self_attn.o_proj": (WIDTH, HEADS * HEAD),
            "mlp.gate_proj": (HIDDEN, WIDTH),
            "mlp.up_proj": (HIDDEN, WIDTH),
            "mlp.down_proj": (WIDTH, HIDDEN),
            "input_layernorm": (WIDTH,),
            "post_attention_layernorm": (WIDTH,),
        }
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in block.items()}
    rng = np.random.default_rng(seed)
    tensors = {name: (rng.normal(0, 0.2, shape) + (len(shape) == 1)).astype(np.float32) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
