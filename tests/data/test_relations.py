"""A set of relations is made from the authors' files and says of each subject in which it stands."""

import json
from pathlib import Path

import pytest

from research.data.relations import COMMAND, Subject, load_relations, prepare
from research.errors import UsageError

FACTS = {"capital": [("France", "Paris"), ("Peru", "Lima")], "language": [("Peru", "Spanish"), ("Peru", "Quechua"), ("Chile", "Spanish")]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder of relations as the authors write them; sets are sought and made in another."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "sets"))
    for name, facts in FACTS.items():
        samples = [{"subject": subject, "object": its} for subject, its in facts]
        said = {"name": name, "prompt_templates": ["{} has"], "properties": {"relation_type": "factual"}, "samples": samples}
        path = tmp_path / "data" / "factual" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(said))
    return tmp_path / "data"


def test_what_is_prepared_is_read_again(folder: Path) -> None:
    made = prepare(folder)
    assert (made / "dataset_info.json").is_file()
    found = load_relations("tfds:lre_relations")
    expected = (Subject("Chile", ("language",)), Subject("France", ("capital",)), Subject("Peru", ("capital", "language")))
    assert found.subjects == expected and found.name == "tfds:lre_relations/1.0.0"


def test_what_is_not_there_comes_with_what_prepares_it(folder: Path) -> None:
    with pytest.raises(UsageError, match="not prepared under") as error:
        load_relations("tfds:lre_relations")
    assert str(error.value).endswith(COMMAND) and "tfds build" not in str(error.value)
    with pytest.raises(UsageError, match="write tfds:lre_relations"):
        load_relations("relations")
    with pytest.raises(UsageError, match="has no CATEGORY/RELATION.json"):
        prepare(folder / "factual")
