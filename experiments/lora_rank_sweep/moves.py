"""Arms: which matrices are adapted, and what moves beside the adapters."""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

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


ARMS = {
    "block": Arm(None, ()),
    "all": Arm(EVERY_MATRIX, ()),
    "block+norms": Arm(None, ("params/.*norm/",)),
    "block+ends": Arm(None, ("params/.*norm/", "params/embedding/", "params/head/")),
}
