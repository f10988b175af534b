"""Tidy records: one observation a line, appended durably, never changed."""

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from research.errors import UsageError
from research.files import append_durably, cut

Record = Mapping[str, Any]
Row = dict[str, Any]

_log = logging.getLogger(__name__)
DIGITS = 7  # of what float32 can tell apart
_OBSERVED = ("value", "note")
RELATIVE, ABSOLUTE = 1e-5, 1e-7  # within which two values agree: sums in float32 are rounded otherwise on another device


class RecordsDisagree(UsageError):
    """The same observation was made twice with different values: code, libraries or device changed under one workdir."""


def plain(value: Any) -> Any:
    """Returns `value` as JSON can hold it: numpy and jax scalars as Python's own."""
    return value.item() if hasattr(value, "item") else value


def rounded(value: float) -> float:
    """Returns `value` to DIGITS significant digits, whatever its size; what is not finite stays as it is."""
    return float(f"{value:.{DIGITS}g}")


def normal(record: Record) -> Row:
    """Returns `record` as it will stand in the file: plain scalars in the given order, a non-finite value as null."""
    row = {key: plain(value) for key, value in record.items()}
    value = row.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        row["value"] = None
    return row


def identity(row: Record) -> str:
    """Returns what makes an observation that one and no other: all its keys but value and note, in any order."""
    return json.dumps({key: value for key, value in row.items() if key not in _OBSERVED}, sort_keys=True, allow_nan=False)


def agree(one: Any, other: Any) -> bool:
    """Returns whether two values of one observation are the same, numbers to a rounding of float32: RELATIVE, or ABSOLUTE near zero."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(one == other)


def _parsed(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def read_rows(path: Path) -> tuple[list[Row], int]:
    """Returns the rows of a file and the bytes they fill; what follows them is a torn last line.

    A missing file has no rows. UsageError, naming the line, when a line that is not the last cannot be read.
    """
    if not path.exists():
        return [], 0
    lines = path.read_bytes().split(b"\n")
    torn = lines.pop()
    rows: list[Row] = []
    length = 0
    for number, line in enumerate(lines, start=1):
        row = _parsed(line)
        if row is None:
            if number == len(lines) and not torn:
                break
            raise UsageError(f"{path}, line {number} cannot be read: restore the file, or delete that line to have it measured again")
        rows.append(row)
        length += len(line) + 1
    return rows, length


class Journal:
    """Rows in a file that only grows. Opening cuts off a torn last line; `writes=False` (process 1, 2, ...) keeps rows in memory."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        self.rows, length = read_rows(path)
        if writes and path.exists() and length < (whole := path.stat().st_size):
            _log.warning("%s: its last line was torn; %d bytes cut off", path, whole - length)
            cut(path, length)

    def append(self, rows: Iterable[Record]) -> int:
        """Returns how many rows were appended, in one synced write. UsageError when the disk is full: the file stays as it was."""
        new = [normal(row) for row in rows]
        if new and self.writes:
            text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in new)
            append_durably(self.path, text.encode())
        self.rows.extend(new)
        return len(new)


class Records:
    """The observations of a workdir. Appending is idempotent: what already stands there is kept, and must agree."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self._journal = Journal(path, writes)
        self._standing = {identity(row): row.get("value") for row in self._journal.rows}

    @property
    def rows(self) -> Sequence[Row]:
        """Returns all rows, in the order of the file."""
        return self._journal.rows

    def append(self, rows: Iterable[Record]) -> int:
        """Returns how many of `rows` were new; those that already stand in the file are skipped, the rest goes in one synced write.

        RecordsDisagree when a standing value differs by more than rounding; UsageError when the disk is full. The file then stays as it
        was.
        """
        new: dict[str, Row] = {}
        for row in map(normal, rows):
            key = identity(row)
            known = self._standing[key] if key in self._standing else new.get(key, row).get("value")
            if not agree(known, row.get("value")):
                raise RecordsDisagree(
                    f"records disagree in {self._journal.path}: {key} stands with {known}, now measured as {row.get('value')}; code, "
                    "packages, device or the cached base (~/.cache/lowlands/bases) changed: bring them back, or choose a new --workdir"
                )
            if key not in self._standing:
                new.setdefault(key, row)
        count = self._journal.append(new.values())
        self._standing.update((key, row.get("value")) for key, row in new.items())
        return count

    def missing(self, rows: Iterable[Record]) -> list[Row]:
        """Returns the rows of observations that do not stand yet: what another device or compiler measures otherwise is measured once."""
        return [row for row in map(normal, rows) if identity(row) not in self._standing]

    def has(self, **coordinates: Any) -> bool:
        """Returns whether some record carries all of `coordinates`."""
        return any(all(key in row and row[key] == value for key, value in coordinates.items()) for row in self.rows)
