"""A tiny run, and what it says of weights by other means: bits by enumeration, known facts by groups, losses, spans and rates."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from experiments.style_vs_facts.material import LENGTH, Material, material, said
from research import tree
from research.adapters.merging import merge
from research.cells.bases import Bases
from research.data.facts import Sentence
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.runtime import artifacts
from tests.commands import ran

ARMS = ("style:capitals:4/full", "facts:4:4/full", "facts:4:4/lora@2", "noise:4/full")
TINY = (
    "--config.model.d_model=16",
    "--config.model.d_mlp=32",
    "--config.model.n_layers=1",
    "--config.data.max_bytes=250_000",
    "--config.pretraining.steps=20",
    "--config.pretraining.bases=1",
    "--config.seeds=1",
    f"--config.arms={','.join(ARMS)}",
    "--config.kept_at=0.5",
    "--config.learning_rates.full=1e-2,1.001e-2,1.002e-2",
    "--config.learning_rates.lora=2e-2,2.001e-2,2.002e-2",
)
MODEL = decoder(DecoderConfig(d_model=16, d_mlp=32, n_layers=1, max_length=64))
END, HALF = 40, 20


class Ran(NamedTuple):
    """A run: its folder, its records, the weights that it began with, and its sentences."""

    folder: Path
    rows: list[dict[str, Any]]
    base: Any
    material: Material

    def read(self, metric: str, arm: str | None, phase: str = "recall", step: int = END) -> float:
        where = {"metric": metric, "arm": arm, "phase": phase, "step": step}
        (value,) = (row["value"] for row in self.rows if where.items() <= row.items())
        return float(value)

    def end(self, arm: str) -> Any:
        """Returns what training made of the weights of an arm, adapters merged."""
        (cell,) = {row["cell"] for row in self.rows if row["phase"] == "result" and row["arm"] == arm}
        kept = artifacts.load(self.folder / "artifacts" / f"{cell}.npz")
        variables = tree.unflatten({**tree.flatten({"params": self.base}), **kept})
        return jax.device_get(merge(variables))["params"] if "adapter" in variables else variables["params"]


def made_in(folder: Path) -> Ran:
    """Returns a tiny run, made in a folder."""
    made: list[Bases] = []

    def begin(self: Bases, *args: Any, **kwargs: Any) -> None:
        begun(self, *args, **kwargs)
        made.append(self)

    begun = Bases.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bases, "__init__", begin)
        assert ran("--config=configs/style_vs_facts.py:smoke", *TINY, f"--workdir={folder}") == 0
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    return Ran(folder, rows, made[0].params(0), material(0, 4))


def bits(params: Any, sentences: list[Sentence], contexts: list[bytes] | None = None) -> np.ndarray:
    """Returns log2 16 p(answer | one of 16) of each sentence, one forward pass of its own length each."""
    found = []
    apply = jax.jit(MODEL.apply)
    for place, sentence in enumerate(sentences):
        before = b"" if contexts is None else contexts[place] + b" "
        text = np.frombuffer(b"\0" + before + sentence.prompt, np.uint8).astype(np.int32)
        inputs = np.zeros((1, 64), np.int32)
        inputs[0, : len(text)] = text
        logits = np.asarray(apply({"params": params}, {"inputs": jnp.asarray(inputs)}).logits, np.float64)[0, len(text) - 1]
        found.append((np.log(16) + log_softmax(logits[list(sentence.candidates)])[sentence.answer]) / np.log(2))
    return np.array(found)


def bits_are_those_of_the_weights(run: Ran) -> None:
    for arm in ("facts:4:4/full", "facts:4:4/lora@2", "style:capitals:4/full"):  # the last is taught no new facts
        _bits_of(run, arm)


def _bits_of(run: Ran, arm: str) -> None:
    end, own = run.end(arm), run.material
    for metric, paraphrase in (("new_bits", own.order[0]), ("heldout_bits", own.order[-1])):
        assert run.read(metric, arm) == pytest.approx(bits(end, said(own.new, (paraphrase,))).sum(), rel=1e-3, abs=1e-3)
    old = bits(end, said(own.asked, (own.order[0],)))
    assert run.read("old_bits", arm) == pytest.approx(old.mean(), rel=1e-3, abs=1e-3)
    groups = [row["value"] for row in run.rows if row["phase"] == "recall" and row["arm"] == arm and row["metric"] == "old_group_bits"]
    assert groups == pytest.approx([group.mean() for group in np.array_split(old, len(groups))], rel=1e-3, abs=1e-3)
    styled = bits(end, said(own.asked, (own.order[0],), "capitals"))
    assert run.read("styled_bits", arm) == pytest.approx(styled.mean(), rel=1e-3, abs=1e-3)


def the_untouched_base_is_asked_with_a_statement_of_the_fact_and_with_a_stray_one(run: Ran) -> None:
    own = run.material
    asked, told = (said(own.new, (own.order[place],)) for place in (0, -1))
    contexts = {"new": None, "retrieved": [each.text for each in told], "stray": [each.text for each in (*told[4:], *told[:4])]}
    for name, context in contexts.items():
        assert run.read(f"{name}_bits", None, "reference", 0) == pytest.approx(bits(run.base, asked, context).sum(), rel=1e-3, abs=1e-3)
    assert run.read("old_bits", None, "reference", 0) == pytest.approx(bits(run.base, said(own.asked, (own.order[0],))).mean(), abs=1e-3)


def who_counts_values_is_told_beside_the_base(run: Ran) -> None:
    counts = [Counter(column.tolist()) for column in run.material.new.values.T]
    counted = sum(count * np.log2(16 * count / 4) for column in counts for count in column.values())
    (row,) = [row for row in run.rows if row["metric"] == "marginal_bits"]
    assert row["phase"] == "reference" and (row["seed"], row["entities"]) == (0, 4) and row["value"] == pytest.approx(counted, rel=1e-5)


def each_learns_what_it_is_taught(run: Ran) -> None:
    for arm in ("facts:4:4/full", "facts:4:4/lora@2"):
        assert run.read("new_bits", arm) > run.read("new_bits", arm, step=HALF)
    untaught = [run.read("new_bits", arm) for arm in ("noise:4/full", "style:capitals:4/full")]  # noise names them all the same
    assert run.read("new_bits", "facts:4:4/full") > max(untaught) + 5
    score = {arm: run.read("style_score", arm) for arm in ARMS}
    assert score["style:capitals:4/full"] > 0.2 > 1e-3 > max(value for arm, value in score.items() if not arm.startswith("style"))


def learning_rates_are_chosen_by_styles_and_by_facts_and_taken_by_others(run: Ran) -> None:
    selected = {row["arm"] for row in run.rows if row["phase"] == "select"}
    assert selected == set(ARMS) - {"noise:4/full"}
    rates = {row["arm"]: row["learning_rate"] for row in run.rows if row["phase"] == "result"}
    assert rates["noise:4/full"] == rates["facts:4:4/full"] and set(rates) == set(ARMS)


def prices_are_those_of_the_decoder(run: Ran) -> None:
    count = sum(leaf.size for leaf in jax.tree.leaves(run.base))
    prices = {(row["metric"], row.get("how")): row["value"] for row in run.rows if row["phase"] == "cost"}
    assert prices["trained_parameters", "full"] == count
    sites = {"query": (16, 16), "key": (16, 16), "value": (16, 16), "out": (16, 16), "up": (16, 32), "down": (32, 16)}
    assert prices["trained_parameters", "lora@2"] == 2 * sum(map(sum, sites.values()))
    assert prices["training_flops", "lora@2"] < prices["training_flops", "full"]
    assert 2 * 2 * LENGTH * count > prices["query_flops", None] > 0


CHECKS = (
    bits_are_those_of_the_weights,
    the_untouched_base_is_asked_with_a_statement_of_the_fact_and_with_a_stray_one,
    who_counts_values_is_told_beside_the_base,
    each_learns_what_it_is_taught,
    learning_rates_are_chosen_by_styles_and_by_facts_and_taken_by_others,
    prices_are_those_of_the_decoder,
)


@pytest.mark.slow
def test_a_tiny_run_says_what_its_weights_do(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """One test of many parts, so that processes that share the tests do not each make the run."""
    run = made_in(tmp_path / "run")
    assert {"select", "choice", "result", "recall", "reference", "cost"} <= {row["phase"] for row in run.rows}
    for check in CHECKS:
        with subtests.test(check.__name__):
            check(run)
