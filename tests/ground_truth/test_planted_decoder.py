"""A decoder's students, end to end: the planted rank and nearly its r90 are found, and a plant out of the adapter's reach is not."""

import json
from pathlib import Path

import pytest

import launch

WORDS = "planted_ranks=2 spectra=flat decoys=out_of_reach strengths=1e-4 seeds=1 simulations=1 steps=310".split()
TEXT = "source=generated:restaurants target=generated:restaurants data.max_bytes=262144".split()
SMALL = "model.d_model=32 model.d_mlp=48 model.max_length=16 mesh.member=2 data.test_bytes=4096 data.validation_bytes=4096".split()
RATES = "learning_rates.lora=6e-3,2e-2,8e-2 learning_rates.matched=1e-3,3e-3,1e-2".split()


@pytest.mark.slow
def test_the_planted_rank_of_a_decoder_is_found_and_the_decoy_is_not(tmp_path: Path) -> None:
    words = [
        "launch.py",
        "--config=configs/planted_rank.py:smoke",
        f"--workdir={tmp_path}",
        *(f"--config.{word}" for word in WORDS + TEXT + SMALL + RATES),
    ]
    assert launch.main(words) == 0
    found = json.loads((tmp_path / "summary.json").read_text())["findings"]
    ranks = {f["where"]["decoy"]: f["value"] for f in found if f["name"] == "estimated_rank"}
    assert ranks == {"none": 2, "out_of_reach": None}
    r90 = {(f["where"]["decoy"], f["where"]["reference"]): f["value"] for f in found if f["name"] == "planted_r90"}
    assert r90["out_of_reach", "teacher"] is None and r90["out_of_reach", "matched"] is None
    known = 1.8  # of a flat spectrum of two; at every rank the estimator itself reads 1.51
    assert known * 2**-0.5 < r90["none", "matched"] <= r90["none", "teacher"] < known
    overlaps = {(f["where"]["side"], f["where"]["null"]): f["value"] for f in found if f["name"] == "overlap"}
    for side in ("inputs", "outputs"):
        assert overlaps[side, "none"] > 0.9
        assert overlaps[side, "random"] == pytest.approx(2 / 32, rel=0.3)
