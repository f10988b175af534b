"""What C++ writes to stderr below Python, read by a small process first.

JAX's coordination service ends a process whose peer has died or does not come, wherever its Python is, with a page of C++ that only its
authors can read; of that page one line remains. Python's own stderr goes where it always went.
"""

import os
import subprocess
import sys
from typing import NoReturn

ENDED = "error: another process of this run has ended, or never came, and says why itself; the same command continues"
_SIGN = "JAX distributed service detected fatal errors"
_FILTER = """
import sys
ended = False
for line in sys.stdin.buffer:
    if sys.argv[2].encode() in line and not ended:
        ended, line = True, sys.argv[1].encode() + b"\\n"
    elif ended or b"coordination_service" in line:
        continue
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
"""


def filter_native_lines() -> None:
    """Returns once everything that is written to the descriptor of stderr, but by Python, passes the filter."""
    sys.stderr.flush()
    kept = os.dup(2)
    reader, writer = os.pipe()
    # A session of its own: Ctrl-C is for the run, whose last lines are still to come.
    subprocess.Popen([sys.executable, "-S", "-c", _FILTER, ENDED, _SIGN], stdin=reader, stdout=kept, start_new_session=True)
    os.dup2(writer, 2)
    os.close(reader)
    os.close(writer)
    sys.stderr = os.fdopen(kept, "w", buffering=1, errors="backslashreplace")


def end_after_another() -> NoReturn:
    """Ends the process with ENDED and exit code 2; through the filter, since JAX may be about to say the same."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(2, f"{_SIGN}\n".encode())
    os._exit(2)
