"""The ledger: counts of shapes that are known by hand, factors that multiply, and words that carry no number but ours."""

import functools
import re

import pandas as pd
import pytest

from experiments.lora_rank_sweep import arm_costs
from experiments.lora_rank_sweep.arm_costs import Budget
from experiments.lora_rank_sweep.ledger import COMPILED, CONFIG, FULL, MATCHED, PRETRAINING, findings, lines, sentence, table
from research.adapters.lora import LoRA
from research.data.batches import batch
from research.data.vocabulary import BYTES
from research.findings import Finding, find
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.optimizers import OptimizerSpec
from research.training.population import Task
from tests.synthetic import synthetic

SMALL = DecoderConfig(vocab_size=10, d_model=16, d_mlp=32, n_layers=1, max_length=8)
SCANNED = DecoderConfig(vocab_size=10, d_model=16, d_mlp=32, n_layers=1, max_length=8, tied=True, scan=True)
TO_BATCH = functools.partial(batch, vocabulary=BYTES)
QUERY = "layers_0/attention/query/kernel$"
WHOLE = 2 * 10 * 16 + 4 * 16 * 16 + 2 * 16 * 32 + 3 * 16  # embedding and head, attention, MLP, norms


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(synthetic())


def value(found: list[Finding], quantity: str, of: str, over: str | None = None) -> float:
    f = find(found, "ledger", quantity=quantity, of=of, over=over)
    assert f is not None and f.value is not None and f.low is None and f.high is None
    return f.value


def test_costs_are_those_counted_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_costs, "compiled_flops", lambda program: 4 * 8 * 777.0)
    full = Task(decoder(SMALL), None, ("^params/",), OptimizerSpec(5), TO_BATCH, row=9)
    lora = Task(decoder(SMALL), LoRA((QUERY,), 4), ("^adapter/",), OptimizerSpec(5), TO_BATCH)
    matched = Task(decoder(SMALL), None, (QUERY,), OptimizerSpec(5), TO_BATCH)
    tasks = {"full": full, "block/lora": lora, "block/matched": matched, "all/matched": matched}
    rows = pd.DataFrame(arm_costs.arm_costs("e", tasks, (0, 1, 2, 4), SMALL, Budget(5, 4), Budget(100, 32)))
    assert lines(rows)[-1].arm == "all" and "flops_per_token_compiled" not in lines(rows)[-1].counts
    ledger = {line.of: line.counts for line in lines(rows) if line.arm != "all"}
    assert list(ledger) == [PRETRAINING, FULL, *(f"LoRA rank {rank}" for rank in (0, 1, 2, 4)), MATCHED]
    moved = {PRETRAINING: WHOLE, FULL: WHOLE, MATCHED: 256, **{f"LoRA rank {rank}": 32 * rank for rank in (0, 1, 2, 4)}}
    for of, count in moved.items():
        steps, size = (100, 32) if of == PRETRAINING else (5, 4)
        counts = ledger[of]
        assert (counts["steps"], counts["tokens"]) == (steps, steps * size * 8)
        assert (counts["trainable_parameters"], counts["checkpoint_bytes"]) == (count, 4 * count)
        assert counts["optimizer_bytes"] == 8 * count + 8  # two moments, and a count each of Adam and of the schedule
        assert counts["flops"] == counts["tokens"] * counts["flops_per_token"]
        assert counts.get("flops_per_token_compiled") == (None if of in (PRETRAINING, "LoRA rank 0", "LoRA rank 2") else 777)
    assert ledger[PRETRAINING]["flops_per_token"] == ledger[FULL]["flops_per_token"]


def test_of_a_base_from_elsewhere_the_weights_are_counted_and_nothing_else_is_claimed() -> None:
    full = Task(decoder(SCANNED), None, ("^params/",), OptimizerSpec(5), TO_BATCH, row=9)
    lora = Task(decoder(SCANNED), LoRA(("layers/attention/query/kernel$",), 4), ("^adapter/",), OptimizerSpec(5), TO_BATCH)
    tasks = {"full": full, "block/lora": lora}
    rows = pd.DataFrame(arm_costs.arm_costs("e", tasks, (0, 1, 4), SCANNED, Budget(5, 4), None))
    assert not (rows["metric"] == "flops_per_token_compiled").any()  # XLA counts the body of a scan once
    counts = {line.of: line.counts for line in lines(rows)}
    assert counts[PRETRAINING] == {"trainable_parameters": WHOLE - 10 * 16} and counts["LoRA rank 4"]["trainable_parameters"] == 32 * 4
    told = findings(rows)
    unknown = find(told, "ledger", of=PRETRAINING, quantity="tokens")
    assert unknown and unknown.value is None and unknown.note.startswith("not measured here")
    assert {f.where["quantity"] for f in told if f.where["over"] == PRETRAINING} == {"trainable_parameters"}
    words, shown = sentence(told), table(told)
    step = value(told, "flops_per_token", "LoRA rank 4", FULL)
    assert words.startswith("What pretraining took was not measured here") and f"takes {step:.2f} of full fine-tuning's FLOPs" in words
    assert "of pretraining's" not in words and "as a factor of full fine-tuning" in shown.caption
    assert dict(zip(shown.columns, shown.rows[0], strict=True))["FLOPs"] == "–" and f"({step:.3g})" in shown.rows[-1][2]


