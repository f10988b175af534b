"""The compiled functions of a run's populations; on a CPU made in the background while text is read and bases are pretrained."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import jax
from jax.sharding import Mesh

from research.training.population import Population, Task, ahead, build

AT_ONCE = 2  # compiled side by side: XLA's passes keep one core busy, and two of them a small machine


class Programs:
    """The compiled functions by shape, a context manager; asking for one waits for it.

    windows: shapes (member, step, batch, time + 1) of a chunk, by shape of population. batches: shape (k, batch, time + 1) of an
    evaluation. Compilation holds no lock of Python's, so it costs little time beside work that leaves a core idle. With several processes
    each function is compiled when it is first called, in the same order everywhere; on an accelerator too, where XLA chooses kernels by
    timing them while it compiles, which nothing may disturb and which disturbs what runs beside it.
    """

    def __init__(self, tasks: Mapping[str, Task], mesh: Mesh, bases: Any, windows: Mapping[str, Any], batches: Any) -> None:
        self._built = {shape: build(task, bases, mesh) for shape, task in tasks.items()}
        self._tasks = tasks
        self._bases, self._windows, self._batches = bases, windows, batches
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._ahead: dict[str, Future[Population]] = {}

    def __enter__(self) -> Self:
        if jax.process_count() == 1 and jax.default_backend() == "cpu":
            self._ahead = {shape: self._pool.submit(self._compiled, shape) for shape in self._built}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _compiled(self, shape: str) -> Population:
        return ahead(self._built[shape], self._bases, self._windows[shape], self._batches, self._tasks[shape].further)

    def __getitem__(self, shape: str) -> Population:
        return self._ahead[shape].result() if shape in self._ahead else self._built[shape]
