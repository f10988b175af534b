"""A kept cell of a run as a base: `run:WORKDIR/CELL`."""

import dataclasses
import difflib
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from research import tree
from research.data.vocabulary import BYTES, Vocabulary
from research.errors import UsageError
from research.files import local_path
from research.models.configuration import BIASES, FREE, DecoderConfig
from research.models.model import Variables
from research.runtime import artifacts
from research.runtime.workdir import BASE, OWN, read_json

FORM = "run:WORKDIR/CELL"
NEEDED = {"params/embedding/embedding", "params/final_norm/scale"}  # where everything was trained, these were too


def find(word: str) -> "KeptCell":
    """Returns the cell that a word names. UsageError for a folder that is no run's, and for a cell of which not all weights are kept."""
    path = local_path(word.removeprefix("run:"), "base=run:")
    workdir, name = path.parent, path.name
    config = read_json(workdir / "config.json")
    if config is None or "model" not in config:
        raise UsageError(f"base={word}: {workdir} is not the folder of a run with a decoder; write {FORM}")
    file = workdir / "artifacts" / f"{name}.npz"
    if not file.exists():
        kept = sorted(other.stem for other in file.parent.glob("*.npz"))
        near = difflib.get_close_matches(name, kept, 1, 0.3)
        raise UsageError(f"base={word}: no weights of that cell are kept{f'; did you mean {near[0]!r}?' if near else ''} ({len(kept)} are)")
    if config.get(BASE, OWN) != OWN:
        raise UsageError(f"base={word}: the cell started from {config[BASE]}; name the folder that --export made of it as hf:FOLDER")
    with np.load(file, allow_pickle=False) as arrays:
        if not NEEDED.issubset(arrays.files):
            raise UsageError(f"base={word}: only what moved is kept of that cell; name one in which everything was trained")
    return KeptCell(word, file, config["model"])


@dataclasses.dataclass(frozen=True)
class KeptCell:
    """All weights of a decoder that a run trained, in the file of their artifact; see `research.runtime.bases.Pretrained`."""

    word: str
    file: Path
    own: Mapping[str, Any]

    @functools.cached_property
    def config(self) -> DecoderConfig:
        """Returns the decoder's config as the run had it."""
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in self.own.items()}
        if isinstance(fields["bias"], bool):  # of a run from the time when it was one switch
            fields["bias"] = BIASES if fields["bias"] else ()
        return DecoderConfig(**fields)

    @property
    def model(self) -> dict[str, Any]:
        """Returns all fields that are not free."""
        return {key: value for key, value in dataclasses.asdict(self.config).items() if key not in FREE}

    @property
    def context(self) -> int:
        """Returns the tokens of a window that it was trained on."""
        return self.config.max_length

    @property
    def note(self) -> str:
        """Returns what to say beside every number: nothing."""
        return ""

    @property
    def nbytes(self) -> int:
        """Returns about the bytes of its weights."""
        return self.file.stat().st_size

    @functools.cached_property
    def identity(self) -> str:
        """Returns the SHA-256 of its shape and of the file with its weights."""
        digest = hashlib.sha256(json.dumps(self.model, sort_keys=True).encode())
        digest.update(self.file.read_bytes())
        return digest.hexdigest()

    def load(self, config: DecoderConfig) -> Variables:
        """Returns the parameters."""
        params: Variables = tree.unflatten(artifacts.load(self.file))["params"]
        if self.config.scan != config.scan:
            params = _stacked(params, config.n_layers) if config.scan else _unstacked(params, config.n_layers)
        dtype = jax.numpy.dtype(config.param_dtype)
        return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), params)

    def vocabulary(self) -> Vocabulary:
        """Returns bytes: what runs train on from bases of their own."""
        return BYTES


def _stacked(params: Variables, layers: int) -> Variables:
    rest = {name: leaf for name, leaf in params.items() if not name.startswith("layers_")}
    return {**rest, "layers": jax.tree.map(lambda *leaves: np.stack(leaves), *(params[f"layers_{i}"] for i in range(layers)))}


def _unstacked(params: Variables, layers: int) -> Variables:
    rest = {name: leaf for name, leaf in params.items() if name != "layers"}
    return rest | {f"layers_{i}": jax.tree.map(lambda leaf, at=i: leaf[at], params["layers"]) for i in range(layers)}
