"""A study's two texts: what is held out of the target leaves every source."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research.cells import starts as studies
from research.cells.pretraining import Base
from research.cells.starts import bases
from research.cells.study import Study, corpora, whole
from research.data.corpus import Corpus, DataSpec
from research.data.vocabulary import BYTES
from research.models.configuration import DecoderConfig
from research.optimizers import OptimizerSpec
from research.runtime.progress import Progress
from research.runtime.provenance import provenance
from research.runtime.workdir import Workdir
from research.training.mesh import MeshSpec

MODEL = {"d_model": 8, "n_layers": 1, "n_heads": 1, "n_kv_heads": 1, "d_mlp": 8, "max_length": 8}
PRETRAINING = {"steps": 1, "batch_size": 1, "accumulate": 1, "learning_rate": 1e-3, "schedule": "cosine", "warmup": 0.0, "bases": 1}


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Workdir]:
    with Workdir(tmp_path / "run", {}) as opened:
        yield opened


def _study(tmp_path: Path, source: str, target: str) -> Study:
    for folder, name in (("a", "medical"), ("a", "other"), ("b", "third")):
        (tmp_path / folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(80):
            (tmp_path / folder / name / f"{i}.txt").write_text(f"{name} {i} " + "word " * (i % 30))
    for i in range(80):  # the other folder holds copies with Windows' line ends
        (tmp_path / "b" / "third" / f"copy{i}.txt").write_bytes((tmp_path / "a" / "medical" / f"{i}.txt").read_bytes() + b"\r\n")
    data = [DataSpec(f"text:{tmp_path}/{glob}", 800, 800, 800, max_bytes=2**31) for glob in (source, target)]
    return Study(*data, DecoderConfig(**MODEL), PRETRAINING, OptimizerSpec(steps=1), MeshSpec())


def _corpora(study: Study, workdir: Workdir) -> tuple[Corpus, ...]:
    return corpora(study, (study.target,), workdir)


def _documents(corpus: Corpus, *parts: str) -> set[str]:
    return {document for part in parts for document in BYTES.decode(corpus.parts[part]).split("\0")}


def test_the_source_lacks_what_the_target_holds_out_and_the_summary_says_so(tmp_path: Path, workdir: Workdir) -> None:
    source, target = _corpora(_study(tmp_path, "a/**/*.txt", "a/medical/*.txt"), workdir)
    assert _documents(source, "train") & _documents(target, "train")
    assert not _documents(source, "train") & _documents(target, "validation", "test")
    texts = provenance({}, {}, [], workdir.timings.rows)["texts"]
    assert texts[source.source]["dropped_held_out"] > 0 == texts[target.source]["dropped_held_out"]
    assert texts[source.source]["files_read"] == 160


def test_a_source_lacks_what_any_of_several_targets_holds_out(tmp_path: Path, workdir: Workdir) -> None:
    one, other = (_study(tmp_path, "a/**/*.txt", f"a/{folder}/*.txt") for folder in ("medical", "other"))
    source, *targets = corpora(one, (one.target, other.target), workdir)
    for target in targets:
        assert not _documents(source, "train") & _documents(target, "validation", "test", "final")
        assert _documents(source, "train") & _documents(target, "train")


def test_one_text_is_source_and_target_alike(tmp_path: Path, workdir: Workdir) -> None:
    source, target = _corpora(_study(tmp_path, "a/**/*.txt", "a/**/*.txt"), workdir)
    assert source is target and source.provenance["dropped_held_out"] == 0


def test_a_text_that_an_initialization_names_is_a_source_too(tmp_path: Path, workdir: Workdir, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _study(tmp_path, "a/other/*.txt", "a/medical/*.txt")
    pretrained_on = []

    def pretrain(spec: Any, corpus: Corpus, mesh: Any, progress: Any) -> Any:
        pretrained_on.append(corpus)
        return Base({"w": np.zeros(1)}, "fingerprint", 0.0)

    monkeypatch.setattr(studies, "pretrain", pretrain)
    source, target = _corpora(study, workdir)
    index = {("pretrained", 0): 0, (f"pretrained:text:{tmp_path}/b/**/*.txt", 0): 1}
    bases(study, index, (source, target), workdir, Progress())
    assert pretrained_on[0] is source
    assert _documents(pretrained_on[1], "train") & _documents(target, "train")
    assert not _documents(pretrained_on[1], "train") & _documents(target, "validation", "test")
    assert provenance({}, {}, [], workdir.timings.rows)["texts"][pretrained_on[1].source]["dropped_held_out"] > 0


def test_groups_of_which_nothing_is_scored_are_left_out(tmp_path: Path, workdir: Workdir) -> None:
    study = _study(tmp_path, "a/**/*.txt", "a/**/*.txt")
    target = _corpora(study, workdir)[1]
    groups, size = target.groups["test"].copy(), target.bytes["test"].copy()
    size[groups == 1] = 0.0  # as of a document behind the last whole window
    weights = whole(study, target._replace(bytes={**target.bytes, "test": size}), "test", "target_loss").weights()
    assert len(weights) == groups.max() and (weights > 0).all()
    assert len(whole(study, target, "test", "target_loss").weights()) == groups.max() + 1
