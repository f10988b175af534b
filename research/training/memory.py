"""How many members fit: an estimate from the config and the kind of device, never from what happens to be free."""

import math
import os
import resource
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from research.losses import WHOLE
from research.models.configuration import DecoderConfig
from research.training.processes import by_leader

CPU_BYTES = 2**30  # of all host devices together: a run shares its machine
PROCESS_BYTES = 900 * 2**20  # Python, JAX and its compiler, before the first member: measured on a CPU
ACCELERATOR_SHARE = 0.6
FLOAT = 4
LARGE = 10**8  # bytes of a base above which a population holds a single one, and a machine a single copy


class Footprint(NamedTuple):
    """Bytes of a population: what all members share, what one carries, what one needs while it is in a step."""

    shared: int
    member: int
    in_step: int

    def total(self, members: int, at_once: int, copies: int = 1) -> int:
        """Returns the bytes of a population on all devices: `at_once` of its members are in a step, and there are `copies` of the bases."""
        return copies * self.shared + members * self.member + at_once * self.in_step


def nbytes(tree: Any) -> int:
    """Returns the bytes of a tree of arrays or of shapes."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def decoder_activations(config: DecoderConfig, batch_size: int) -> int:
    """Returns the bytes of a decoder's activations in a step; scores and logits are float32, cuDNN keeps no scores.

    With `remat` full, of all layers but one the stream alone is kept; 'dots' is counted as none. Logits that the loss takes in chunks of
    time are there a chunk at a time.
    """
    queries, keys = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    heads = (3 if config.qk_norm == "none" else 5) * (queries + keys)
    hidden = (4 if config.mlp == "gated" else 3) * config.d_mlp
    scores = 2 * config.n_heads * config.max_length if config.attention == "xla" else config.n_heads
    per_layer = (4 * config.d_model + heads + hidden) * jnp.dtype(config.dtype).itemsize + scores * FLOAT
    tokens = batch_size * config.max_length
    held = tokens * config.n_layers * per_layer * (3 if config.scan else 2) // 2  # of scanned layers half is there twice: measured
    if config.remat == "full":
        held = tokens * (per_layer + 2 * config.n_layers * config.d_model * jnp.dtype(config.dtype).itemsize)
    return held + 3 * min(tokens * config.vocab_size * FLOAT, WHOLE)


def footprint(activations: int, bases: Any, state: Any, copies: int = 2) -> Footprint:
    """Returns the bytes of members with this `state` (shapes of one member) on these `bases`; windows of data are small beside them.

    In a step a member needs its activations and, at most, so many copies of the base: gradients and what is merged, say.
    """
    count = jax.tree.leaves(bases)[0].shape[0]
    return Footprint(nbytes(bases), nbytes(state), activations + copies * nbytes(bases) // count)


def budget(device: jax.Device, devices: int) -> int:
    """Returns the bytes a population may take on so many devices of this kind and process, each with a share of its own."""
    if device.platform == "cpu":
        return CPU_BYTES
    limit = by_leader(lambda: (device.memory_stats() or {}).get("bytes_limit", 16 * 2**30))  # members are counted by it, alike everywhere
    return int(ACCELERATOR_SHARE * limit) * devices


def devices_bytes(device: jax.Device, devices: int) -> int:
    """Returns the memory of so many devices like this one, of all processes; of a CPU's, that of the machines whose cores they are."""
    if device.platform != "cpu":
        return by_leader(lambda: (device.memory_stats() or {}).get("bytes_limit", 16 * 2**30)) * devices
    return by_leader(machine_bytes) * jax.process_count()


def machine_bytes() -> int:
    """Returns the memory of this machine, or of the container where it has less."""
    own = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    words = limit.read_text().strip() if limit.exists() else "max"
    return min(own, int(words)) if words.isdigit() else own


def peak_bytes() -> int:
    """Returns the most bytes in use so far: of the first device where it keeps account, else of this process."""
    stats = jax.local_devices()[0].memory_stats() or {}
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return int(stats.get("peak_bytes_in_use", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit))


def members_side_by_side(size: Footprint, device: jax.Device, most: int) -> int:
    """Returns how many members a device trains by vmap: one on a CPU, where a core is full with one, as many as fit elsewhere."""
    if device.platform == "cpu":
        return 1
    room = budget(device, 1) - size.shared
    return max(1, min(most, room // max(1, size.member + size.in_step)))


def width(counts: list[int], most: int, multiple: int) -> int:
    """Returns how many members one program has, for batches of cells of these counts that it must serve.

    It is a multiple of the devices along the member axis and at most `most`; it wastes the fewest padded members, where each further
    population counts as half a member.
    """
    largest = max(multiple, min(most, -(-max(counts) // multiple) * multiple) // multiple * multiple)

    def waste(size: int) -> float:
        populations = sum(-(-count // size) for count in counts)
        return populations * size + 0.5 * populations

    return min(range(largest, 0, -multiple), key=waste)
