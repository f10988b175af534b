"""Arrays that later analysis needs, one file a cell, with a digest inside."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from research.errors import UsageError
from research.files import atomic_write, explained

_DIGEST = "sha256"
_KINDS = "biufc"


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 of names, dtypes, shapes and contents, in 64 hex digits."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        total.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Returns once `arrays` stand at `path`, whole or not at all. TypeError for a dtype that .npz does not keep, such as bfloat16."""
    hosted = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in hosted.items():
        if array.dtype.kind not in _KINDS or name == _DIGEST:
            raise TypeError(f"{name} of dtype {array.dtype} cannot be kept in an artifact; convert it to float32")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{_DIGEST: np.array(digest(hosted)), **hosted})
    atomic_write(path, file.getvalue())


def load(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays saved at `path`. UsageError when the file is missing, cut short, or not what was saved."""
    mend = "delete it, and the cell's lines in records.jsonl, to have the cell run again"
    if not path.exists():
        raise UsageError(f"artifact {path} is missing; {mend}")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        intact = str(arrays.pop(_DIGEST)) == digest(arrays)
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UsageError(f"artifact {path} is damaged ({type(error).__name__}); {mend}") from error
    if not intact:
        raise UsageError(f"artifact {path} is damaged (its digest differs); {mend}")
    return arrays
