"""Records of a made-up run whose law is known: L = 1.5 + A D_E^-0.3, D_E = D_F + k D_F^a N^b, with noise of runs, documents and donors."""

import numpy as np
import pandas as pd

SIZES, AMOUNTS, FURTHER = (6_000, 25_000, 98_000), (1024, 4096, 16_384), (65_536, 262_144, 1_048_576)
SEEDS, GROUPS, A, B = 4, 10, 0.3, 0.4
TIMES = 20.0  # D_T over D_F at the least data and the middle size


def transferred(times=TIMES):
    """D_T by (size, amount), of the law."""
    return {(n, f): times * 1024 * (f / 1024) ** A * (n / SIZES[1]) ** B for n in SIZES for f in AMOUNTS}


def loss(data):
    """Bits/byte of scratch on an amount of data."""
    return 1.5 + 2.5 * (data / 1024) ** -0.3


def records(worth=None, noise=0.004, late=()):
    """The records of a run in which donors are worth so many bytes by (size, amount), and runs of these arms fall to their end."""
    draw, rows, worth = np.random.default_rng(3), [], transferred() if worth is None else worth
    usual = {"experiment": "transfer", "cell": "", "phase": "reference", "init": None, "arm": None, "seed": None, "step": 0, "unit": "1"}
    rows += [{**usual, "metric": "document_bytes", "document": group, "value": 4000, "unit": "bytes"} for group in range(GROUPS)]
    rows += [{**usual, "metric": name, "value": value} for name, value in (("donor_tokens", 1e6), ("unigram_loss", 4.7))]
    rows += [{**usual, "metric": "text_begins", "seed": seed, "value": begins} for seed, begins in enumerate((0, 5e5, 1e5, 7e5))]
    rows.append({**usual, "metric": "target", "value": 1.0, "note": "docs, the donor's code"})
    shared = draw.normal(0, 0.05, GROUPS)
    for size in SIZES:
        luck = np.exp(0.08 * draw.standard_normal(SEEDS))
        edge = {"arm": "tuned@1024", "trains": "tuned", "parameters": size, "metric": "best_learning_rate", "value": 1e-3}
        rows.append({**usual, **edge, "phase": "choice", "on_edge": True, "note": "best at the smallest: the optimum may lie beyond"})
        for arm, amounts in (("scratch", (*AMOUNTS, *FURTHER)), ("tuned", AMOUNTS)):
            for amount, seed in ((f, s) for f in amounts for s in range(SEEDS)):
                data = amount + (worth[size, amount] * luck[seed] if arm == "tuned" else 0.0)
                documents = loss(data) * (1 + draw.normal(0, noise) + shared + draw.normal(0, noise, GROUPS))
                where = {**usual, "phase": "stopped", "init": "A", "arm": f"{arm}@{amount}", "trains": arm, "parameters": size}
                where |= {"amount": amount, "seed": seed, "base": seed, "step": 50, "unit": "bits/byte"}
                rows += [{**where, "metric": "document_loss", "document": g, "value": v} for g, v in enumerate(documents)]
                rows.append({**where, "metric": "target_loss", "value": documents.mean()})
                rows.append({**where, "metric": "stopped_at", "value": 1.0 if arm in late else 0.5})
    return pd.DataFrame(rows)
