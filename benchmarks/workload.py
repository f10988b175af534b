"""What both sides compute: the shapes, the adapter, the optimizer's constants and the text."""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

RANK, ALPHA = 8, 16.0
B1, B2, EPS, CLIP = 0.9, 0.99, 1e-8, 1.0
NORM_EPS = 1e-6
ROPE_THETA = 10_000.0
VOCABULARY = 256
RATES = {"lora": 3e-3, "full": 1e-3}
HEAD = 32
SMOLLM2 = {"vocab_size": 49_152, "d_model": 576, "n_layers": 30, "n_heads": 9, "n_kv_heads": 3, "d_mlp": 1536}


@dataclasses.dataclass(frozen=True)
class Shape:
    """A GPT-2-shaped decoder (head tied, no dropout, MLP of 4 d, float32) and its batch; heads have 32 dimensions."""

    d_model: int
    layers: int
    length: int
    batch: int = 8

    @property
    def heads(self) -> int:
        """Returns the number of attention heads."""
        return self.d_model // HEAD

    @property
    def title(self) -> str:
        """Returns the shape in words."""
        return f"d {self.d_model}, {self.layers} layers, T {self.length}, batch {self.batch}"

    def base_parameters(self) -> int:
        """Returns the parameters of the base that both sides must have."""
        d = self.d_model
        return (VOCABULARY + self.length + 2) * d + self.layers * (12 * d * d + 13 * d)

    def adapter_parameters(self, fused: bool) -> int:
        """Returns the parameters of the adapters; `fused` as in PEFT, where query, key and value share one A."""
        return self.layers * RANK * self.d_model * (16 if fused else 18)


def text() -> np.ndarray:
    """Returns bytes that every Python has: the source of one module of its standard library."""
    return np.frombuffer(Path(str(argparse.__file__)).read_bytes(), np.uint8)


def windows(shape: Shape, seed: int, steps: int) -> np.ndarray:
    """Returns the windows (step, batch, length + 1) uint8 that a run with this seed sees."""
    stream = text()
    starts = np.random.default_rng(seed).integers(0, len(stream) - shape.length, (steps, shape.batch, 1))
    return stream[starts + np.arange(shape.length + 1)]


def paths(names: Iterable[str]) -> list[str]:
    """Returns the paths of a model's weights, in order, among the names of a file's arrays."""
    return sorted(name.removeprefix("params/") for name in names if name.startswith("params/"))


def timed(call: Callable[[], Any], times: int = 1) -> tuple[dict[str, list[float]], Any]:
    """Returns the `seconds` and the `processor` seconds of each call, and what the last one returned."""
    clock, processor = [], []
    for _ in range(times):
        start, busy = time.perf_counter(), time.process_time()
        found = call()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    return {"seconds": clock, "processor": processor}, found