def test_factors_multiply_and_the_bytes_are_no_part_of_the_product(found: list[Finding]) -> None:
    for of in (FULL, MATCHED, "LoRA rank 1", "LoRA rank 32"):
        tokens, step, total = (value(found, name, of, PRETRAINING) for name in ("tokens", "flops_per_token", "flops"))
        assert total == pytest.approx(tokens * step) and tokens == pytest.approx(600 * 4 / (2000 * 32))
    small = value(found, "flops_per_token", "LoRA rank 1", FULL)
    assert small == pytest.approx((4 * 115_000 + 6 * 1024) / (6 * 115_000))
    assert value(found, "flops", "LoRA rank 1", PRETRAINING) == pytest.approx(small * value(found, "flops", FULL, PRETRAINING))
    assert value(found, "checkpoint_bytes", "LoRA rank 1", FULL) == pytest.approx(1024 / 140_544)
    assert value(found, "checkpoint_bytes", "LoRA rank 1") == 4096


def test_every_line_says_where_it_comes_from_and_equal_tokens_are_called_a_choice(found: list[Finding]) -> None:
    methods = {f.where["quantity"]: f.method for f in found}
    assert methods["tokens"] == CONFIG and methods["flops_per_token_compiled"] == COMPILED
    assert methods["flops_per_token"] == "counted by formula" and methods["optimizer_bytes"] == "counted from the shapes"
    assert all("choice of the config" in f.note for f in found if f.where["quantity"] in ("tokens", "steps"))
    assert {f.unit for f in found if f.where["over"]} == {"1"}
    assert not [f for f in found if f.where["of"] == f.where["over"] or (f.where["of"] == PRETRAINING and f.where["over"])]


def test_the_sentence_says_the_products_and_calls_nothing_four_orders(found: list[Finding]) -> None:
    words = sentence(found)
    total = value(found, "flops", "LoRA rank 1", PRETRAINING)
    assert f"the product is 1/{1 / total:.3g} of pretraining's, 1.6 orders of magnitude less" in words
    assert (
        "1/26.7 of pretraining's tokens, a choice of the config" in words
        and "0.68 of full fine-tuning's FLOPs a token by formula (0.68 in" in words
    )
    assert "LoRA rank 32" in words and "1/137 of the parameters" in words and "no factors of the FLOPs" in words
    assert not re.search(r"four|4\.\d orders", words)


def test_the_sentence_changes_with_the_numbers() -> None:
    frame = synthetic()
    frame.loc[(frame["metric"] == "tokens") & (frame["trains"] == "pretraining"), "value"] *= 400
    assert "4.2 orders of magnitude less" in sentence(findings(frame))


def test_without_pretraining_no_factor_over_it_is_claimed() -> None:
    frame = synthetic()
    old = findings(frame[~((frame["phase"] == "cost") & ((frame["trains"] == "pretraining") | (frame["metric"] == "tokens")))])
    assert sentence(old) == "" and {f.where["over"] for f in old} == {None, FULL}
    assert findings(pd.DataFrame()) == [] and sentence([]) == "" and table([]).rows == ()


def test_the_table_has_a_row_for_each_line_with_its_factor(found: list[Finding]) -> None:
    shown = table(found)
    assert [row[0] for row in shown.rows[:3]] == [PRETRAINING, FULL, "LoRA rank 1"] and len(shown.rows) == 9
    assert shown.rows[0][1] == "4.1M" and shown.rows[1][1] == "154k (0.0375)" and all(len(row) == len(shown.columns) for row in shown.rows)
    arms = table(findings(synthetic(arms=("block", "all"), ranks=(1,))))
    assert [row[0] for row in arms.rows[2:]] == ["LoRA rank 1", MATCHED]  # of the first arm
