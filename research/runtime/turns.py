"""One command at a time at what several need and one makes: a base, say, that is then kept for all."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from research.files import explained
from research.runtime import locks
from research.runtime.progress import Interrupted, stop_requested
from research.training import processes

WAIT = 0.5  # seconds between two looks at a lock
_log = logging.getLogger(__name__)


@contextmanager
def turn(folder: Path, what: str) -> Iterator[None]:
    """Returns a context that holds a kernel lock on `folder`, made if need be: whoever needs `what` makes it there once, others wait.

    Of several processes of a run, each of which must call, the first one holds it for all. Raises Interrupted when a stop is requested
    meanwhile; UsageError where nothing can be written.
    """
    with ExitStack() as stack:

        def held() -> bool:
            with explained(folder):
                folder.mkdir(parents=True, exist_ok=True)
            descriptor = locks.lock(folder / "lock")
            if descriptor is not None:
                stack.callback(os.close, descriptor)
            return descriptor is not None

        said = False
        while not processes.by_leader(held):
            if not said:
                _log.info("%s is making %s %s; waiting for it", locks.holder(folder / "lock"), what, folder.name)
            said = True
            if stop_requested():
                raise Interrupted(f"another command was making {what} that this one needs")
            time.sleep(WAIT)
        yield
