"""The loss landscape of one small decoder: ours against curvlinops, PyHessian and a loop over points in PyTorch, on a CPU.

python benchmarks/curvature.py [--large] [--quick] [--ours] [--repeats 3] [--out FILE.json]

The decoder of configs/base.py (0.13 M weights, trained for 300 steps) on 256 sequences of 64 tokens, float32: a Hessian-vector product, the
top eigenvalues, the trace, the density and a surface of 25 x 25, all sides with the same weights and batch. Ours takes the batch 16 rows
at a time; the peers take it whole, and are not faster in parts. --large instead reads 60 steps of Lanczos on 1.05 M weights, ours alone.
Seconds are without compilation. Exits where the sides do not find the same.
"""

import dataclasses
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import measured
import numpy as np
from measured import Answer, Job
from workload import Shape

Found = dict[str, dict[str, list[Answer]]]
OURS, WHOLE, CURVLINOPS, PYHESSIAN, LOOP = "ours", "ours, whole batch", "curvlinops", "PyHessian", "PyTorch"
DEFAULT, LARGE = Shape(64, 2, 64, 256), Shape(128, 5, 64, 256)
SIDES = {
    "gradient": (OURS, WHOLE, LOOP),
    "product": (OURS, WHOLE, CURVLINOPS, PYHESSIAN),
    "eigenvalues": (OURS, CURVLINOPS, PYHESSIAN),
    "trace": (OURS, CURVLINOPS, PYHESSIAN),
    "density": (OURS, CURVLINOPS),
    "surface": (OURS, LOOP),
}
LARGE_SIDES = {"gradient": (OURS, WHOLE), "product": (OURS, WHOLE), "lanczos": (OURS,)}
TITLES = {
    "gradient": "gradient",
    "product": "Hessian-vector product",
    "eigenvalues": "top {k} eigenvalues",
    "trace": "trace, {probes} probes",
    "density": "density, {probes} probes of {steps} steps",
    "surface": "surface, a point",
    "lanczos": "{steps} steps of Lanczos",
}
SPREAD = ("trace", "density", "surface")  # what our functions spread over the devices
TO_GRADIENTS, TO_PRODUCTS, SURFACE_SECONDS = 2.2, 75, 60
SAME = 1e-3
ROWS = 16


def jobs(shape: Shape, inputs: Path, quick: bool) -> dict[str, Job]:
    """Returns what is asked of every side, by kind."""
    grid = np.linspace(-1, 1, 3 if quick else 25).tolist()
    shared = {"platform": "cpu", "threads": measured.cores(), "inputs": str(inputs), "shape": dataclasses.asdict(shape)}
    asked: dict[str, Job] = {
        "gradient": {"times": 1 if quick else 5},
        "product": {"times": 1 if quick else 5},
        "eigenvalues": {"k": 2, "tolerance": 1e-4, "power_tolerance": 1e-5, "most": 200},
        "trace": {"probes": 5 if quick else 10},
        "density": {"probes": 2, "steps": 5 if quick else 20},
        "surface": {"xs": grid, "ys": grid, "rows": 1 if quick else 3},
        "lanczos": {"steps": 5 if quick else 60},
    }
    return {kind: {**shared, **job, "kind": kind} for kind, job in asked.items()}


def of_side(job: Job, side: str) -> Job:
    """Returns a side's job: one process, in it one device with all threads, or, where our function spreads its work, one for each core."""
    devices = job["threads"] if job["kind"] in SPREAD else 1
    if side in (OURS, WHOLE):
        return {**job, "side": "curvature_ours", "devices": devices, "rows_at_once": ROWS if side == OURS else job["shape"]["batch"]}
    return {**job, "side": "curvature_peer", "library": side.lower()}


def prepared(shape: Shape, inputs: Path, steps: int) -> None:
    """Returns once the weights, the batch and the directions that all sides use are written."""
    job = {**jobs(shape, inputs, True)["gradient"], "kind": "prepare", "steps": steps}
    measured.together([of_side(job, OURS)])


def check(kind: str, found: dict[str, list[Answer]], trace: Answer) -> None:
    """Exits where a side does not find what ours finds: eigenvalues and losses to 1e-3, trace and mean within four standard errors."""
    ours, size = found[OURS][0], found[OURS][0]["parameters"]
    for side, (theirs, *_) in found.items():
        if theirs["parameters"] != size:
            sys.exit(f"{side} has {theirs['parameters']} parameters instead of {size}")
        if kind == "trace":
            off = abs(theirs["value"] - ours["value"]) / max(4 * np.hypot(ours["error"], theirs["error"]), 1e-12)
        elif kind == "density":
            off = abs(theirs["mean"] - ours["mean"]) * size / (4 * trace["error"] * np.sqrt(trace["probes"]))
        elif "values" in ours:
            values = np.array(theirs["values"])
            expected = np.array(ours["values"])[: len(values)]
            off = float(np.max(np.abs(values - expected) / np.abs(expected))) / SAME
        else:
            continue
        if off > 1:
            sys.exit(f"{kind}: {side} finds {theirs}, ours {ours}")


