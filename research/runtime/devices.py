"""What must be settled before JAX looks for devices, and what is said once it has found them."""

import contextlib
import functools
import glob
import logging
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path

import jax

from research.errors import UsageError
from research.files import local_path

_log = logging.getLogger(__name__)
_GPU_NAMES = ("cuda", "gpu", "rocm")
_TPU_SIGNS = ("TPU_NAME", "TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES", "TPU_ACCELERATOR_TYPE", "TPU_LIBRARY_PATH")
_HIDING = {  # what hides accelerators from this process, and the signs of those it hides
    "CUDA_VISIBLE_DEVICES": ("nvidia", "amd"),
    "HIP_VISIBLE_DEVICES": ("amd",),
    "ROCR_VISIBLE_DEVICES": ("amd",),
}
_SETTLED: dict[str, str | int | bool | None] = {  # what would change numbers, or end a run over a cell that diverged; by JAX's default
    "JAX_ENABLE_X64": False,
    "JAX_DEFAULT_MATMUL_PRECISION": None,
    "JAX_DEFAULT_PRNG_IMPL": "threefry2x32",
    "JAX_THREEFRY_PARTITIONABLE": True,
    "JAX_RANDOM_SEED_OFFSET": 0,
    "JAX_NUMPY_DTYPE_PROMOTION": "standard",
    "JAX_NUMPY_RANK_PROMOTION": "allow",
    "JAX_DISABLE_JIT": False,
    "JAX_DEBUG_NANS": False,
    "JAX_DEBUG_INFS": False,
    "JAX_TRANSFER_GUARD": None,
    "JAX_TRANSFER_GUARD_HOST_TO_DEVICE": None,
    "JAX_TRANSFER_GUARD_DEVICE_TO_HOST": None,
    "JAX_TRANSFER_GUARD_DEVICE_TO_DEVICE": None,
}
_PIP = "pip install -r requirements.txt"


def nvidia_present() -> bool:
    """Returns whether this machine shows an NVIDIA GPU: a device node, or nvidia-smi where device nodes are hidden (WSL)."""
    return bool(glob.glob("/dev/nvidia[0-9]*")) or (shutil.which("nvidia-smi") is not None and os.path.exists("/dev/dxg"))


def hides(value: str) -> bool:
    """Returns whether a *_VISIBLE_DEVICES with this value shows nothing: a driver stops at the first word that names no device."""
    first = value.split(",")[0].strip().lower()
    return not (first.isdigit() or first.startswith(("gpu-", "mig-")))


def accelerator_present(environ: Mapping[str, str]) -> bool:
    """Returns whether an NVIDIA or AMD GPU or a TPU may be here that the environment does not hide."""
    hidden = {kind for variable, kinds in _HIDING.items() if variable in environ and hides(environ[variable]) for kind in kinds}
    nvidia, amd = "nvidia" not in hidden and nvidia_present(), "amd" not in hidden and os.path.exists("/dev/kfd")
    nodes = glob.glob("/dev/accel*") + glob.glob("/dev/vfio/[0-9]*")
    return nvidia or amd or bool(nodes) or any(sign in environ for sign in _TPU_SIGNS)


def usable_cores() -> int:
    """Returns how many cores this process may use: its affinity, and the container's quota where one is set."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.exists():
        allowed, _, period = quota.read_text().partition(" ")
        if allowed.isdigit():
            cores = min(cores, math.ceil(int(allowed) / int(period)))
    return max(cores, 1)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Returns $XDG_CACHE_HOME/lowlands, by default ~/.cache/lowlands, where compiled programs, bases and Fisher diagonals live."""
    return local_path(environ.get("XDG_CACHE_HOME") or "~/.cache", "XDG_CACHE_HOME=") / "lowlands"


def settle_shell(environ: MutableMapping[str, str]) -> None:
    """Returns after what a shell exports for other programs is out of the way of libraries that are not imported yet.

    MPLBACKEND, as notebooks export it, may name a backend that is not installed here, and a matplotlibrc is made for other figures;
    PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION may ask for one that this protobuf came without. Either ends in a failed import.
    """
    environ.update(MPLBACKEND="agg", MATPLOTLIBRC=os.devnull)
    environ.pop("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", None)


