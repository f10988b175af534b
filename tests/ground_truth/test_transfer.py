"""Transfer where it is known: from the same images under other names, and from images whose pixels are shuffled."""

import json

import numpy as np
import pytest

from experiments.transfer import images
from experiments.transfer.halves import Half
from research.data.labeled import load_labeled
from tests.commands import ran

OPTIONS = (
    "--config.images=sklearn:digits",
    "--config.validation_images=300",
    "--config.hidden=32,32",
    "--config.blocks=1,2",
    "--config.rates_at=2,",
    "--config.arms=scratch,BnB,AnB,random",
    "--config.learning_rates=1e-3,3e-3,1e-2",
    "--config.seeds=3",
    "--config.steps=200",
    "--config.read_at=()",
    "--config.pretraining.steps=300",
    "--config.pretraining.learning_rate=3e-3",
)


def run(folder, monkeypatch, theirs):
    """The findings (name, n) of a run in which A is `theirs` of the rows of all classes, and B those rows."""
    data = load_labeled("sklearn:digits", 300)
    whole = tuple(range(5))

    def halves(_, split):
        rows = {part: some[some[:, -1] < len(whole)] for part, some in data.parts.items()}
        draw = np.random.default_rng(split)
        return Half(whole, theirs(rows, draw)), Half(whole, rows)

    monkeypatch.setattr(images, "halves", halves)
    assert ran("--config=configs/transfer.py:mnist", *OPTIONS, f"--workdir={folder}") == 0
    found = json.loads((folder / "summary.json").read_text())["findings"]
    return {(f["name"], f["where"]["n"]): f for f in found if f["name"] in ("specificity", "features")}


def renamed(rows, draw):
    """The same images, their classes under other numbers: what is learned of them serves."""
    names = draw.permutation(5).astype(np.uint8)
    return {part: np.concatenate([some[:, :-1], names[some[:, -1:]]], axis=1) for part, some in rows.items()}


def scrambled(rows, draw):
    """Images whose pixels are shuffled and whose labels mean nothing: what is learned of them cannot serve."""
    pixels = draw.permutation(next(iter(rows.values())).shape[1] - 1)
    return {part: np.concatenate([some[:, pixels], draw.permuted(some[:, -1:], axis=0)], axis=1) for part, some in rows.items()}


@pytest.mark.slow
def test_what_transfers_is_not_special_and_what_does_not_is(tmp_path, monkeypatch):
    same, other = (run(tmp_path / made.__name__, monkeypatch, made) for made in (renamed, scrambled))
    for n in (1, 2):
        assert same["features", n]["high"] < 0, same["features", n]
        assert abs(same["specificity", n]["value"]) < 0.3 * abs(same["features", n]["value"])
        assert other["specificity", n]["value"] > 3 * abs(same["specificity", n]["value"])
    assert other["specificity", 2]["low"] > 0
    assert other["features", 2]["value"] > -0.3 * abs(same["features", 2]["value"])
