"""What must be settled before JAX looks for devices, and what is said once it has found them."""

import contextlib
import glob
import logging
import math
import os
import re
import shutil
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import NoReturn

import jax

from research.errors import UsageError
from research.loop.native_lines import end_after_another, filter_native_lines
from research.loop.progress import Interrupted
from research.training import processes

_log = logging.getLogger(__name__)
_GPU_NAMES = ("cuda", "gpu", "rocm")
_TPU_SIGNS = ("TPU_NAME", "TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES", "TPU_ACCELERATOR_TYPE", "TPU_LIBRARY_PATH")
_COUNTS = ("JAX_NUM_PROCESSES", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
_PIP = "pip install -r requirements.txt"
SILENT_SECONDS = 30  # after which a process that says nothing is taken for dead
PARTING_SECONDS = 2.0
_LOST = r"Gloo|NCCL|[Cc]onnection (closed|reset)|coordination service"


def nvidia_present() -> bool:
    """Returns whether this machine shows an NVIDIA GPU: a device node, or nvidia-smi where device nodes are hidden (WSL)."""
    return bool(glob.glob("/dev/nvidia[0-9]*")) or (shutil.which("nvidia-smi") is not None and os.path.exists("/dev/dxg"))


def accelerator_present(environ: Mapping[str, str]) -> bool:
    """Returns whether an NVIDIA or AMD GPU or a TPU may be here."""
    nodes = glob.glob("/dev/accel*") + glob.glob("/dev/kfd") + glob.glob("/dev/vfio/[0-9]*")
    return nvidia_present() or bool(nodes) or any(sign in environ for sign in _TPU_SIGNS)


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
    """Returns $XDG_CACHE_HOME/lowlands, by default ~/.cache/lowlands: compiled programs and pretrained bases live there."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lowlands"


def prepare(environ: MutableMapping[str, str]) -> None:
    """Returns after JAX is set up and before it is initialized; what the user set in the environment stays.

    Without an accelerator the platform is the CPU, so that no plugin complains; a CPU becomes one device per usable core; compiled
    programs are kept on disk. UsageError when JAX_PLATFORMS asks for a GPU and none is there.
    """
    asked = environ.get("JAX_PLATFORMS", "").lower()
    if asked.split(",")[0] in _GPU_NAMES and not accelerator_present(environ):
        raise UsageError(f"JAX_PLATFORMS={asked} asks for a GPU and none is there; unset it, or set JAX_PLATFORMS=cpu")
    if not asked and not accelerator_present(environ):
        environ["JAX_PLATFORMS"] = "cpu"
        _update("jax_platforms", "cpu")
    if "JAX_NUM_CPU_DEVICES" not in environ and "host_platform_device_count" not in environ.get("XLA_FLAGS", ""):
        _update("jax_num_cpu_devices", usable_cores())
    if "JAX_COMPILATION_CACHE_DIR" not in environ:
        _update("jax_compilation_cache_dir", str(cache_folder(environ) / "xla"))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in environ:
        _update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _update(option: str, value: str | int | float) -> None:
    try:
        jax.config.update(option, value)
    except RuntimeError:
        _log.debug("JAX already runs; %s stays as it is", option)


def cluster_present(environ: Mapping[str, str]) -> bool:
    """Returns whether a launcher started several processes of this run: Slurm, Open MPI, a TPU pod, or JAX's own variables."""
    counts = [environ.get(name, "") for name in _COUNTS]
    hosts = environ.get("TPU_WORKER_HOSTNAMES", "").split(",")
    return any(count.isdigit() and int(count) > 1 for count in counts) or len(hosts) > 1


@contextlib.contextmanager
def joined(environ: Mapping[str, str], asked: bool) -> Iterator[None]:
    """Returns a context in which this process belongs to its cluster, where one is present or `asked` for; all leave it together.

    UsageError when the cluster cannot be joined. When another process of it has ended, so does this one, with one line.
    """
    if not (asked or cluster_present(environ)) or jax.distributed.is_initialized():
        yield
        return
    _join(environ)
    try:
        yield
    except Interrupted:
        jax.distributed.shutdown()
        raise
    except Exception as error:
        if isinstance(error, UsageError) or not re.search(_LOST, str(error)):
            raise
        end_after_another()
    jax.distributed.shutdown()


def _join(environ: Mapping[str, str]) -> None:
    count, own = environ.get("JAX_NUM_PROCESSES"), environ.get("JAX_PROCESS_ID")
    _update("jax_enable_preemption_service", False)  # it would take the signals that ask a run to stop
    filter_native_lines()
    _log.info("waiting for all processes of the run")
    try:
        jax.distributed.initialize(
            num_processes=int(count) if count else None,
            process_id=int(own) if own else None,
            heartbeat_timeout_seconds=SILENT_SECONDS,
            shutdown_timeout_seconds=SILENT_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        words = "set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or start it with srun or mpirun"
        raise UsageError(f"cannot join a cluster ({error}); {words}") from error


def leave(code: int) -> NoReturn:
    """Ends the process; at once where it failed and others may wait for it, since JAX would first wait for them."""
    if code and jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        if processes.leads():
            time.sleep(PARTING_SECONDS)  # others may have the same to say, and none of them outlives process 0
        os._exit(code)
    sys.exit(code)


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


def names() -> list[str]:
    """Returns the kind of every device, for the provenance."""
    return [f"{device.platform}: {device.device_kind}" for device in jax.devices()]


def compare_caches(environ: Mapping[str, str]) -> None:
    """Returns after one line says so where processes of the run do not share one cache folder."""
    folder = cache_folder(environ)

    def mark() -> str:
        name = f"seen-by-all-{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        return name

    if jax.process_count() == 1:
        return
    name = processes.by_leader(mark)
    if processes.anywhere(not (folder / name).exists()):
        _log.info(
            "the processes do not share %s: process 0 keeps the pretrained bases, the others compile their programs every time", folder
        )
    with contextlib.suppress(OSError):
        (folder / name).unlink(missing_ok=True)
