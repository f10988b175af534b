"""The answer in words."""

from collections.abc import Sequence

from research.findings import Finding


def answer(found: Sequence[Finding]) -> str:
    """Returns the answer."""
    return f"{len(found)} findings."
