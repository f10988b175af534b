"""One training step, of everything and of LoRA adapters: ours against Hugging Face PEFT on PyTorch; and our pretraining.

python benchmarks/steps.py [--quick] [--ours] [--gpu] [--repeats 3] [--out FILE.json]
"""

import argparse
import dataclasses
import sys
from typing import Any

import measured
import numpy as np
from measured import Answer, Job
from workload import Shape

SHAPES = (Shape(64, 2, 64), Shape(128, 4, 128), Shape(256, 6, 256))
GPU_SHAPES = (Shape(256, 6, 256), Shape(768, 12, 512))
STEPS = {64: 100, 128: 20, 256: 4}
GPU_STEPS = {256: 100, 768: 20}
CHUNKS = 6
KINDS = {"full": "everything", "lora": "LoRA r 8"}
MEMBERS = "ours, a member on each core"
LORA_TO_FULL = 0.85
PRETRAINING: dict[str, dict[str, Any]] = {"d 64, 2 layers, T 64 (target on 2 CPU cores: at least 90,000)": {}}
LARGE = {"d_model": 1024, "n_layers": 10, "n_heads": 16, "n_kv_heads": 16, "d_mlp": 4096, "max_length": 1024, "dtype": "bfloat16"}
GPU_PRETRAINING = {f"d 1024, 10 layers, T 1024, bfloat16, attention by {name}": {**LARGE, "attention": name} for name in ("cudnn", "xla")}


def sides(shape: Shape, kind: str, flags: argparse.Namespace) -> dict[str, list[Job]]:
    """Returns the jobs by side; each uses one process, and in it one device with all threads, or, for MEMBERS, a device for each core."""
    job = {"shape": dataclasses.asdict(shape), "kind": kind, "devices": 1, "threads": measured.cores()}
    job |= {"steps": 3 if flags.quick else (GPU_STEPS if flags.gpu else STEPS)[shape.d_model], "chunks": 2 if flags.quick else CHUNKS}
    job["platform"] = "gpu" if flags.gpu else "cpu"
    found = {f"ours, {mode}": [{**job, "side": "ours", "mode": mode}] for mode in ("scan", "loop")}
    if not flags.gpu:
        found[MEMBERS] = [{**job, "side": "ours", "mode": "members", "devices": measured.cores()}]
    return found if flags.ours else {**found, "PEFT": [{**job, "side": "peer", "mode": "loop"}]}


def both(shape: Shape, flags: argparse.Namespace, repeats: int) -> dict[str, dict[str, list[Answer]]]:
    """Returns the answers by what is trained and by side; each side trains everything and LoRA one right after the other."""
    jobs = {kind: sides(shape, kind, flags) for kind in KINDS}
    turns = {f"{name}: {KINDS[kind]}": jobs[kind][name] for name in jobs["full"] for kind in KINDS}
    answers = measured.in_turn(turns, repeats)
    return {kind: {name: answers[f"{name}: {KINDS[kind]}"] for name in jobs[kind]} for kind in KINDS}


def check(shape: Shape, kind: str, answers: dict[str, list[Answer]]) -> None:
    """Exits when the sides do not have the parameters they should, or do not begin at ln 256."""
    for name, (answer, *_) in answers.items():
        moves = shape.base_parameters() if kind == "full" else shape.adapter_parameters(fused=name == "PEFT")
        expected, found = (shape.base_parameters(), moves), (answer["base"], answer["moves"])
        if expected != found or abs(answer["losses"][0] - np.log(256)) > 0.3:
            sys.exit(f"{name} has (base, moving) parameters {found} instead of {expected}, or begins at loss {answer['losses'][0]:.3f}")


def medians(answers: list[Answer]) -> list[float]:
    """Returns the milliseconds of a step, one value a turn."""
    return [float(np.median(answer["ms"])) for answer in answers]


