"""What is settled before JAX starts, and what is said about the devices it found."""

import logging
import os
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from research.errors import UsageError
from research.runtime import devices


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


def test_a_home_is_expanded_in_the_cache_and_a_bucket_is_refused(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/ada")
    for environ in ({}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "~/.cache"}):
        assert str(devices.cache_folder(environ)) == "/ada/.cache/lowlands"
    with pytest.raises(UsageError, match="XDG_CACHE_HOME=s3://bucket is a URL"):
        devices.prepare({"XDG_CACHE_HOME": "s3://bucket", "JAX_COMPILATION_CACHE_DIR": "/mine"})
    assert not settings


def test_what_a_notebook_exports_reaches_no_library_here() -> None:
    environ = {"MPLBACKEND": "module://nowhere", "MATPLOTLIBRC": "mine", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "cpp", "OTHER": "x"}
    devices.settle_shell(environ)
    assert environ == {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull, "OTHER": "x"}
    assert os.environ["MPLBACKEND"] == "agg", "conftest.py must settle the shell of the tests too"


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


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("CUDA_VISIBLE_DEVICES", value) for value in ("", "-1", "-1,0", "NoDevFiles", "none")),
        ("HIP_VISIBLE_DEVICES", ""),
        ("ROCR_VISIBLE_DEVICES", "-1"),
    ],
)
def test_a_gpu_that_the_environment_hides_is_not_there(
    variable: str, value: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(devices, "_update", settings.__setitem__)
    amd = variable.startswith(("HIP", "ROCR"))
    monkeypatch.setattr(devices, "nvidia_present", lambda: not amd)
    monkeypatch.setattr("os.path.exists", lambda path: amd and path == "/dev/kfd")
    monkeypatch.setattr("glob.glob", lambda pattern: [])
    assert devices.accelerator_present({}) and devices.accelerator_present({variable: "GPU-8932f937" if "CUDA" in variable else "0,1"})
    environ = {variable: value, "XDG_CACHE_HOME": "/cache"}
    devices.prepare(environ)
    assert environ["JAX_PLATFORMS"] == settings["jax_platforms"] == "cpu"
    monkeypatch.setenv("JAX_PLATFORMS", environ["JAX_PLATFORMS"])
    assert "WARNING" not in told("cpu", "", caplog)
    with pytest.raises(UsageError, match=f"none is there .or {variable}={value} hides it"):
        devices.prepare({**environ, "JAX_PLATFORMS": "cuda"})


def test_what_the_shell_exports_for_other_programs_changes_no_number(settings: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = jax.config.jax_threefry_partitionable
    jax.config.update("jax_threefry_partitionable", False)
    try:
        devices.prepare({"JAX_THREEFRY_PARTITIONABLE": "0", "JAX_ENABLE_X64": "0", "XDG_CACHE_HOME": "/cache"})
    finally:
        jax.config.update("jax_threefry_partitionable", before)
    assert settings["jax_threefry_partitionable"] is True and "jax_enable_x64" not in settings
    assert "JAX_THREEFRY_PARTITIONABLE=0" in caplog.text and "X64" not in caplog.text


def test_what_is_settled_is_what_jax_says_by_itself() -> None:
    settled = {**devices._SETTLED, "JAX_NUMPY_RANK_PROMOTION": "raise"}  # as these tests ask for
    assert {name: getattr(jax.config, name.lower()) for name in settled} == settled


def test_idle_devices_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    devices.say_idle.cache_clear()
    for used in (6, 8, 6):
        devices.say_idle(used, "here")
    assert [record.getMessage() for record in caplog.records] == ["2 of 8 devices stay idle here"]


@pytest.mark.parametrize(
    "error",
    [
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.\nBufferAssignment OOM Debugging."),
        jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        MemoryError("Unable to allocate 8.00 PiB for an array"),
        MemoryError(),
    ],
)
def test_memory_that_does_not_suffice_is_one_line_on_what_to_lower(error: Exception) -> None:
    with pytest.raises(UsageError) as caught, devices.enough_memory():
        raise error
    words = str(caught.value)
    assert all(word in words for word in ("--config.members", "batch_size", "XLA_PYTHON_CLIENT_MEM_FRACTION")) and "\n" not in words


def test_another_error_of_the_device_stays_what_it_is() -> None:
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), devices.enough_memory():
        raise jax.errors.JaxRuntimeError("INTERNAL: wrong")


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


def test_processes_with_unequal_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    owned = [SimpleNamespace(process_index=index) for index in (0, 0, 1)]
    monkeypatch.setattr("jax.devices", lambda: owned)
    with pytest.raises(UsageError, match="2, 1 devices: give all as many"):
        devices.found()
