"""A decoder's students, end to end: the planted rank is found, and a plant out of the adapter's reach is not."""

import json
from pathlib import Path

import pytest

import launch

WORDS = "planted_ranks=2 spectra=flat decoys=out_of_reach seeds=1 simulations=1 steps=310".split()


def test_the_planted_rank_of_a_decoder_is_found_and_the_decoy_is_not(tmp_path: Path) -> None:
    words = ["launch.py", "--config=configs/planted_rank.py:smoke", f"--workdir={tmp_path}", *(f"--config.{word}" for word in WORDS)]
    assert launch.main(words) == 0
    found = json.loads((tmp_path / "summary.json").read_text())["findings"]
    ranks = {f["where"]["decoy"]: f["value"] for f in found if f["name"] == "estimated_rank"}
    assert ranks == {"none": 2, "out_of_reach": None}
    overlaps = {(f["where"]["side"], f["where"]["null"]): f["value"] for f in found if f["name"] == "overlap"}
    for side in ("inputs", "outputs"):
        assert overlaps[side, "none"] > 0.9
        assert overlaps[side, "random"] == pytest.approx(2 / 48, rel=0.3)
