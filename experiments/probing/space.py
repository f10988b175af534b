"""Room for activations: in memory, or, where they are large, in files that are gone when a run ends, however it does."""

import contextlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.probing.encoders import Space

IN_MEMORY = 2**29  # bytes of one array


@contextlib.contextmanager
def space(folder: Path, most: int = IN_MEMORY) -> Iterator[Space]:
    """Returns a context in which float32 arrays of zeros are made: in memory up to `most` bytes, of more in a file of the folder.

    Such a file has no name in the folder where the system allows that, and so leaves nothing behind.
    """
    with contextlib.ExitStack() as files:

        def made(shape: tuple[int, ...]) -> np.ndarray:
            if 4 * math.prod(shape) <= most:
                return np.zeros(shape, np.float32)
            return np.memmap(files.enter_context(tempfile.TemporaryFile(dir=folder)), np.float32, "w+", shape=shape)

        yield made
