"""Records of a made-up run whose losses are known: what arms cost, by number of blocks, with noise of seeds and documents."""

import numpy as np
import pandas as pd

BLOCKS, SEEDS, GROUPS = (1, 2, 3, 4), 4, 12
SPECIAL, WORTH = 0.05, 0.4  # a block, of AnB above BnB; of AnB below random
CUT = {1: 0.02, 2: 0.2, 3: 0.15, 4: 0.03}  # of BnB above scratch: the dip is at 2 and 3
SCRATCH, MATCHED, TUNED = 3.0, 2.9, 2.7


def losses():
    """The loss of each arm by (name, n)."""
    made = {("scratch", None): SCRATCH, ("matched", None): MATCHED, ("tuned", None): TUNED}
    for n in BLOCKS:
        made["BnB", n] = SCRATCH + CUT[n]
        made["BnB+", n] = SCRATCH
        made["AnB", n] = made["BnB", n] + SPECIAL * n
        made["random", n] = made["shuffled", n] = made["AnB", n] + WORTH
        made["AnB+", n] = SCRATCH - 0.2
        made["below", n] = TUNED + 0.1 * n
        made["above", n] = TUNED + 0.3 * n
    return made


def records(noise=0.01, seeds=SEEDS, arms=None):
    """The records of a run; noise (bits/byte) is of seeds and of documents, half of each shared by all arms."""
    draw, rows = np.random.default_rng(5), []
    usual = {"experiment": "transfer", "cell": "", "phase": "reference", "init": None, "arm": None, "seed": None, "step": 0, "unit": "1"}
    rows += [{**usual, "metric": "document_bytes", "document": group, "value": 4000, "unit": "bytes"} for group in range(GROUPS)]
    rows += [{**usual, "metric": name, "value": value} for name, value in (("depth", 4), ("train_tokens", 1e5), ("donor_tokens", 1e5))]
    rows.append({**usual, "metric": "target", "value": 1.0, "note": "docs, the donor's code"})
    shared = draw.normal(0, 5 * noise, (seeds, GROUPS))
    for (name, n), loss in losses().items():
        if arms is not None and name not in arms:
            continue
        word = name if n is None else f"{name}@{n}"
        choice = {**usual, "phase": "choice", "arm": word, "trains": name, "step": 100, "metric": "best_learning_rate", "value": 1e-2}
        rows.append({**choice, "on_edge": False})
        last = 200 if name == "matched" else 100
        for seed in range(seeds):
            own = draw.normal(0, noise)
            documents = loss + shared[seed] + own + draw.normal(0, noise, GROUPS)
            where = {**usual, "phase": "result", "init": "A", "arm": word, "trains": name, "seed": seed, "base": seed, "unit": "bits/byte"}
            rows += [{**where, "step": last, "metric": "document_loss", "document": g, "value": v} for g, v in enumerate(documents)]
            rows.append({**where, "step": last, "metric": "target_loss", "value": documents.mean()})
            rows += [{**where, "step": step, "metric": "budget_loss", "value": documents.mean() + 1 - step / last} for step in (25, last)]
    return pd.DataFrame(rows)
