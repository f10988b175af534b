"""Marked blocks: filled from a run, again and again the same; what they ask for and is not there is named."""

import pytest

from research.errors import UsageError
from research.figures.documents import Runs, Shown, blocks, filled, without_blocks
from research.findings import Finding, Table

PROVENANCE = {
    "versions": {"python": "3.11.7", "jax": "0.10.2"},
    "devices": ["2 x cpu: cpu"],
    "seconds": {"run": 100.0, "report": 20.0, "data": 5.0},
    "peak_memory_bytes": 1.25e9,
}
SUMMARY = {"question": "Why?", "answer": "Because 1 < 2.", "provenance": PROVENANCE, "experiment": "mine"}
FOUND = [
    Finding("loss", {"init": init, "rank": rank, "arm": "a"}, rank / 3, 0.1, 0.9, "bits/byte", 3, "t") for init in "pr" for rank in (1, 2)
]
RUNS = {"mine": Shown(SUMMARY, FOUND, (Table(("from", "loss"), (("p", "1 [0, 2]"),), "Read it so."),), "curve")}
RUNS["mine:small"] = RUNS["mine"]


def block(words: str, runs: Runs = RUNS) -> str:
    page = filled(f"before\n<!-- begin {words} -->\nstale\n<!-- end -->\nafter\n", runs)
    assert filled(page, runs) == page
    assert without_blocks(page) == "before\n\nafter\n"
    return blocks(page)[words]


def test_each_kind_shows_its_part() -> None:
    assert block("mine answer") == "> Because 1 \\< 2.\n"
    assert block("mine headline") == "| from | loss |\n| --- | --- |\n| p | 1 [0, 2] |\n\nRead it so.\n"
    assert block("mine:small cost") == "Costs 2.0 minutes and 1.2 GB on 2 x cpu: cpu (Python 3.11.7, JAX 0.10.2).\n"
    assert block("mine table loss init=p").splitlines() == [
        "| rank | loss (bits/byte) | n |",
        "| --- | --- | --- |",
        "| 1 | 0.333 [0.100, 0.900] | 3 |",
        "| 2 | 0.667 [0.100, 0.900] | 3 |",
    ]
    assert block("mine table loss").splitlines()[0] == "| init | rank | loss (bits/byte) | n |"


def test_the_gallery_has_one_line_a_default() -> None:
    lines = block("gallery").splitlines()
    assert len(lines) == 3
    assert all(
        words in lines[2] for words in ("docs/experiments/mine.md", "mine/default/curve.png", "Why?", "2.0 minutes", "configs/mine.py")
    )


def test_a_page_has_every_paragraph_of_an_answer_and_the_gallery_the_first() -> None:
    runs = {"mine": RUNS["mine"]._replace(summary={**SUMMARY, "answer": "In | short.\n\nAt length 1 < 2."})}
    assert block("mine answer", runs) == "> In \\| short.\n>\n> At length 1 \\< 2.\n"
    (line,) = (line for line in block("gallery", runs).splitlines() if "mine" in line)
    assert "Why?** In \\| short.<br>" in line and "length" not in line
    silent = {"mine": RUNS["mine"]._replace(summary={**SUMMARY, "answer": ""})}
    assert "Why?** <br>" in block("gallery", silent) and block("mine answer", silent).strip() == ""


def test_a_block_without_its_end_swallows_nothing() -> None:
    with pytest.raises(UsageError, match="'mine answer' has no"):
        filled("<!-- begin mine answer -->\nwords\n<!-- begin mine cost -->\n<!-- end -->\n", RUNS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [("other answer", "no run stands"), ("mine", "choose among"), ("mine picture", "choose among"), ("mine table gain", "it has: loss")],
)
def test_what_is_not_there_is_named(words: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        block(words)
