"""Activations on disk are those in memory, and leave no file behind."""

from pathlib import Path

import numpy as np
import pytest

from experiments.probing.encoders import encoder, read
from experiments.probing.probed import Programs, features, probe
from experiments.probing.space import space
from research.cells.study import model_of
from tests.experiments.probing.test_encoders import PLACES, ROWS, params, study, task
from tests.experiments.probing.test_probed import CLASSES, DEEP, planted
from tests.experiments.probing.test_probed import task as labeled


def test_what_is_read_to_disk_is_what_is_read_to_memory(tmp_path: Path) -> None:
    own = study()
    weights, encode, some = params(own), encoder(own, model_of(own), (0, 1, 3)), [task(*PLACES)]
    with space(tmp_path, most=1000) as disk, space(tmp_path) as memory:
        (on_disk,), (held,) = (read(encode, weights, ROWS, some, room) for room in (disk, memory))
        assert isinstance(on_disk, np.memmap) and not isinstance(held, np.memmap)
        np.testing.assert_array_equal(on_disk, held)
        assert np.abs(held).max() > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_probes_of_activations_on_disk_are_those_in_memory_also_chunk_by_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = labeled()
    values, programs = planted(own), Programs.of(CLASSES)
    whole = probe(features(values, DEEP), own, 0, programs)
    monkeypatch.setattr("experiments.probing.probed.AT_ONCE", values.nbytes // 2)  # three depths in two chunks of two
    with space(tmp_path, most=0) as disk:
        kept = disk(values.shape)
        kept[:] = values
        found = probe(features(kept, DEEP), own, 0, programs)
    for name, groups in whole.groups.items():
        np.testing.assert_allclose(found.groups[name], groups, atol=1e-3)
    np.testing.assert_allclose(found.mix, whole.mix, atol=1e-3)


def test_a_file_is_gone_when_a_run_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="cut"), space(tmp_path, most=0) as disk:
        disk((3, 4))
        raise RuntimeError("cut")
    assert list(tmp_path.iterdir()) == []
