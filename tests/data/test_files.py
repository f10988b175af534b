from pathlib import Path

import pytest

from research.data.files import text_documents
from research.errors import UsageError


def test_files_are_found_at_any_depth_and_mended_to_utf8(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.txt").write_text("first é")
    (tmp_path / "deep" / "er" / "b.txt").write_bytes(b"bad \xff byte")
    (tmp_path / "c.md").write_text("no")
    found = text_documents(f"{tmp_path}/**/*.txt")
    assert sorted(found.splits["train"]) == ["bad \ufffd byte".encode(), "first é".encode()]
    assert found.provenance == {"files": 2}


def test_a_home_is_expanded_and_a_bucket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("text")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert text_documents("~/*.txt").splits["train"] == [b"text"]
    with pytest.raises(UsageError, match="text:gs://bucket/.*is a URL"):
        text_documents("gs://bucket/*.txt")


@pytest.mark.parametrize("pattern", ["", "nothing/*.txt", "."])
def test_no_match_is_the_users_mistake(pattern: str) -> None:
    with pytest.raises(UsageError, match="matches no file"):
        text_documents(pattern)


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("text")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UsageError, match="a.txt, which cannot be read"):
        text_documents(f"{tmp_path}/*")
