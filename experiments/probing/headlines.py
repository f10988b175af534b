"""The table with which the report begins."""

from collections.abc import Sequence

from research.findings import Finding, Table


def headline(found: Sequence[Finding]) -> tuple[Table, ...]:
    """Returns no table."""
    return ()