def prepare(environ: MutableMapping[str, str]) -> None:
    """Returns after JAX is set up and before it is initialized; what the user set in the environment stays.

    Without an accelerator the platform is the CPU, so that no plugin complains; a CPU becomes one device per usable core; compiled
    programs are kept on disk; options of JAX that would change what a run measures are set back. UsageError when JAX_PLATFORMS asks for
    a GPU and none is there, and for a cache folder that is none.
    """
    asked, cache = environ.get("JAX_PLATFORMS", "").lower(), cache_folder(environ)
    if asked.split(",")[0] in _GPU_NAMES and not accelerator_present(environ):
        hiding = "".join(f" (or {name}={environ[name]} hides it)" for name in _HIDING if name in environ and hides(environ[name]))
        raise UsageError(f"JAX_PLATFORMS={asked} asks for a GPU and none is there{hiding}; unset it, or set JAX_PLATFORMS=cpu")
    if not asked and not accelerator_present(environ):
        environ["JAX_PLATFORMS"] = "cpu"
        _update("jax_platforms", "cpu")
    if "JAX_NUM_CPU_DEVICES" not in environ and "host_platform_device_count" not in environ.get("XLA_FLAGS", ""):
        _update("jax_num_cpu_devices", usable_cores())
    if "JAX_COMPILATION_CACHE_DIR" not in environ:
        _update("jax_compilation_cache_dir", str(cache / "xla"))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in environ:
        _update("jax_persistent_cache_min_compile_time_secs", 0.5)
    settle_jax(environ)


def settle_jax(environ: Mapping[str, str]) -> None:
    """Returns after those options of JAX that would change what is measured are at its defaults; one line names what is not followed."""
    changed = [name for name, default in _SETTLED.items() if name in environ and getattr(jax.config, name.lower(), default) != default]
    for name in changed:
        _update(name.lower(), _SETTLED[name])
    if changed:
        _log.info("not followed, so that a run is the same in every shell: %s", ", ".join(f"{name}={environ[name]}" for name in changed))


def _update(option: str, value: str | int | float | None) -> None:
    try:
        jax.config.update(option, value)
    except RuntimeError:
        _log.debug("JAX already runs; %s stays as it is", option)


def found() -> str:
    """Returns the platform JAX chose: 'cpu', 'gpu' or 'tpu'. UsageError when the platform asked for cannot start."""
    try:
        platform = jax.default_backend()
    except RuntimeError as error:
        raise UsageError(f"JAX cannot start: {error}; install the packages ({_PIP}), or set JAX_PLATFORMS=cpu") from error
    counts = Counter(device.process_index for device in jax.devices())
    if len(set(counts.values())) > 1:
        raise UsageError(
            f"processes have {', '.join(map(str, counts.values()))} devices: give all as many, with JAX_NUM_CPU_DEVICES on CPUs"
        )
    return platform


def computes_float16() -> bool:
    """Returns whether JAX's devices know float16: on an x86 processor without F16C, XLA calls functions that jaxlib does not have."""
    try:
        jax.numpy.zeros(1).astype(jax.numpy.float16)
    except jax.errors.JaxRuntimeError:
        return False
    return True


def describe(platform: str, variant: str, variants: Mapping[str, str], config_path: str) -> None:
    """Returns after one line names the devices, and the variant made for an accelerator when another one is about to run.

    A GPU that JAX does not see is a loud warning with the mending command, unless the user chose the platform.
    """
    kinds = sorted({device.device_kind for device in jax.devices()})
    _log.info("%d %s device(s): %s; JAX %s", jax.device_count(), platform, ", ".join(kinds), jax.__version__)
    made_for = platform if platform in variants else "gpu"
    if platform != "cpu" and made_for in variants and variant != made_for:
        _log.info("an accelerator is in use; made for it: --config=%s:%s", config_path, made_for)
    chosen = os.environ.get("JAX_PLATFORMS", "")
    if platform == "cpu" and not chosen and nvidia_present():
        _log.warning("AN NVIDIA GPU IS HERE BUT JAX SEES ONLY THE CPU. Mend it with:  %s", _PIP)


@contextlib.contextmanager
def enough_memory() -> Iterator[None]:
    """Returns a context in which memory that does not suffice, of the device or the machine, is a UsageError on what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        words = str(error)
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in words and "out of memory" not in words.lower():
            raise
        cause = next(iter(words.splitlines()), "").strip() or type(error).__name__
        raise UsageError(
            f"out of memory ({cause}); what was measured is kept, and the same command continues with a lower --config.members, or, where "
            "nothing else uses the GPU, a higher XLA_PYTHON_CLIENT_MEM_FRACTION (0.75 unless set); a lower batch_size or "
            "pretraining.batch_size, or more parts in pretraining.accumulate, is another run"
        ) from error


def names() -> list[str]:
    """Returns the kind of every device, for the provenance."""
    return [f"{device.platform}: {device.device_kind}" for device in jax.devices()]


@functools.cache  # each part of a command makes its meshes anew
def say_idle(used: int, why: str) -> None:
    """Returns after one line says that only `used` of all devices work; the same words are said once."""
    if used < jax.device_count():
        _log.info("%d of %d devices stay idle %s", jax.device_count() - used, jax.device_count(), why)
