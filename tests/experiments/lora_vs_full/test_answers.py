"""The answer's words: each hangs on a verdict, none on a difference without an interval over bases; and the table of the report."""

import re

import pytest

from experiments.lora_vs_full.answers import CLAIM, NOTHING, answer
from experiments.lora_vs_full.headlines import COLUMNS, headline
from experiments.lora_vs_full.readings import findings
from research.analysis.contrasts import BASE_LEFT_OUT
from research.findings import Finding
from tests.experiments.lora_vs_full.planted import records

SCALING = "source_loss at equal target"
ROTATED, NOISE = "its own singular values in random directions", "Gaussian noise of its norm"
# lora@2 has more intruders than full and than its own null, lora@8 fewer than either, and full as many as its null has.
OTHERWISE = {
    ("full", "rotated"): 4.0,
    ("lora@2", "none"): 6.0,
    ("lora@2", "rotated"): 2.0,
    ("lora@8", "none"): 2.0,
    ("lora@8", "rotated"): 5.0,
}
VERDICTS = (
    " below ",
    " above ",
    "not told apart",
    "neither more nor less",
    " more (",
    " less (",
    "loses more",
    "loses less",
    "chance alone",
)


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings(records(intruders={("lora@2", "none"): 4.0}))


@pytest.fixture(scope="module")
def otherwise() -> list[Finding]:
    return findings(records(ranks={("full", "source"): 15.0, ("full", "shuffled"): 20.0, ("full", "noise"): 12.0}, intruders=OTHERWISE))


def of(said: str, begins: str) -> str:
    """Returns the one sentence of an answer that begins so."""
    (sentence,) = (each for each in re.split(r"\. (?=[A-Z9])", said) if each.startswith(begins))
    return sentence


def test_the_rank_of_a_full_update_stands_beside_each_null(found: list[Finding], otherwise: list[Finding]) -> None:
    shuffled, source = "training on shuffled labels", "training on the source, which it knows,"
    told, other = (of(answer(some), "90 % of the energy") for some in (found, otherwise))
    assert told.startswith("90 % of the energy of a full update lies in 20.0 [")
    assert f"below {NOISE} (40.0 [" in told and f"below {shuffled} (30.0 [" in told and f"below {source} (25.0 [" in told
    assert f"above {NOISE} (12.0 [" in other and f"not told apart from {shuffled} (20.0 [" in other and f"above {source} (15.0 [" in other


def test_intruders_are_compared_with_fulls_and_with_their_own_null(found: list[Finding], otherwise: list[Finding]) -> None:
    told, other = (of(answer(some), "Of intruders a matrix has 4.0 [") for some in (found, otherwise))
    assert f"after full training, below {ROTATED} (5.0 [" in told
    assert re.search(rf"lora@2 neither more nor less \(-?0\.0 \[-0\.7, 0\.7\]\), below {ROTATED} \(6\.0 \[", told)
    assert re.search(rf"lora@8 more \(2\.0 \[1\.3, 2\.7\]\), not told apart from {ROTATED} \(6\.0 \[", told)
    assert f"after full training, not told apart from {ROTATED} (4.0 [" in other
    assert re.search(rf"lora@2 more \(2\.0 \[1\.3, 2\.7\]\), above {ROTATED} \(2\.0 \[", other)
    assert re.search(rf"lora@8 less \(-2\.0 \[-2\.7, -1\.3\]\), below {ROTATED} \(5\.0 \[", other)
    assert "slow@0.1" not in told and "Not compared: slow@0.1 does not come down to it in 6 of 6 runs" in answer(found)


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        (["lora@2"], "loses less of the source: lora@2 x0.25 -0.10 ["),
        (["lora@8"], "loses more of the source: lora@8 x0.25 0.10 ["),
        (["full"], "is not told apart from it of the source: full x0.25 0.00 ["),
        (["full", "lora@8"], "hangs on the arm and the factor of the source: full x0.25"),
    ],
)
def test_what_scaling_intruders_is_worth(found: list[Finding], arms: list[str], words: str) -> None:
    some = [f for f in found if f.where.get("what") != SCALING or f.where["arm"] in arms]
    told = of(answer(some), "Scaling intruders down")
    assert f"the same loss on the target, {words}" in told and told.count(" x0.") == 2 * len(arms)
    assert "Scaling intruders" not in answer([f for f in found if f.where.get("what") != SCALING])


