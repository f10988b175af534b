"""summary.json is strict, report.html is whole and asks for nothing."""

import html
import json
import re

import numpy as np
import pytest

from research.errors import UsageError
from research.figures import report, style
from research.figures.style import Captioned, sentence
from research.findings import Finding, Table

TABLES = (Table(("from", "loss"), (("a|b", "2.35 [2.30, 2.40]"), ("<b>", "not reached at the largest rank (4)")), "Loss & *more*."),)
PROVENANCE = {
    "config": {"ranks": (1, 2), "model": {"d_model": np.int64(64)}},
    "fingerprints": {},
    "versions": {},
    "devices": ["cpu"],
    "seconds": {},
}


def _finding(**changes):
    row = {
        "name": "r90",
        "where": {"init": "random"},
        "value": 2.0,
        "low": 1.5,
        "high": 2.5,
        "unit": "rank",
        "n": 3,
        "method": "t",
        "note": "",
    }
    return Finding(**{**row, **changes})


def _summary(folder, findings, answer="Yes."):
    return report.write_summary(folder / "summary.json", "lora_rank_sweep", "Why?", answer, findings, PROVENANCE)


def _strict(text):
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_summary_is_strict_json_of_the_contract(tmp_path):
    finding = _finding(value=np.float32(0.5), low=float("nan"), high=np.inf, n=np.int64(3), where={"rank": np.int32(4)})
    returned = _summary(tmp_path, [finding])
    read = _strict((tmp_path / "summary.json").read_text())
    assert read == returned
    assert list(read) == ["experiment", "question", "answer", "findings", "provenance"]
    (row,) = read["findings"]
    assert list(row) == ["name", "where", "value", "low", "high", "unit", "n", "method", "note"]
    assert (row["value"], row["low"], row["high"], row["n"], row["where"]) == (0.5, None, None, 3, {"rank": 4})
    assert "low, high not finite" in row["note"]
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_censored_finding_keeps_its_note(tmp_path):
    (row,) = _summary(tmp_path, [_finding(value=None, low=None, high=None, note="not reached")])["findings"]
    assert row["value"] is None and row["note"] == "not reached"


def test_report_holds_everything_and_nothing_from_outside(tmp_path):
    findings = [_finding(), _finding(name="lr_ratio", where={"arm": "block"}, value=None, low=None, high=None, note="edge <of> grid")]
    figures = {"ranks": Captioned(sentence("none yet"), "A caption & more.")}
    path = tmp_path / "report.html"
    report.write_report(path, _summary(tmp_path, findings, "<b>few</b>"), TABLES, figures, [{"stage": "training", "cells": 162}])
    page = path.read_text()
    for word in (
        "Why?",
        html.escape("<b>few</b>"),
        "A caption &amp; more.",
        "edge &lt;of&gt; grid",
        "training",
        "162",
        "model.d_model",
        "1.5 to 2.5",
    ):
        assert word in page
    assert "<b>few</b>" not in page and "<script" not in page
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert re.search(r'<img src="data:image/png;base64,[^"]+" width="870" height="180" alt="[^"]+"', page)
    assert page.count('<td class="number value">–</td>') == 1


def test_report_without_figures_findings_and_runs(tmp_path):
    path = tmp_path / "report.html"
    report.write_report(path, _summary(tmp_path, []), (), {}, [])
    assert "| --- |" not in path.with_suffix(".md").read_text()
    assert all(word in path.read_text() for word in ("No findings yet.", "No figures yet.", "Nothing was run."))


def test_the_answer_its_table_and_the_figures_come_first_and_the_rest_is_folded(tmp_path):
    path = tmp_path / "report.html"
    figures = {"ranks": Captioned(sentence("none yet"), "A caption.")}
    summary = _summary(tmp_path, [*(_finding(name="recovered", where={"rank": rank}) for rank in range(17)), _finding()])
    report.write_report(path, summary, TABLES, figures, [{"stage": "training", "cells": 162}])
    page = path.read_text()
    body = page[page.index("<main>") :]
    words = (
        "Yes.",
        "2.35 [2.30, 2.40]",
        "Loss &amp; *more*.",
        "A caption.",
        "All findings",
        "17 values",
        "1 value<",
        "training",
        "d_model",
    )
    places = [body.index(word) for word in words]
    assert places == sorted(places)
    assert "<details" not in body[: body.index("All findings")] and "<details open" not in body
    inside = "".join(re.findall(r"<details>.*?</details>", body, re.DOTALL))
    assert inside.count("<table>") == body.count("<table>") - len(TABLES)


def test_a_report_to_paste_holds_question_answer_table_and_captions(tmp_path):
    figures = {"../odd": Captioned(sentence("none yet"), "Below\n90 %.")}
    report.write_report(tmp_path / "report.html", _summary(tmp_path, []), TABLES, figures, [])
    parts = (tmp_path / "report.md").read_text().rstrip("\n").split("\n\n")
    assert parts[:2] == ["## Why?", "Yes."]
    table = ["| from | loss |", "| --- | --- |", r"| a\|b | 2.35 [2.30, 2.40] |", r"| \<b> | not reached at the largest rank (4) |"]
    assert parts[2:4] == ["\n".join(table), r"Loss & \*more\*."]
    (saved,) = (path.name for path in style.save(figures["../odd"].figure, tmp_path / "figures", "../odd") if path.suffix == ".png")
    assert parts[4:] == [f"`figures/{saved}`: Below 90 %."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Short.", ["Short."]),
        ("Short.\n\nLong.\n", ["Short.", "Long."]),
        ("\n\n Short.\nStill. \n\n\n\nLong.", ["Short.\nStill.", "Long."]),
        ("", []),
    ],
)
def test_paragraphs_are_parted_by_empty_lines(text, expected):
    assert report.paragraphs(text) == expected


def test_an_answer_of_two_paragraphs_is_two_on_the_page_and_in_markdown(tmp_path):
    report.write_report(tmp_path / "report.html", _summary(tmp_path, [], "In <short>.\n\nAt *length*."), TABLES, {}, [])
    (answer,) = re.findall(r'<div class="answer">(.*?)</div>', (tmp_path / "report.html").read_text(), re.DOTALL)
    assert answer == "<p>In &lt;short&gt;.</p><p>At *length*.</p>"
    assert (tmp_path / "report.md").read_text().split("\n\n")[1:3] == [r"In \<short>.", r"At \*length\*."]


def test_tables_group_by_name_and_say_shared_words_once():
    rows = [_finding()._asdict(), _finding(name="loss")._asdict(), _finding(where={"arm": "all"}, method="other")._asdict()]
    r90, loss = report.finding_tables(rows)
    assert (r90["name"], r90["columns"], r90["unit"], r90["method"], len(r90["rows"])) == ("r90", ["init", "arm"], "rank", "", 2)
    assert loss["method"] == "t"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (2.35123, "2.351"),
        (-0.5, "−0.5"),
        (131072, "131,072"),
        (131072.0, "131,072"),
        (1e-5, "1e−05"),
        ("block", "block"),
        (True, "True"),
    ],
)
def test_numbers_for_readers(value, text):
    assert report.number(value) == text


def test_unwritable_folder_is_the_users_mistake(tmp_path):
    with pytest.raises(UsageError, match=r"summary\.json"):
        _summary(tmp_path / "missing", [])


def test_same_input_same_bytes(tmp_path):
    pages = []
    for name in ("a", "b"):
        report.write_report(tmp_path / name, _summary(tmp_path, [_finding()]), TABLES, {"words": Captioned(sentence("one"), "c")}, [])
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
