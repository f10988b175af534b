"""A name of the hub is its cached snapshot where there is no network; each failure is one line."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from research.errors import UsageError
from research.pretrained import hub
from research.pretrained.sources import find
from tests.pretrained.make_goldens import GOLDENS

COMMITS = {"main": "a" * 40, "step1000": "b" * 40}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the hub's cache, offline, with two revisions of one model as huggingface_hub lays them out."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = tmp_path / "models--someone--tiny"
    for case, revision in (("qwen2", "main"), ("gpt2", "step1000")):
        snapshot = model / "snapshots" / COMMITS[revision]
        snapshot.mkdir(parents=True)
        (model / "blobs").mkdir(exist_ok=True)
        for file in (GOLDENS / case).iterdir():
            shutil.copy(file, model / "blobs" / f"{case}-{file.name}")
            os.symlink(f"../../blobs/{case}-{file.name}", snapshot / file.name)
        (model / "refs").mkdir(exist_ok=True)
        (model / "refs" / revision).write_text(COMMITS[revision])
    return tmp_path


def test_a_cached_name_needs_no_network(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find("hf:someone/tiny").family == "qwen2"
    assert find("hf:someone/tiny@step1000").family == "gpt2"
    assert find(f"hf:someone/tiny@{COMMITS['step1000']}").identity == find(f"hf:{GOLDENS / 'gpt2'}").identity
    (tmp_path / "someone" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="has no config.json"):
        find("hf:someone/tiny")  # the folder wins, though it holds nothing


@pytest.mark.parametrize("word", ["hf:someone/else", "hf:someone/tiny@step2000", "hf:tiny"])
def test_what_is_not_cached_is_said_in_one_line(word: str, cache: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find(word)
    assert f"{word}: no such folder, not in the hub's cache, and the hub cannot be reached" in str(caught.value)
    assert "\n" not in str(caught.value)


def raising(error: type[Exception]) -> Callable[..., Any]:
    def download(name: str, **rest: Any) -> str:
        assert not any(pattern.endswith(".bin") for pattern in rest["allow_patterns"])
        request = httpx2.Request("GET", "https://huggingface.co")
        raise error("several\nlines", response=httpx2.Response(404, request=request))

    return download


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (GatedRepoError, "`hf auth login`"),
        (RepositoryNotFoundError, "no such folder, and no such model on the hub"),
        (RevisionNotFoundError, "someone/tiny has no revision 'step7'"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "snapshot_download", raising(error))
    with pytest.raises(UsageError) as caught:
        find("hf:someone/tiny@step7")
    assert words in str(caught.value) and "\n" not in str(caught.value)
