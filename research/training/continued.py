"""Members that go on from where others ended: what moves begins with weights that were kept, all else anew."""

from collections.abc import Mapping, Sequence

import numpy as np

from research import tree
from research.training import processes
from research.training.population import MemberState


def continued(states: MemberState, kept: Sequence[Mapping[str, np.ndarray]]) -> MemberState:
    """Returns states (members in front) in which what moves is what these artifacts have by path, one a member; as they are for none.

    Members beyond the last artifact go on from the last. Steps, and what the optimizer remembers, stay as they are.
    """
    if not kept:
        return states
    rows = [kept[min(member, len(kept) - 1)] for member in range(len(states.step))]
    stacks = {path: (np.stack([own[path] for own in rows]), leaf) for path, leaf in tree.flatten(states.trainable).items()}
    moved = {path: processes.place(stack.astype(leaf.dtype), leaf.sharding) for path, (stack, leaf) in stacks.items()}
    return states._replace(trainable=tree.unflatten(moved))
