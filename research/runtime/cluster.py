"""Several processes of one run: joined, told apart from a single one, and left together."""

import contextlib
import logging
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import NoReturn

import jax

from research.errors import UsageError
from research.runtime.devices import cache_folder
from research.runtime.native_lines import end_after_another, filter_native_lines
from research.runtime.progress import Interrupted
from research.training import processes

_log = logging.getLogger(__name__)
_COUNTS = ("JAX_NUM_PROCESSES", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
SILENT_SECONDS = 30  # after which a process that says nothing is taken for dead
PARTING_SECONDS = 2.0
_LOST = r"Gloo|NCCL|[Cc]onnection (closed|reset)|coordination service"


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
        _log.info("lost: %s", str(error).splitlines()[0])
        end_after_another()
    jax.distributed.shutdown()


def _join(environ: Mapping[str, str]) -> None:
    count, own = environ.get("JAX_NUM_PROCESSES"), environ.get("JAX_PROCESS_ID")
    with contextlib.suppress(AttributeError):
        jax.config.update("jax_enable_preemption_service", False)  # it would take the signals that ask a run to stop
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


def compare_caches(environ: Mapping[str, str]) -> None:
    """Returns after one line says so where processes of the run do not share one cache folder."""
    folder = cache_folder(environ)

    def mark() -> str:
        name = f"seen-by-all-{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        except OSError:
            return ""  # nothing can be told of a folder that is only read
        return name

    if jax.process_count() == 1:
        return
    name = processes.by_leader(mark)
    if name and processes.anywhere(not (folder / name).exists()):
        _log.info(
            "the processes do not share %s: process 0 keeps the pretrained bases, the others compile their programs every time", folder
        )
    with contextlib.suppress(OSError):
        (folder / (name or "none")).unlink(missing_ok=True)
