"""What is settled before JAX starts, and what is said about the devices it found."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from research.errors import UsageError
from research.loop import devices


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Collects what would be set in JAX, on a machine of 6 cores without an accelerator."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(devices, "_update", seen.__setitem__)
    monkeypatch.setattr(devices, "accelerator_present", lambda environ: False)
    monkeypatch.setattr(devices, "usable_cores", lambda: 6)
    return seen


def test_a_machine_without_accelerator_gets_cpu_one_device_per_core_and_a_cache(settings: dict[str, Any]) -> None:
    environ = {"XDG_CACHE_HOME": "/cache"}
    devices.prepare(environ)
    assert environ["JAX_PLATFORMS"] == "cpu"
    assert settings["jax_platforms"] == "cpu"
    assert settings["jax_num_cpu_devices"] == 6
    assert settings["jax_compilation_cache_dir"] == "/cache/lowlands/xla"


@pytest.mark.parametrize("cores", [{"JAX_NUM_CPU_DEVICES": "3"}, {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}])
def test_what_the_user_set_stays(settings: dict[str, Any], cores: dict[str, str]) -> None:
    environ = {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": "/mine", **cores}
    before = dict(environ)
    devices.prepare(environ)
    assert environ == before
    assert settings.keys() == {"jax_persistent_cache_min_compile_time_secs"}


def test_an_accelerator_is_left_to_jax(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "accelerator_present", lambda environ: True)
    environ = {"XDG_CACHE_HOME": "/cache"}
    devices.prepare(environ)
    assert "JAX_PLATFORMS" not in environ
    assert "jax_platforms" not in settings


@pytest.mark.parametrize("asked", ["cuda", "gpu", "CUDA,cpu", "rocm"])
def test_a_gpu_asked_for_and_not_there_is_an_error(settings: dict[str, Any], asked: str) -> None:
    with pytest.raises(UsageError, match="asks for a GPU and none is there"):
        devices.prepare({"JAX_PLATFORMS": asked})
    assert not settings


def test_usable_cores_follow_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3}, raising=False)
    assert devices.usable_cores() == 1


def told(platform: str, variant: str, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.INFO)
    devices.describe(platform, variant, {"": "all", "gpu": "big"}, "configs/x.py")
    return caplog.text


def test_a_gpu_that_jax_does_not_see_is_said_loudly(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(devices, "nvidia_present", lambda: True)
    text = told("cpu", "", caplog)
    assert "pip install -r requirements.txt" in text
    assert "WARNING" in text


def test_a_chosen_cpu_is_no_reason_to_warn(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setattr(devices, "nvidia_present", lambda: True)
    assert "WARNING" not in told("cpu", "", caplog)


@pytest.mark.parametrize(
    ("platform", "variant", "named"), [("gpu", "", True), ("tpu", "", True), ("gpu", "gpu", False), ("cpu", "", False)]
)
def test_the_variant_made_for_an_accelerator_is_named(platform: str, variant: str, named: bool, caplog: pytest.LogCaptureFixture) -> None:
    assert ("--config=configs/x.py:gpu" in told(platform, variant, caplog)) is named


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
    assert devices.cluster_present(environ) is present


def test_a_cluster_that_cannot_be_joined_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr("jax.distributed.initialize", refuse)
    monkeypatch.setattr(devices, "filter_native_lines", lambda: None)
    with devices.joined({}, asked=False):
        pass
    with pytest.raises(UsageError, match="JAX_COORDINATOR_ADDRESS"), devices.joined({}, asked=True):
        pass


def test_processes_with_unequal_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    owned = [SimpleNamespace(process_index=index) for index in (0, 0, 1)]
    monkeypatch.setattr("jax.devices", lambda: owned)
    with pytest.raises(UsageError, match="2, 1 devices: give all as many"):
        devices.found()
