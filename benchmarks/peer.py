"""The peer: GPT-2 of Hugging Face transformers, adapted by PEFT, trained by PyTorch (eager, SDPA, fused AdamW; TF32 on a GPU)."""

import time
from collections.abc import Callable
from typing import Any

import torch
import workload
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel
from workload import Shape

TARGETS = ["c_attn", "c_proj", "c_fc"]
DEVICES = {"cpu": "cpu", "gpu": "cuda"}


class Trainee:
    """A model with its optimizer; `step` trains it on one batch of windows."""

    def __init__(self, shape: Shape, kind: str, rate: float, seed: int, device: str) -> None:
        torch.manual_seed(seed)
        self.device = device
        self.model: nn.Module = GPT2LMHeadModel(_config(shape))
        self.base = sum(p.numel() for p in self.model.parameters())
        if kind == "lora":
            spec = LoraConfig(
                r=workload.RANK, lora_alpha=workload.ALPHA, lora_dropout=0.0, target_modules=TARGETS, fan_in_fan_out=True, bias="none"
            )
            self.model = get_peft_model(self.model, spec)
        self.model.to(device).train()
        self.moves = [p for p in self.model.parameters() if p.requires_grad]
        constants = {"betas": (workload.B1, workload.B2), "eps": workload.EPS, "weight_decay": 0.0}
        self.optimizer = torch.optim.AdamW(self.moves, lr=rate, fused=True, **constants)

    def step(self, windows: Tensor) -> Tensor:
        """Returns the loss of one step, in nats."""
        windows = windows.to(self.device, non_blocking=True)
        logits = self.model(input_ids=windows[:, :-1], use_cache=False).logits
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.moves, workload.CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()


def _config(shape: Shape) -> GPT2Config:
    return GPT2Config(
        vocab_size=workload.VOCABULARY,
        n_positions=shape.length,
        n_embd=shape.d_model,
        n_layer=shape.layers,
        n_head=shape.heads,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        layer_norm_epsilon=workload.NORM_EPS,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="sdpa",
    )


def _windows(shape: Shape, seed: int, steps: int) -> Tensor:
    return torch.from_numpy(workload.windows(shape, seed, steps)).long()


def _peak(device: str) -> dict[str, float]:
    return {"peak_mb": torch.cuda.max_memory_allocated() / 2**20} if device == "cuda" else {}


def _steps(job: dict[str, Any], shape: Shape, begin: Callable[[], None]) -> dict[str, Any]:
    """Milliseconds a step, one value a chunk of steps."""
    start = time.perf_counter()
    device = DEVICES[job["platform"]]
    trainee = Trainee(shape, job["kind"], workload.RATES[job["kind"]], 0, device)
    batches = _windows(shape, 0, job["steps"])
    losses = [float(trainee.step(batches[0]))]
    setup = time.perf_counter() - start
    begin()
    samples = []
    for _ in range(job["chunks"]):
        start = time.perf_counter()
        chunk = [trainee.step(rows) for rows in batches]
        losses += torch.stack(chunk).tolist()
        samples.append((time.perf_counter() - start) / job["steps"] * 1e3)
    counts = {"base": trainee.base, "moves": sum(p.numel() for p in trainee.moves)}
    return {"setup": setup, "ms": samples, **counts, **_peak(device), "losses": [losses[0], losses[-1]]}


def _sweep(job: dict[str, Any], shape: Shape, begin: Callable[[], None]) -> dict[str, Any]:
    """Seconds of training of all cells, one after the other; making their models is left out."""
    start, device = time.perf_counter(), DEVICES[job["platform"]]
    float(Trainee(shape, job["kind"], 0.0, 0, device).step(_windows(shape, 0, 1)[0]))
    setup, seconds, last = time.perf_counter() - start, 0.0, []
    begin()
    for rate, seed in job["cells"]:
        start = time.perf_counter()
        trainee, batches = Trainee(shape, job["kind"], rate, seed, device), _windows(shape, seed, job["steps"])
        setup += time.perf_counter() - start
        start = time.perf_counter()
        losses = torch.stack([trainee.step(rows) for rows in batches])
        last.append(float(losses[-1]))
        seconds += time.perf_counter() - start
    return {"setup": setup, "seconds": seconds, **_peak(device), "losses": last}


def run(job: dict[str, Any], begin: Callable[[], None]) -> dict[str, Any]:
    """Returns the answer to one job."""
    torch.set_num_threads(job["threads"])
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU, as JAX by default; nothing else changes on a CPU
    work = {"loop": _steps, "cells": _sweep}[job["mode"]]
    return work(job, Shape(**job["shape"]), begin)
