"""Running sides in processes of their own, and what is printed of it: medians with their range, as Markdown tables."""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
PEER = ("torch", "transformers", "peft")
NAMED = {"curvlinops": "curvlinops-for-pytorch"}  # modules whose package has another name
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "matfree", "scipy", *PEER, "curvlinops", "pyhessian")
BUSY = 0.5
Job = dict[str, Any]
Answer = dict[str, Any]


def options(words: str, peer: Sequence[str] = PEER, more: Mapping[str, str] | None = None) -> argparse.Namespace:
    """Returns the flags, `more` of them by name with their help; exits with one line when the peer is asked for and not installed."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--out", type=Path, help="write everything measured to this JSON file")
    parser.add_argument("--quick", action="store_true", help="the smallest shape, few steps, once: shows that it runs, measures nothing")
    parser.add_argument("--ours", action="store_true", help="our side alone")
    parser.add_argument("--gpu", action="store_true", help="both sides on the first NVIDIA GPU, float32 by TF32, other shapes")
    parser.add_argument("--repeats", type=int, default=3, help="how often each side runs, in turn (default 3)")
    for name, does in (more or {}).items():
        parser.add_argument(name, action="store_true", help=does)
    parsed = parser.parse_args()
    if not parsed.ours and any(importlib.util.find_spec(name) is None for name in peer):
        sys.exit("The peer is not installed: pip install -r benchmarks/requirements.txt, or give --ours for our side alone.")
    if parsed.gpu and shutil.which("nvidia-smi") is None:
        sys.exit("--gpu: no NVIDIA GPU is here (nvidia-smi is not found); leave --gpu out to measure on the CPU.")
    return parsed


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line] if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def machine(gpu: bool) -> dict[str, Any]:
    """Returns the processor, the cores, the load before the measurement, and the versions; with `gpu` the card as well."""
    found = {name: importlib.metadata.version(NAMED.get(name, name)) for name in PACKAGES if importlib.util.find_spec(name)}
    load = round(os.getloadavg()[0], 2)
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    card = {"gpu": subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()} if gpu else {}
    return {**card, "cpu": _processor(), "cores": cores(), "load": load, "python": platform.python_version(), "versions": found}


def describe(found: Mapping[str, Any]) -> str:
    """Returns the machine in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    busy = " (TOO BUSY: these numbers do not count)" if found["load"] > BUSY * found["cores"] else ""
    card = f"{found['gpu']}; " if "gpu" in found else ""
    return f"{card}{found['cpu']}, {found['cores']} cores, load {found['load']} at the start{busy}; Python {found['python']}, {versions}"


def together(jobs: Sequence[Job]) -> Answer:
    """Returns the answer of jobs that run at the same time, once all are ready: the longest time, the sum of their memory."""
    running = [_start(job) for job in jobs]
    for process in running:
        while (line := process.stdout.readline()).strip() != "ready":
            if not line:
                raise SystemExit(f"a worker ended with status {process.wait()} before it was ready; its words are above")
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    longest = max(answers, key=lambda answer: answer.get("seconds", 0.0))
    losses = [loss for answer in answers for loss in answer.get("losses", [])]
    return {**longest, "losses": losses, "peak_mb": sum(answer["peak_mb"] for answer in answers)}


def _start(job: Job) -> Any:
    threads = str(job["threads"])
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_"))}
    if job["platform"] == "gpu":
        environment |= {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    else:
        environment |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    environment |= {"OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
    environment |= {"PYTHONPATH": str(HERE.parent), "PYTHONWARNINGS": "ignore::FutureWarning"}
    command = [sys.executable, str(HERE / "worker.py"), json.dumps(job)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)


def in_turn(sides: Mapping[str, Sequence[Job]], repeats: int) -> dict[str, list[Answer]]:
    """Returns the answers of each side; sides take turns, so that a slow minute of the machine hits all of them."""
    answers: dict[str, list[Answer]] = {name: [] for name in sides}
    for turn in range(repeats):
        for name, jobs in sides.items():
            print(f"  {turn + 1} of {repeats}: {name}", file=sys.stderr, flush=True)
            answers[name].append(together(jobs))
    return answers


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Returns the median and, in brackets, the range."""
    return f"{np.median(values):,.{digits}f} [{min(values):,.{digits}f}, {max(values):,.{digits}f}]"


def ratios(slower: Sequence[float], faster: Sequence[float]) -> list[float]:
    """Returns turn by turn how many times longer one side took than the other."""
    return [above / below for above, below in zip(slower, faster, strict=True)]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns rows of the same keys as a Markdown table."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([str(row[head]) for head in heads] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def finish(out: Path | None, record: Mapping[str, Any]) -> None:
    """Returns after what was measured is written, where a file is named."""
    if out:
        out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
