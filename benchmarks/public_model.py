"""A public model's shape, SmolLM2-135M, with random weights: ours against Hugging Face transformers and PEFT on PyTorch, on a CPU.

python benchmarks/public_model.py [--quick] [--ours] [--repeats 3] [--out FILE.json]

Forward of 256 tokens; a step of LoRA (r 8 on every matrix of the blocks) and one of everything, each on 2 x 128 tokens, float32. Ours takes
its steps several to a call, as a run does. On a machine that others use too, PyTorch's threads wait for each other at length: there, bind
both sides to one core (taskset -c 0 python ...) and read the processors' time.
"""

import sys
from typing import Any

import measured
import numpy as np
import workload
from measured import Answer

KINDS = {"forward": "forward, 256 tokens", "lora": "LoRA step, 2 x 128 tokens", "full": "full step, 2 x 128 tokens"}
STEPS, CHUNKS = 4, 3
PARAMETERS = 134_515_008
ADAPTERS = 2_442_240
MOVES = {"forward": 0, "lora": ADAPTERS, "full": PARAMETERS}
TARGET = 1.0
TIMES = ("seconds_each", "processor_each")


def check(kind: str, answers: dict[str, list[Answer]]) -> None:
    """Exits when a side does not have the parameters it should, or does not begin at the loss of random weights."""
    for side, (answer, *_) in answers.items():
        found, wanted = (answer["base"], answer["moves"]), (PARAMETERS, MOVES[kind])
        if found != wanted or (kind != "forward" and abs(answer["losses"][0] - np.log(workload.SMOLLM2["vocab_size"])) > 0.5):
            sys.exit(f"{side} has (base, moving) parameters {found} instead of {wanted}, or begins at {answer['losses']}")


def row(kind: str, side: str, answers: list[Answer]) -> dict[str, Any]:
    """Returns one line of the table."""
    return {
        "what": KINDS[kind],
        "side": side,
        "s, least": f"{least(answers):.2f}",
        "processor s, least": f"{least(answers, 'processor_each'):.2f}",
        "s, median [range] of turns": measured.spread([min(answer["seconds_each"]) for answer in answers], 2),
        "compile, s": measured.spread([answer["setup"] for answer in answers]),
        "peak, MB": measured.spread([answer["peak_mb"] for answer in answers], 0),
    }


def least(answers: list[Answer], what: str = "seconds_each") -> float:
    """Returns the least seconds of all turns: others may take the machine's time, none gives any."""
    return min(second for answer in answers for second in answer[what])


def main() -> None:
    """Prints the table and the ratios; writes everything measured with --out."""
    flags = measured.options(str(__doc__))
    if flags.gpu:
        sys.exit("--gpu: this comparison is of a CPU alone; `steps.py --gpu` has a GPU's.")
    repeats, chunks, steps = (1, 1, 1) if flags.quick else (flags.repeats, CHUNKS, STEPS)
    shared = {"platform": "cpu", "devices": 1, "threads": measured.cores(), "chunks": chunks, "steps": steps}
    record: dict[str, Any] = {"machine": measured.machine(False), "public": {}}
    sides = {"ours": "public_ours"} if flags.ours else {"ours": "public_ours", "transformers, PEFT": "public_peer"}
    rows, lines = [], []
    for kind in KINDS:
        print(KINDS[kind], file=sys.stderr)
        found = measured.in_turn({name: [{**shared, "kind": kind, "side": side}] for name, side in sides.items()}, repeats)
        check(kind, found)
        rows += [row(kind, side, answers) for side, answers in found.items()]
        if len(found) == 2:
            clock, processor = (least(found["ours"], what) / least(found["transformers, PEFT"], what) for what in TIMES)
            words = f"ours takes {clock:.2f} times as long as theirs (target {TARGET}), {processor:.2f} times the processors' time"
            lines.append(f"- {KINDS[kind]}: {words}; least against least")
        record["public"][kind] = found
        measured.finish(flags.out, record)
    print("\n\n".join([measured.describe(record["machine"]), measured.table(rows), "\n".join(lines)]))


if __name__ == "__main__":
    main()
