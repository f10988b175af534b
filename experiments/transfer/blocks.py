"""A network as a row of blocks: which leaves lie in which, what moves when some of them stay, and one network's blocks in another's."""

import dataclasses
import re
from collections.abc import Iterable

import jax
import numpy as np

from experiments.transfer.arms import EVERY, FIRST, NONE
from research import tree
from research.errors import UsageError
from research.models.model import Variables

BEFORE = ("embedding", "position")  # of a decoder: they belong to the first blocks, however few
STACK = "layers"


@dataclasses.dataclass(frozen=True)
class Blocks:
    """The blocks of a network: modules by their names, before the first block, in each, and behind the last one (the head).

    stacked: layers of one module that nn.scan has stacked, 0 where each block is a module of its own.
    """

    before: tuple[str, ...]
    each: tuple[str, ...]
    behind: tuple[str, ...]
    stacked: int = 0

    @classmethod
    def of(cls, shapes: Variables) -> "Blocks":
        """Returns the blocks of a decoder or a classifier, from its parameters or their shapes.

        A decoder's are its layers; a classifier's its convolutions and dense layers but for the last one, which is the head.
        """
        if STACK in shapes:
            layers = jax.tree.leaves(shapes[STACK])[0].shape[0]
            return cls(_present(shapes, BEFORE), (STACK,), _others(shapes, (*BEFORE, STACK)), layers)
        each = sorted((name for name in shapes if re.fullmatch(r"(layers|conv|dense)_\d+", name)), key=_place)
        if any(name.startswith("dense") for name in each):
            return cls((), tuple(each[:-1]), (each[-1],))
        return cls(_present(shapes, BEFORE), tuple(each), _others(shapes, (*BEFORE, *each)))

    @property
    def count(self) -> int:
        """Returns how many blocks there are."""
        return self.stacked or len(self.each)

    def moves(self, frozen: str, n: int) -> tuple[str, ...]:
        """Returns the patterns of what is trained where the first or the last n blocks stay, with what lies before or behind them.

        UsageError where nothing would be left to train: of a model whose head is its embedding, at all blocks.
        """
        if frozen == NONE:
            return ("^params/",)
        first, last = (n, self.count) if frozen == FIRST else (0, self.count - n)
        beside = self.behind if frozen == FIRST else self.before
        if first < last and self.stacked:
            middle = [f"^params/{STACK}/@{first}-{last - 1}"]
        else:
            middle = [f"^params/{name}/" for name in self.each[first:last]]
        found = (*middle, *(f"^params/{name}/" for name in beside))
        if not found:
            raise UsageError(f"blocks has {n}: with the {frozen} {n} of {self.count} blocks frozen nothing is left to train")
        return found

    def grafted(self, donor: Variables, fresh: Variables, copied: str, n: int) -> Variables:
        """Returns `fresh` with what is copied of `donor`: its first n blocks and what lies before them, every leaf, or none."""
        if copied in (EVERY, NONE):
            return donor if copied == EVERY else fresh
        whole = {*self.before, *(() if self.stacked else self.each[:n])}
        theirs, own = tree.flatten(donor), tree.flatten(fresh)
        made = {path: theirs[path] if path.split("/")[0] in whole else leaf for path, leaf in own.items()}
        for path in (path for path in own if self.stacked and path.startswith(f"{STACK}/")):
            made[path] = np.concatenate([np.asarray(theirs[path])[:n], np.asarray(own[path])[n:]])
        return tree.unflatten(made)

    def check(self, blocks: Iterable[int]) -> None:
        """Raises UsageError for a number of blocks that this network does not have."""
        if wrong := [n for n in blocks if not 0 <= n <= self.count]:
            raise UsageError(f"blocks has {wrong[0]}, and the model has {self.count}: choose from 0 (the embedding alone) to {self.count}")


def _present(shapes: Variables, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in shapes)


def _others(shapes: Variables, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(shapes) - set(names)))


def _place(name: str) -> tuple[bool, int]:
    kind, _, number = name.rpartition("_")
    return kind == "dense", int(number)
