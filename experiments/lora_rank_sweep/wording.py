"""Words that hang on what was run: with what LoRA is compared."""

from collections.abc import Sequence

from research.findings import Finding

MATCHED, FULL = "matched", "full"
AT_FULL_RANK = {MATCHED: "the same matrices at full rank", FULL: "training everything"}
IN_FULL_RANK = {MATCHED: "full rank in the same matrices", FULL: "training everything"}
GAINS = {MATCHED: "the same matrices gain at full rank", FULL: "training everything gains"}


def reference_of(found: Sequence[Finding]) -> str:
    """Returns what a rank is compared with: full-rank training of the same matrices, or, where none was done, of everything."""
    gaps = {f.where["reference"] for f in found if f.name == "gap"}
    return FULL if gaps == {FULL} else MATCHED
