"""Blocks of a base from elsewhere, whose layers are one stack: held one at a time it gives what all together give."""

import json

import pytest

from research.runtime import bases
from tests.commands import assert_refused, ran
from tests.foreign_folder import foreign_folder

OPTIONS = {
    "source": "text:research/**/*.py",
    "target": "generated:restaurants",
    "arms": "scratch,AnB,AnB+,above",
    "blocks": "0,1",
    "rates_at": "1,",
    "learning_rates": "1e-3,1e-2,1e-1",
    "seeds": "2",
    "steps": "4",
    "read_at": "()",
    "batch_size": "2",
    "model.max_length": "32",
    "data.test_bytes": "8192",
    "data.validation_bytes": "4096",
    "data.final_bytes": "4096",
    "data.max_bytes": "262144",
}
CONFIG = "--config=configs/transfer.py:smoke"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    bases.found.cache_clear()
    return foreign_folder(tmp_path_factory.mktemp("base") / "tiny")


def losses(made, folder, *words):
    bases.found.cache_clear()
    options = [f"--config.{key}={value}" for key, value in OPTIONS.items()]
    assert ran(CONFIG, f"--config.base=hf:{folder}", *options, *words, f"--workdir={made}") == 0
    rows = [json.loads(line) for line in (made / "records.jsonl").read_text().splitlines()]
    return {(row["arm"], row["seed"]): row["value"] for row in rows if row["phase"] == "result" and row["metric"] == "target_loss"}


@pytest.mark.slow
def test_one_base_at_a_time_gives_what_all_together_do(folder, tmp_path, monkeypatch):
    together = losses(tmp_path / "together", folder)
    monkeypatch.setattr("research.training.memory.LARGE", 0)
    alone = losses(tmp_path / "alone", folder)
    assert set(alone) == {(arm, s) for arm in ("scratch", "AnB@0", "AnB@1", "AnB+@0", "AnB+@1", "above@0", "above@1") for s in (0, 1)}
    assert alone == pytest.approx(together, rel=1e-5)


def test_arms_that_copy_from_a_network_of_the_target_are_refused(folder, tmp_path, capsys):
    bases.found.cache_clear()
    assert_refused(CONFIG, f"base=hf:{folder}", "leave BnB and BnB+ out", tmp_path, capsys)
