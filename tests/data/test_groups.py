from pathlib import Path

import numpy as np
import pytest

from research.data.corpus import PARTS, Corpus, DataSpec, load_corpus
from research.data.streams import MOST_GROUPS
from research.data.vocabulary import BYTES


def _corpus(folder: Path, count: int, test_bytes: int) -> Corpus:
    for i in range(count):
        (folder / f"{i}.txt").write_text(f"document {i} é " + "word " * (i % 40))
    return load_corpus(DataSpec(f"text:{folder}/*", 500, test_bytes, 500))


@pytest.mark.parametrize(("count", "test_bytes"), [(40, 500), (2000, 40_000)])
def test_groups_are_of_whole_documents_and_leave_separators_out(tmp_path: Path, count: int, test_bytes: int) -> None:
    corpus = _corpus(tmp_path, count, test_bytes)
    assert corpus.groups.keys() == set(PARTS) - {"train"}
    for part, groups in corpus.groups.items():
        tokens = corpus.parts[part]
        assert groups.shape == tokens.shape and groups.dtype == np.int32
        assert np.array_equal(groups == -1, tokens == BYTES.separator)
        documents = [set(run[run >= 0].tolist()) for run in np.split(groups, np.flatnonzero(groups == -1))]
        assert all(len(found) == 1 for found in documents) and len(documents) == corpus.provenance["documents"][part]
        assert set.union(*documents) == set(range(min(len(documents), MOST_GROUPS)))


def test_many_documents_are_gathered_into_groups_of_about_equal_bytes(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, 2000, 40_000)
    groups = corpus.groups["test"]
    weights = np.bincount(groups[groups >= 0])
    assert corpus.provenance["documents"]["test"] > 3 * MOST_GROUPS == 3 * len(weights)
    assert weights.max() - weights.min() <= 0.05 * weights.mean()
    assert weights.sum() == corpus.provenance["bytes"]["test"]
