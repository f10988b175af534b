"""A name of the hub is its cached snapshot where there is no network; each failure is one line."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import filter_repo_objects
from safetensors.numpy import save_file

from research.errors import UsageError
from research.pretrained import hub
from research.pretrained.sources import find
from tests.pretrained.make_goldens import GOLDENS
from tests.pretrained.written_gguf import tensors_of

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


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns what was downloaded so far of a hub whose one repository is the folder `remote`, beside the cache `local`."""
    found: list[str] = []

    def download(name: str, revision: str | None, allow_patterns: list[str], ignore_patterns: list[str]) -> str:
        assert revision == (COMMITS["main"] if found else None)  # one commit, whatever is pushed meanwhile
        folder = tmp_path / "local" / COMMITS["main"]
        folder.mkdir(parents=True, exist_ok=True)
        names = sorted(path.name for path in (tmp_path / "remote").iterdir())
        for file in filter_repo_objects(names, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns):
            shutil.copy(tmp_path / "remote" / file, folder)
            found.append(file)
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", download)
    return found


def test_a_config_that_is_refused_is_all_that_is_downloaded(tmp_path: Path, fetched: list[str]) -> None:
    shutil.copytree(GOLDENS / "olmo2", tmp_path / "remote")
    (tmp_path / "remote" / "config.json").write_text('{"model_type": "gemma2"}')
    with pytest.raises(UsageError, match="model_type = 'gemma2' is not implemented"):
        find("hf:someone/gemma")
    assert fetched == ["config.json"]


@pytest.mark.parametrize("whole", [True, False])
def test_the_weights_that_count_and_the_whole_tokenizer_are_downloaded(whole: bool, tmp_path: Path, fetched: list[str]) -> None:
    described = ["config.json", "chat_template.jinja", "merges.txt", "special_tokens_map.json", "tokenizer.model", "vocab.json"]
    shards = sorted(path.name for path in (GOLDENS / "olmo2").glob("model-*.safetensors"))
    remote = tmp_path / "remote"
    shutil.copytree(GOLDENS / "olmo2", remote)
    if whole:
        (remote / "model.safetensors.index.json").unlink()
        save_file(tensors_of(GOLDENS / "olmo2"), remote / "model.safetensors")
    for name in (*described[1:], "consolidated.safetensors", "adapter_model.safetensors", "pytorch_model.bin", "README.md"):
        (remote / name).write_text("{}")
    assert find("hf:someone/olmo").family == "olmo2"
    assert sorted(fetched) == sorted([*described, *(["model.safetensors"] if whole else ["model.safetensors.index.json", *shards])])


def test_an_index_that_names_no_shards_downloads_no_weights(tmp_path: Path, fetched: list[str]) -> None:
    shutil.copytree(GOLDENS / "olmo2", tmp_path / "remote")
    (tmp_path / "remote" / "pytorch_model.bin").write_bytes(b"never opened")
    for index, words in (({"a": ["x"]}, "names no shards"), ({"a": "*.bin"}, r"names the shard \*.bin"), ({"a": "*.safetensors"}, "shard")):
        (tmp_path / "remote" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
        fetched.clear()
        with pytest.raises(UsageError, match=words):
            find("hf:someone/olmo")
        assert sorted(fetched) == ["config.json", "model.safetensors.index.json"]