def test_other_sentences_say_what_was_read(found: list[Finding]) -> None:
    said = answer(found)
    assert said.startswith(f"The target is a text. {CLAIM}.")
    assert (
        "gained there, an update cut to its best directions needs 4.0 [" in said and "of random directions of the same norm 8.0 [" in said
    )
    assert "of noise that has 0.3 of the start's norm (full's update has 0.28 [" in said and "it calls 0.20 [0.18, 0.22] of" in said
    shared = of(said, "What the leading output directions")
    assert (
        "full & another seed's 0.60 [0.55, 0.65] (permuted 0.10 [" in shared and "full & lora@2 0.10 [" in shared and "0.70" not in shared
    )
    assert "as random ones of its norm: full 2.00 [1.56, 2.56], lora@2 2.00 [" in said
    assert said.endswith("where a better one may lie outside, for lora@2.")


def test_intervals_that_are_verdicts_are_counted(found: list[Finding]) -> None:
    judged = [f for f in found if f.name == "contrast"]
    assert len(judged) > 20 and all(f.low is not None and f.n == 3 for f in judged)
    assert f"Of {len(judged)} intervals, each at 95 %, chance alone tells about {0.05 * len(judged):.2g} apart." in answer(found)


@pytest.fixture(scope="module")
def one_base() -> list[Finding]:
    return findings(records(bases=1))


@pytest.mark.parametrize("made", ["one base", "seeds of one base", "without an interval"])
def test_without_an_interval_over_bases_no_sentence_has_a_verdict(found: list[Finding], one_base: list[Finding], made: str) -> None:
    some = {
        "one base": one_base,
        "seeds of one base": [f._replace(note=f"{f.note}; {BASE_LEFT_OUT}") for f in found],
        "without an interval": [f._replace(low=None, high=None) for f in found],
    }[made]
    said = answer(some).replace(CLAIM, "")
    assert not [words for words in VERDICTS if words in said]
    assert f"without an interval over bases beside {NOISE} (" in said and f"without an interval over bases beside {ROTATED} (" in said
    assert re.search(r"lora@2 no verdict, without an interval over bases: \(", said)
    assert "is not judged of the source: full x0.25" in said


def test_where_full_learned_nothing_nothing_is_compared() -> None:
    own = records(learns={"full": -0.1})
    said = findings(own[own.get("at") != "equal"])
    assert answer(said) == f"The target is a text. {CLAIM}. {NOTHING}." and not headline(said)
    assert answer([]) == "" and not headline([])


def test_the_headline_has_a_row_for_each_arm_and_each_null_of_full(found: list[Finding], one_base: list[Finding]) -> None:
    (table,) = headline(found)
    assert table.columns == COLUMNS
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == ["full", "slow@0.1", "lora@2", "lora@8", "full, shuffled labels", "full, on the source"]
    assert [cell.split(" [")[0] for cell in rows["full"]] == ["3.20", "0.28", "20.0", "40.0", "4.0", "5.0", "6.0"]
    assert rows["slow@0.1"] == ("does not come down to it in 6 of 6 runs", *["–"] * 6)
    assert [cell.split(" [")[0] for cell in rows["full, on the source"]] == ["–", "–", "25.0", "–", "4.5", "–", "–"]
    assert "nearest to 3.20 [" in table.caption and "50 % of what full learns: 95 % interval over bases" in table.caption
    (single,) = headline(one_base)
    assert "no interval over one base" in single.caption and "[" not in "".join("".join(row) for row in single.rows)
