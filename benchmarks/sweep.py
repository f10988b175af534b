"""A sweep of eight LoRA cells: one population of ours against eight runs of Hugging Face PEFT, and against eight solo runs of ours.

python benchmarks/sweep.py [--quick] [--ours] [--gpu] [--repeats 3] [--out FILE.json]
"""

import dataclasses
import sys
from typing import Any

import measured
import numpy as np
from measured import Answer, Job
from workload import Shape

SHAPES = (Shape(64, 2, 64), Shape(128, 4, 128), Shape(256, 4, 128))
GPU_SHAPES = (Shape(256, 4, 128), Shape(64, 2, 64), Shape(768, 12, 256))
STEPS = {64: 100, 128: 20, 256: 8}
GPU_STEPS = {64: 500, 256: 200, 768: 40}
CELLS = [(rate, seed) for rate in (3e-4, 1e-3, 3e-3, 1e-2) for seed in (0, 1)]
PEER_WIDEST = {"cpu": 128, "gpu": 768}
PROCESSES = {"cpu": 2, "gpu": 8}
SOLO, POPULATION, TURNS = "ours, solo", "ours, population", "PEFT, one after the other"
TARGETS = {(SOLO, 64): 1.4, (SOLO, 128): 1.0, (SOLO, 256): 1.0, ("PEFT processes", 64): 1.5, ("PEFT processes", 128): 1.0}


def sides(shape: Shape, ours: bool, steps: int, platform: str) -> dict[str, list[Job]]:
    """Returns the jobs by side, all of a side running at the same time; on a GPU the members of a population run side by side."""
    job = {"shape": dataclasses.asdict(shape), "kind": "lora", "steps": steps, "cells": CELLS, "devices": 1, "platform": platform}
    job["threads"] = measured.cores()
    found = {
        POPULATION: [{**job, "side": "ours", "mode": "population", "devices": 2 if platform == "cpu" else 1}],
        SOLO: [{**job, "side": "ours", "mode": "solo"}],
    }
    if ours or shape.d_model > PEER_WIDEST[platform]:
        return found
    peer = {**job, "side": "peer", "mode": "cells"}
    found["PEFT processes"] = [{**peer, "threads": 1, "cells": CELLS[i :: PROCESSES[platform]]} for i in range(PROCESSES[platform])]
    return {**found, TURNS: [peer]}


def seconds(answers: list[Answer]) -> list[float]:
    """Returns the seconds of training, one value a turn."""
    return [answer["seconds"] for answer in answers]


def row(shape: Shape, name: str, answers: list[Answer], steps: int) -> dict[str, Any]:
    """Returns one line of the table."""
    per_step = [1e3 * value / len(CELLS) / steps for value in seconds(answers)]
    return {
        "shape": shape.title,
        "side": name,
        "training, s": measured.spread(seconds(answers), 2),
        "ms per cell and step": measured.spread(per_step, 2),
        "compile, s": measured.spread([answer["setup"] for answer in answers]),
        "imports, s": measured.spread([answer["imports"] for answer in answers]),
        "peak, MB": measured.spread([answer["peak_mb"] for answer in answers], 0),
        "last loss, nats": f"{np.mean(answers[0]['losses']):.3f}",
    }


def compared(shape: Shape, answers: dict[str, list[Answer]], platform: str) -> list[str]:
    """Returns the ratios of one shape in words."""
    lines = []
    for name in answers:
        if name == POPULATION:
            continue
        ratio = measured.spread(measured.ratios(seconds(answers[name]), seconds(answers[POPULATION])), 2)
        target = TARGETS.get((name, shape.d_model)) if platform == "cpu" else None
        lines.append(f"- {shape.title}: {name} takes {ratio} times as long as our population{f' (target: {target})' if target else ''}")
    return lines


def main() -> None:
    """Prints the tables; writes everything measured with --out."""
    flags = measured.options(str(__doc__))
    platform = "gpu" if flags.gpu else "cpu"
    shapes, counts = (GPU_SHAPES, GPU_STEPS) if flags.gpu else (SHAPES, STEPS)
    repeats, shapes = (1, shapes[:1]) if flags.quick else (flags.repeats, shapes)
    record: dict[str, Any] = {"machine": measured.machine(flags.gpu), "sweep": {}}
    rows, lines = [], []
    for shape in shapes:
        print(shape.title, file=sys.stderr)
        steps = 3 if flags.quick else counts[shape.d_model]
        answers = measured.in_turn(sides(shape, flags.ours, steps, platform), repeats)
        rows += [row(shape, name, some, steps) for name, some in answers.items()]
        lines += compared(shape, answers, platform)
        record["sweep"][shape.title] = answers
        measured.finish(flags.out, record)
    print("\n\n".join([measured.describe(record["machine"]), measured.table(rows), "\n".join(lines)]))


if __name__ == "__main__":
    main()
