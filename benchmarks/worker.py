"""One side in a process of its own: python worker.py JOB imports it, prepares, says "ready", waits for a line, works, answers in JSON."""

import importlib
import json
import resource
import sys
import time


def begin() -> None:
    """Returns when the parent says so: whatever is to run at the same time is ready by then. Exits when the parent is gone."""
    print("ready", flush=True)
    if not sys.stdin.readline():
        sys.exit()


def main() -> None:
    """Prints the answer of the job's side, with the seconds of its imports and the peak of its memory, or the device's."""
    job = json.loads(sys.argv[1])
    start = time.perf_counter()
    side = importlib.import_module(job["side"])
    imports = time.perf_counter() - start
    answer = side.run(job, begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": peak, **answer, "imports": imports}), flush=True)


if __name__ == "__main__":
    main()
