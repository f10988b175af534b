"""Arms: which blocks are copied from which network, and which of them stay as they are; after Yosinski et al. 2014, section 2."""

from typing import NamedTuple

from research.errors import UsageError

DONOR, OWN, RANDOM, SHUFFLED = "A", "B", "random", "shuffled"  # trained on another text or classes, on the target, not at all; A, permuted
FIRST, LAST, EVERY, NONE = "first", "last", "every", "none"
SCRATCH, TUNED, BELOW, ABOVE = "scratch", "tuned", "below", "above"
MATCHED = "matched"  # from scratch, for as many steps as the donor and an arm that starts from it took together


class Recipe(NamedTuple):
    """What makes a cell of an arm at n blocks.

    donor: whose weights it begins with, as far as `copied` says: the first n blocks, or every one with the head; the rest is drawn anew.
    frozen: which blocks stay as they are: the first n (with the embedding before them) or the last n (with the head behind them).
    said: for a reader.
    """

    donor: str
    copied: str
    frozen: str
    said: str

    @property
    def has_blocks(self) -> bool:
        """Returns whether a number of blocks says more of it."""
        return FIRST in (self.copied, self.frozen) or self.frozen == LAST


ARMS = {
    SCRATCH: Recipe(RANDOM, NONE, NONE, "nothing copied, everything trained"),
    MATCHED: Recipe(RANDOM, NONE, NONE, "nothing copied, everything trained for as long as A and an arm together"),
    TUNED: Recipe(DONOR, EVERY, NONE, "all of A copied, everything tuned"),
    "BnB": Recipe(OWN, FIRST, FIRST, "first n blocks of B copied and frozen"),
    "BnB+": Recipe(OWN, FIRST, NONE, "first n blocks of B copied, everything tuned"),
    "AnB": Recipe(DONOR, FIRST, FIRST, "first n blocks of A copied and frozen"),
    "AnB+": Recipe(DONOR, FIRST, NONE, "first n blocks of A copied, everything tuned"),
    RANDOM: Recipe(RANDOM, NONE, FIRST, "first n blocks random and frozen"),
    SHUFFLED: Recipe(SHUFFLED, FIRST, FIRST, "first n blocks of A, the entries of each matrix permuted, copied and frozen"),
    BELOW: Recipe(DONOR, EVERY, FIRST, "all of A copied, the first n blocks frozen"),
    ABOVE: Recipe(DONOR, EVERY, LAST, "all of A copied, the last n blocks and the head frozen"),
}


class Arm(NamedTuple):
    """An arm at a number of blocks, None where that says nothing: `word` is AnB@2."""

    name: str
    blocks: int | None

    @property
    def word(self) -> str:
        """Returns the arm as it is written in records."""
        return self.name if self.blocks is None else f"{self.name}@{self.blocks}"

    @property
    def recipe(self) -> Recipe:
        """Returns what makes its cells."""
        return ARMS[self.name]

    @property
    def start(self) -> tuple[str, str, int]:
        """Returns what its cells begin with: the donor, which of its blocks, how many; arms that begin alike share it."""
        donor, copied, _, _ = self.recipe
        return donor, copied, self.blocks or 0 if copied == FIRST else 0

    @property
    def shape(self) -> str:
        """Returns the shape of its program: which blocks stay, and how many."""
        return self.recipe.frozen if self.recipe.frozen == NONE else f"{self.recipe.frozen}@{self.blocks}"


def crossed(names: tuple[str, ...], blocks: tuple[int, ...]) -> list[Arm]:
    """Returns every arm, at each number of blocks where it takes one; UsageError for a name that is none."""
    if unknown := [name for name in names if name not in ARMS]:
        raise UsageError(f"arms has {unknown[0]!r}: choose among {', '.join(name for name in ARMS if name != MATCHED)}")
    return [Arm(name, n) for name in names for n in (blocks if ARMS[name].has_blocks else (None,))]
