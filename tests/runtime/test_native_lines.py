"""What C++ says below Python passes a filter; of the page with which JAX ends a process whose peer has died one line remains."""

import subprocess
import sys

import pytest

import launch
from research.runtime.native_lines import ENDED

START = "import os, sys; from research.runtime import native_lines; native_lines.filter_native_lines(); print('python', file=sys.stderr); "
PAGE = b"""F1126 client.h:80] Terminating process because the JAX distributed service detected fatal errors. This most likely
RPC: /xla.coordination.CoordinationService/PollForError
*** Check failure stack trace: ***
    @     0x7fe6b6e40634  absl::lts_20260107::log_internal::LogMessage::SendToLog()
"""


@pytest.mark.parametrize(
    ("code", "returned", "lines"),
    [
        ("os.write(2, b'native\\n')", 0, ["native"]),
        (f"os.write(2, {PAGE!r}); os.abort()", -6, [ENDED]),
        ("native_lines.end_after_another()", 2, [ENDED]),
        (f"os.write(2, {PAGE!r}); native_lines.end_after_another()", 2, [ENDED]),
    ],
)
def test_of_what_is_said_below_python_a_page_becomes_a_line(code: str, returned: int, lines: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", START + code], cwd=launch.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == returned
    said = done.stderr.splitlines()
    assert "python" in said
    assert [line for line in said if line != "python"] == lines
