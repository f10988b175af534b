import glob
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from research.data.files import matches, text_documents
from research.errors import UsageError


def test_files_are_found_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.txt").write_text("first é")
    (tmp_path / "deep" / "er" / "b.txt").write_bytes(b"bad \xff byte" + b" and good ones" * 100)
    (tmp_path / "c.md").write_text("no")
    found = text_documents(f"{tmp_path}/**/*.txt")
    assert sorted(found.splits["train"]) == ["bad \ufffd byte".encode() + b" and good ones" * 100, "first é".encode()]
    assert found.provenance == {"files": 2, "files_read": 2, "files_cut": 0, "replaced_bytes": 1}


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

    def refuse(path: Path, mode: str) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match="a.txt, which cannot be read"):
        text_documents(f"{tmp_path}/*")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "old.txt").write_bytes("Söhne".encode("cp1252"))
    with pytest.raises(UsageError, match="matches .*old.txt, which is not text in UTF-8"):
        text_documents(f"{tmp_path}/*")


@pytest.mark.parametrize(
    "pattern", ["*", "**", "**/*.txt", "a*/**/x.tx?", "**/deep/**", "[ab]/*", "a/../b/*.txt", "**/.hidden/*", "./a//deep"]
)
def test_without_links_it_finds_what_glob_finds(tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/x.txt", "a/deep/er/x.txt", "b/x.txt", "b/deep/y.md", ".hidden/x.txt", "x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    for start in ("", f"{tmp_path}/"):
        expected = {path.resolve() for path in map(Path, glob.glob(start + pattern, recursive=True)) if path.is_file()}
        assert {path.resolve() for path in matches(start + pattern)} == expected


def test_links_list_no_file_twice_and_end_at_once(tmp_path: Path) -> None:
    folders = [tmp_path / "tree" / f"f{i}" for i in range(8)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "x.txt").write_text(folder.name)
    for folder in folders:  # from each folder to each: a walk that looks at ancestors alone goes 8! ways
        (folder / "self").symlink_to(".")
        for other in folders:
            (folder / f"to_{other.name}").symlink_to(other)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "y.txt").touch()
    (tmp_path / "tree" / "other").symlink_to(tmp_path / "other")
    (folders[0] / "again.txt").symlink_to("x.txt")
    (folders[0] / "broken.txt").symlink_to("nowhere")
    start = time.monotonic()
    found = matches(f"{tmp_path}/tree/**/*.txt")
    assert time.monotonic() - start < 5
    assert sorted(os.path.realpath(path) for path in found) == sorted(
        os.path.realpath(path) for path in [*(folder / "x.txt" for folder in folders), tmp_path / "other" / "y.txt"]
    )
    assert matches(f"{tmp_path}/tree/f1/to_f2/*.txt") == [folders[1] / "to_f2" / "x.txt"]


def test_a_limit_bounds_what_is_read_of_one_file(tmp_path: Path) -> None:
    with (tmp_path / "huge.txt").open("wb") as file:
        file.write("ab日".encode() * 30_000)
        file.truncate(3 * 2**30)  # sparse: it takes no room
    tracemalloc.start()
    found = text_documents(f"{tmp_path}/*.txt", 100_004)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21
    assert found.splits["train"] == ["ab日".encode() * 20_000 + b"ab"] and found.provenance["files_cut"] == 1


def test_a_limit_reads_the_same_files_wherever_they_lie_and_whatever_their_age(tmp_path: Path) -> None:
    found = []
    for place in ("here", "there/far"):
        folder = tmp_path / place / "texts"
        for i in range(60):
            path = folder / f"f{i % 7}" / f"{i}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"file {i:02} " * 10)
            os.utime(path, (i, i) if place == "here" else (100 - i, 100 - i))
        found.append(text_documents(f"{folder}/**/*.txt", 1800))
    assert found[0] == found[1]
    assert found[0].provenance == {"files": 60, "files_read": 23, "files_cut": 0, "replaced_bytes": 0}
    firsts = {int(text.split()[1]) for text in found[0].splits["train"]}
    assert firsts != set(range(23)) and len(firsts) == 23
    everything = text_documents(f"{tmp_path}/here/**/*.txt", 10**6).splits["train"]
    assert sorted(everything) == sorted(text_documents(f"{tmp_path}/here/**/*.txt").splits["train"]) and len(everything) == 60