def row(shape: Shape, kind: str, name: str, answers: list[Answer]) -> dict[str, Any]:
    """Returns one line of the table."""
    first, last = answers[0]["losses"][0], answers[0]["losses"][-1]
    return {
        "shape": shape.title,
        "trains": KINDS[kind],
        "side": name,
        "ms/step": measured.spread(medians(answers), 2),
        "compile, s": measured.spread([answer["setup"] for answer in answers]),
        "imports, s": measured.spread([answer["imports"] for answer in answers]),
        "peak, MB": measured.spread([answer["peak_mb"] for answer in answers], 0),
        "loss, nats": f"{first:.3f} to {last:.3f}",
    }


def best(answers: dict[str, list[Answer]]) -> str:
    """Returns our faster form of a solo step."""
    return min((name for name in answers if name not in ("PEFT", MEMBERS)), key=lambda name: float(np.median(medians(answers[name]))))


def compared(shape: Shape, found: dict[str, dict[str, list[Answer]]]) -> list[str]:
    """Returns the ratios of one shape in words."""
    lines = []
    for kind, answers in found.items():
        if "PEFT" in answers:
            ratio = measured.ratios(medians(answers["PEFT"]), medians(answers[best(answers)]))
            lines.append(f"- {shape.title}, {KINDS[kind]}: PEFT takes {measured.spread(ratio, 2)} times as long as {best(answers)}")
    target = f" (target on 2 CPU cores: at most {LORA_TO_FULL})" if shape.d_model == 256 else ""
    ours = {"step": {kind: medians(answers[best(answers)]) for kind, answers in found.items()}}
    if all(MEMBERS in answers for answers in found.values()):
        ours["step as a member"] = {kind: medians(answers[MEMBERS]) for kind, answers in found.items()}
    for words, times in ours.items():
        ratio = measured.spread(measured.ratios(times["lora"], times["full"]), 2)
        lines.append(f"- {shape.title}: our LoRA {words} takes {ratio} of our full {words}{target}")
    return lines


def pretraining(flags: argparse.Namespace, repeats: int) -> tuple[list[str], dict[str, list[Answer]]]:
    """Returns the tokens a second of our pretraining in words, and the answers, by shape."""
    shared = {"side": "ours", "mode": "pretraining", "threads": measured.cores(), "chunks": 4 if flags.quick else 12}
    shared |= {"platform": "gpu", "devices": 1} if flags.gpu else {"platform": "cpu", "devices": measured.cores()}
    models = GPU_PRETRAINING if flags.gpu else PRETRAINING
    answers = measured.in_turn({name: [{**shared, "model": model}] for name, model in models.items()}, repeats)
    lines = []
    for name, some in answers.items():
        rates = measured.spread([float(np.median(answer["tokens"])) for answer in some], 0)
        compiled = measured.spread([answer["setup"] for answer in some])
        lines.append(f"- our pretraining, {name}, batch 32, takes {rates} tokens/s; first 50 steps with compilation {compiled} s")
    return lines, answers


def main() -> None:
    """Prints the tables; writes everything measured with --out."""
    flags = measured.options(str(__doc__))
    shapes = GPU_SHAPES if flags.gpu else SHAPES
    repeats, shapes = (1, shapes[:1]) if flags.quick else (flags.repeats, shapes)
    record: dict[str, Any] = {"machine": measured.machine(flags.gpu), "steps": {}}
    rows, lines = [], []
    for shape in shapes:
        print(shape.title, file=sys.stderr)
        found = both(shape, flags, repeats)
        for kind, answers in found.items():
            check(shape, kind, answers)
            rows += [row(shape, kind, name, some) for name, some in answers.items()]
        lines += compared(shape, found)
        record["steps"][shape.title] = found
        measured.finish(flags.out, record)
    words, record["pretraining"] = pretraining(flags, repeats)
    print("\n\n".join([measured.describe(record["machine"]), measured.table(rows), "\n".join([*lines, *words])]))
    measured.finish(flags.out, record)


if __name__ == "__main__":
    main()
