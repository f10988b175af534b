"""Several processes of one run: known by their launcher, or refused with the mend."""

from typing import Any

import pytest

from research.errors import UsageError
from research.runtime import cluster


@pytest.mark.parametrize(
    ("environ", "present"),
    [
        ({}, False),
        ({"SLURM_NTASKS": "8"}, False),
        ({"SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, False),
        ({"JAX_NUM_PROCESSES": "2"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
    ],
)
def test_a_cluster_is_known_by_its_launcher(environ: dict[str, str], present: bool) -> None:
    assert cluster.cluster_present(environ) is present


def test_a_cluster_that_cannot_be_joined_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr("jax.distributed.initialize", refuse)
    monkeypatch.setattr(cluster, "filter_native_lines", lambda: None)
    with cluster.joined({}, asked=False):
        pass
    with pytest.raises(UsageError, match="JAX_COORDINATOR_ADDRESS"), cluster.joined({}, asked=True):
        pass
