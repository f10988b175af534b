"""Arms: which matrices are adapted, and what moves beside the adapters."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from research import tree
from research.models.model import Model

EVERY_MATRIX = ("(kernel|embedding)$",)


class Arm(NamedTuple):
    """Where adapters sit (None: adapter.targets of the config) and what is trained beside them, as far as a model has it."""

    targets: tuple[str, ...] | None
    beside: tuple[str, ...]

    def sites(self, paths: Iterable[str], model: Model, usual: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the patterns of the matrices that are adapted, `usual` where the arm names none; never a table that serves two sites."""
        if self.targets is None or not model.tied:
            return self.targets or usual
        mine = [path for path in paths if any(re.search(pattern, path) for pattern in self.targets)]
        return tuple(f"^{re.escape(path)}$" for path in mine if not any(re.search(pattern, path) for pattern in model.tied))

    def moved(self, paths: Collection[str]) -> tuple[str, ...]:
        """Returns the patterns of what moves beside the adapters, without those of which the model has none: a tied one has no head."""
        return tuple(pattern for pattern in self.beside if any(re.search(pattern, path) for path in paths))


def matched_patterns(targets: Sequence[str], adapted: Iterable[str], leaves: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the patterns that move the adapted matrices themselves, of stacked ones the layers that the targets choose."""
    chosen = tree.layers_chosen(targets, leaves)

    def of_layers(path: str) -> str:
        return "@" + "+".join(str(layer) for layer, mine in enumerate(chosen[path]) if mine) if path in chosen else ""

    return tuple(f"^{re.escape(path)}${of_layers(path)}" for path in adapted)


ARMS = {
    "block": Arm(None, ()),
    "all": Arm(EVERY_MATRIX, ()),
    "block+norms": Arm(None, ("params/.*norm/",)),
    "block+ends": Arm(None, ("params/.*norm/", "params/embedding/", "params/head/")),
}
