"""README and docs show what their records say: no table is stale, no measured number stands outside of a marked block."""

import json
import math
import re
from pathlib import Path

import pytest

from docs import remake
from research.figures import documents, report
from tests.commands import ran

NUMBER = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?")
MEASURED = re.compile(r"\[\d[\d.,]*, (?:\d[\d.,]*|open)\]|\d ?(?:bits|ms|GB|MB|minutes?|seconds?|tokens/s)\b|\d\.\d+ (?:to|±)")
PAGES = list(remake.pages())
WORDS = remake.words()


def numbers(text: str) -> list[float]:
    return [float(word.replace(",", "").replace("−", "-")) for word in NUMBER.findall(text)]


def assert_agrees(old: str, new: str) -> None:
    """Asserts that two texts say the same, numbers to one unit of their last digit: another processor may round them otherwise."""
    assert NUMBER.sub("#", old) == NUMBER.sub("#", new)
    for before, after in zip(numbers(old), numbers(new), strict=True):
        assert math.isclose(before, after, rel_tol=0.02, abs_tol=1e-9), (before, after)


@pytest.mark.parametrize("word", WORDS)
def test_a_summary_says_what_its_records_say(word: str) -> None:
    made, summary = remake.concluded(word), json.loads((remake.results_of(word) / "summary.json").read_text())
    assert_agrees(summary["answer"], made.answer)
    found = report.plain([finding._asdict() for finding in made.findings])
    assert [(f["name"], f["where"]) for f in found] == [(f["name"], f["where"]) for f in summary["findings"]]
    for old, new in zip(summary["findings"], found, strict=True):
        before, after = ([f[key] for key in ("value", "low", "high")] for f in (old, new))
        assert [x is None for x in before] == [x is None for x in after], (old["name"], old["where"])
        assert [x or 0 for x in before] == pytest.approx([x or 0 for x in after], rel=1e-6, abs=1e-9), (old["name"], old["where"])


@pytest.mark.parametrize("page", PAGES, ids=[path.name for path in PAGES])
def test_marked_blocks_are_what_the_records_make(page: Path) -> None:
    text = page.read_text()
    old, new = documents.blocks(text), documents.blocks(documents.filled(text, remake.runs()))
    assert old.keys() == new.keys()
    for words, body in old.items():
        assert_agrees(body, new[words])


def prose(page: str) -> str:
    """Returns a page without its marked blocks and its code."""
    return re.sub(r"```.*?```|`[^`]*`|^    .*$", "", documents.without_blocks(page), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [path for path in PAGES if "results" not in path.parts], ids=lambda path: path.name)
def test_no_measured_number_stands_outside_of_a_block(page: Path) -> None:
    said = [match[0] for match in MEASURED.finditer(prose(page.read_text()))]
    assert said == []


@pytest.mark.parametrize("words", ["4.9 [3.5, 6.6]", "rank 1 reaches 2.88 bits", "it takes 5 minutes", "1.2 GB", "786 [776, open]"])
def test_a_measured_number_would_be_seen(words: str) -> None:
    assert MEASURED.search(prose(f"Text.\n\n<!-- begin x answer -->\n1 GB\n<!-- end -->\n{words}"))
    assert not MEASURED.search(prose(f"Text `{words}`.\n\n<!-- begin x answer -->\n{words}\n<!-- end -->\n"))


def test_every_page_has_its_experiment_and_the_records_of_its_default(root: Path) -> None:
    pages = {path.stem for path in (root / "docs" / "experiments").glob("*.md")}
    assert pages == {word for word in WORDS if ":" not in word} <= {path.stem for path in remake.catalog.configs(root)}


def test_links_and_images_lead_somewhere(root: Path) -> None:
    for page in PAGES:
        text = page.read_text()
        links = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'(?:src|href)="([^"#]+)"', text)
        lost = [link for link in links if "://" not in link and not (page.parent / link).exists()]
        assert lost == [], page
    assert len((root / "README.md").read_text().splitlines()) <= 150 + 4 * (len(WORDS) - 3)


def test_an_experiment_is_the_two_files_that_the_page_shows(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (root / "docs" / "adding_an_experiment.md").read_text()
    files = re.findall(r"`((?:configs|experiments)/mine\.py)`:\n\n```python\n(.*?)```", text, flags=re.DOTALL)
    assert [name for name, _ in files] == ["configs/mine.py", "experiments/mine.py"]
    for name, code in files:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(code)
    assert ran(f"--config={tmp_path}/configs/mine.py", f"--workdir={tmp_path}/run") == 0
    assert re.search(r"The mean is -?\d\.\d\d\.", capsys.readouterr().out)
    assert (tmp_path / "run" / "report.html").exists()