def seconds(job: Job, answers: list[Answer], side: str, what: str = "seconds") -> list[float]:
    """Returns the median seconds of each turn, or those of processors; of a surface, of one of its points."""
    points = len(job["xs"]) * (len(job["ys"]) if side == OURS else job["rows"]) if job["kind"] == "surface" else 1
    return [float(np.median(answer[what])) / points for answer in answers]


def row(job: Job, side: str, found: dict[str, list[Answer]]) -> dict[str, Any]:
    """Returns one line of the table; ratios are to ours, turn by turn."""
    times, own = seconds(job, found[side], side), seconds(job, found[OURS], OURS)
    first, memory = found[side][0], [[answer["peak_mb"] for answer in found[name]] for name in (side, OURS)]
    return {
        "what": TITLES[job["kind"]].format(**job),
        "side": side,
        "s": measured.spread(times, 3),
        "processor s": measured.spread(seconds(job, found[side], side, "processor"), 3) if "processor" in first else "",
        "products": first.get("products", ""),
        "times ours": measured.spread(measured.ratios(times, own), 2),
        "compile, s": measured.spread([answer.get("setup", 0.0) for answer in found[side]]),
        "peak, MB": measured.spread(memory[0], 0),
        "MB, times ours": measured.spread(measured.ratios(*memory), 2),
        "found": result(first),
    }


def result(answer: Answer) -> str:
    """Returns what a side found, in a few words."""
    if isinstance(answer.get("values", [[]])[0], float):
        return ", ".join(f"{value:.5g}" for value in answer["values"])
    if "value" in answer:
        return f"{answer['value']:.4g} +- {answer['error']:.2g}"
    return f"mean {answer['mean']:.4g}" if "mean" in answer else ""


def targets(asked: dict[str, Job], found: Found) -> list[str]:
    """Returns our own figures against their targets, in words."""
    own = {kind: float(np.median(seconds(asked[kind], answers[OURS], OURS))) for kind, answers in found.items()}
    whole = {kind: float(np.median(seconds(asked[kind], found[kind][WHOLE], WHOLE))) for kind in ("gradient", "product")}
    words = f"{own['product'] / own['gradient']:.2f} gradients, {own['product'] / whole['gradient']:.2f} of the whole batch at once"
    lines = [f"- a Hessian-vector product takes {words}, where it takes {whole['product'] / whole['gradient']:.2f} (target {TO_GRADIENTS})"]
    if "surface" in own:
        points = len(asked["surface"]["xs"]) ** 2
        lines.append(f"- the surface's {points} points take {own['surface'] * points:.1f} s (target {SURFACE_SECONDS} for 625)")
    if "lanczos" in own:
        steps = asked["lanczos"]["steps"]
        lines.append(f"- {steps} steps of Lanczos take {own['lanczos'] / own['product']:.1f} products (target {TO_PRODUCTS} for 60)")
    return lines


def compared(asked: dict[str, Job], sides: Mapping[str, Sequence[str]], repeats: int) -> tuple[list[dict[str, Any]], Found]:
    """Returns the table and all answers, by kind and side."""
    rows, found, trace = [], {}, {}
    for kind, names in sides.items():
        job = asked[kind]
        if kind == "density":
            largest = abs(found["eigenvalues"][OURS][0]["values"][0])
            job = {**job, "ends": [-largest, largest]}
        print(TITLES[kind].format(**job), file=sys.stderr)
        found[kind] = measured.in_turn({name: [of_side(job, name)] for name in names}, repeats)
        if kind == "trace":
            trace = {**found[kind][OURS][0], "probes": job["probes"]}
        check(kind, found[kind], trace)
        rows += [row(job, name, found[kind]) for name in found[kind]]
    return rows, found


def main() -> None:
    """Prints the table and our figures; writes everything measured with --out."""
    more = {"--large": "60 steps of Lanczos on 1.05 M weights, ours alone"}
    flags = measured.options(str(__doc__), ("torch", "curvlinops", "pyhessian"), more)
    if flags.gpu:
        sys.exit("--gpu: this comparison is of a CPU alone.")
    shape = dataclasses.replace(LARGE if flags.large else DEFAULT, batch=2 * ROWS if flags.quick else 256)
    sides = LARGE_SIDES if flags.large else SIDES
    if flags.ours:
        sides = {kind: [name for name in names if name in (OURS, WHOLE)] for kind, names in sides.items()}
    record: dict[str, Any] = {"machine": measured.machine(False)}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "problem.npz"
        prepared(shape, inputs, 20 if flags.quick or flags.large else 300)
        asked = jobs(shape, inputs, flags.quick)
        rows, record["found"] = compared(asked, sides, 1 if flags.quick else flags.repeats)
    print("\n\n".join([measured.describe(record["machine"]), measured.table(rows), "\n".join(targets(asked, record["found"]))]))
    measured.finish(flags.out, record)


if __name__ == "__main__":
    main()
