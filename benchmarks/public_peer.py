"""The peer's side of a public model's shape: Llama of Hugging Face transformers, adapted by PEFT, on PyTorch (eager, SDPA, fused AdamW)."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import workload
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

SHAPE = workload.SMOLLM2
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def _model() -> nn.Module:
    config = LlamaConfig(
        vocab_size=SHAPE["vocab_size"],
        hidden_size=SHAPE["d_model"],
        intermediate_size=SHAPE["d_mlp"],
        num_hidden_layers=SHAPE["n_layers"],
        num_attention_heads=SHAPE["n_heads"],
        num_key_value_heads=SHAPE["n_kv_heads"],
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_theta=1e5,
        tie_word_embeddings=True,
        attn_implementation="sdpa",
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


def run(job: dict[str, Any], begin: Callable[[], None]) -> dict[str, Any]:
    """Returns the answer to one job: seconds of a forward pass or of a step, by the clock and of processors, one value a chunk."""
    torch.set_num_threads(job["threads"])
    start, kind = time.perf_counter(), job["kind"]
    model = _model()
    base, moves = sum(p.numel() for p in model.parameters()), []
    shape = (1, 257) if kind == "forward" else (2, 129)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, SHAPE["vocab_size"], shape))
    if kind == "lora":
        model = get_peft_model(model, LoraConfig(r=workload.RANK, lora_alpha=workload.ALPHA, target_modules=TARGETS, bias="none"))
    if kind != "forward":
        moves = [p for p in model.train().parameters() if p.requires_grad]
        constants = {"betas": (workload.B1, workload.B2), "eps": workload.EPS, "weight_decay": 0.0}
        optimizer = torch.optim.AdamW(moves, lr=workload.RATES[kind], fused=True, **constants)

    def call() -> float:
        if kind == "forward":
            with torch.no_grad():
                model.eval()(input_ids=tokens[:, :-1], use_cache=False)
            return 0.0
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(moves, workload.CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    losses, steps = [call()], 1 if kind == "forward" else job["steps"]
    setup = time.perf_counter() - start
    begin()
    seconds, processor = [], []
    for _ in range(job["chunks"] * (4 if kind == "forward" else 1)):
        start, busy = time.perf_counter(), time.process_time()
        losses += [call() for _ in range(steps)]
        seconds.append((time.perf_counter() - start) / steps)
        processor.append((time.process_time() - busy) / steps)
    return {
        "setup": setup,
        "seconds_each": seconds,
        "processor_each": processor,
        "base": base,
        "moves": sum(p.numel() for p in moves),
        "losses": [losses[0], losses[-1]],
    }
