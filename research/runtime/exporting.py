"""`--export`: what a run trained leaves its folder, as transformers and peft read it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from research import tree
from research.errors import UsageError
from research.files import local_path
from research.pretrained import export, families, sources
from research.pretrained.checkpoint import Checkpoint
from research.records import Record, read_rows
from research.runtime import artifacts
from research.runtime.bases import OWN
from research.runtime.settings import nearest
from research.runtime.workdir import read_json

BASE = "base"  # the word for the untouched base among cells
_OBSERVED = ("experiment", "cell", "step", "metric", "value", "unit", "note", "document")


class Trained(NamedTuple):
    """A cell of a run: its coordinates, whether it diverged, and the names of the arrays that were kept of it."""

    coordinates: Mapping[str, Any]
    diverged: bool
    kept: tuple[str, ...]

    @property
    def what(self) -> str:
        """Returns what it would be exported as, "" where it cannot be."""
        if self.diverged or not self.kept or any(name.startswith("adapter/subspace/") for name in self.kept):
            return ""
        return "model" if any(name.startswith("params/") for name in self.kept) else "adapter"


def exported(workdir: Path, target: str, cell: str | None) -> str:
    """Returns what is to be printed once a cell of the run in `workdir` stands in the folder `target`; without a cell, which there are.

    The cell 'base' is the base itself. UsageError for a folder that is no run's or not empty, for a base that is not from elsewhere or has
    changed since, and for a cell that is unknown, diverged, was not kept, or whose base no folder holds.
    """
    folder, config = local_path(target, "--export="), read_json(workdir / "config.json")
    if config is None or "experiment" not in config:
        raise UsageError(f"{workdir} is not the folder of a run: it has no config.json; give --workdir=FOLDER, or the --config of the run")
    base = _base(str(config.get("base", OWN)), workdir)
    cells = _cells(workdir)
    if cell is None:
        return _listing({cell: own for cell, own in cells.items() if own.what and _is_grounded(base, own)}, cells, workdir)
    if folder.resolve().is_relative_to(base.source.resolve()):
        raise UsageError(f"--export={target} lies in the folder of the base itself, {base.source}; name a new folder")
    if cell == BASE:
        export.write_model(folder, base, {}, _origin(base, {}))
        return f"the base {base.word} stands in {folder}"
    own = _known(cells, cell, workdir, "keep" in config)
    base = _of_revision(base, str(own.coordinates.get("init") or ""), workdir)
    arrays = artifacts.load(workdir / "artifacts" / f"{cell}.npz")
    if not _is_grounded(base, own):
        raise UsageError(
            f"cell {cell} started from {own.coordinates['init']} weights, which no folder holds, and its {own.what} is of no use without "
            "them; cells that trained everything, or that started from pretrained weights, can be exported"
        )
    if own.what == "model":
        export.write_model(folder, base, tree.unflatten(arrays), _origin(base, {"cell": cell, "coordinates": own.coordinates}))
        return f"the model of cell {cell} stands in {folder}"
    rslora = config.get("adapter", {}).get("scaling") == "rslora"
    origin = _origin(base, {"cell": cell, "coordinates": own.coordinates})
    note = ""
    if not base.source.is_dir():
        origin["base"], note = _exported_base(folder, base)
    export.write_adapter(folder, base, tree.unflatten(arrays), rslora, origin)
    return f"the adapter of cell {cell} stands in {folder}{note}; its base is {origin['base']}"


def _base(word: str, workdir: Path) -> Checkpoint:
    if word == OWN or word.startswith("run:"):
        raise UsageError(
            f"{workdir} started from base={word}, a decoder of this repository that transformers does not have; what starts from "
            "--config.base=hf:... or gguf:... can be exported"
        )
    return _as_pinned(sources.find(word), workdir, "base")


def _as_pinned(base: Checkpoint, workdir: Path, name: str) -> Checkpoint:
    """The base, where it is still what the run pinned under `name`."""
    pinned = (read_json(workdir / "fingerprints.json") or {}).get(name, base.identity)
    if pinned != base.identity:
        raise UsageError(f"{base.word} has changed since {workdir} was made ({pinned[:12]} -> {base.identity[:12]}); bring its files back")
    return base


def _cells(workdir: Path) -> dict[str, Trained]:
    rows: dict[str, list[Record]] = {}
    for row in read_rows(workdir / "records.jsonl")[0]:
        if row.get("cell"):
            rows.setdefault(row["cell"], []).append(row)
    return {
        cell: Trained(
            {key: value for key, value in own[0].items() if key not in _OBSERVED and value is not None},
            any(row.get("note") == "diverged" for row in own),
            _names(workdir / "artifacts" / f"{cell}.npz"),
        )
        for cell, own in rows.items()
    }


def _names(path: Path) -> tuple[str, ...]:
    """The names of an artifact's arrays, from its table of contents."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return tuple(file.files)
    except (OSError, ValueError, EOFError, BadZipFile):
        return ()


def _listing(fit: Mapping[str, Trained], cells: Mapping[str, Trained], workdir: Path) -> str:
    lines = [
        f"  --cell={cell}  {own.what:7}  {', '.join(f'{key} {value}' for key, value in own.coordinates.items())}"
        for cell, own in fit.items()
    ]
    lost = sum(own.diverged for own in cells.values())
    words = (
        f"{len(lines)} of {len(cells)} cells of {workdir} can be exported; {lost} diverged, the others were not kept or stand on no folder"
    )
    return "\n".join([words, *lines, f"  --cell={BASE}  the base itself"])


def _known(cells: Mapping[str, Trained], cell: str, workdir: Path, keeps: bool) -> Trained:
    if cell not in cells:
        raise UsageError(f"{workdir} has no cell {cell!r}{nearest(cell, [BASE, *cells])}; --export without --cell lists them")
    own = cells[cell]
    if own.diverged:
        raise UsageError(f"cell {cell} diverged: its weights are no model; choose another one (--export without --cell lists them)")
    if not own.kept:
        seed, trains = own.coordinates.get("seed"), own.coordinates.get("trains")
        words = f"of full rank, they are for the seeds that --config.keep names: add {seed} to it, in a new --workdir"
        if not keeps:
            words = "this experiment exports none; lora_rank_sweep does"
        elif own.coordinates.get("phase") == "select":
            words = "those of cells by which learning rates are chosen never are; take one of phase result"
        elif trains == "lora":
            words = "this run was made before adapters of results were kept; run it again in a new --workdir"
        raise UsageError(f"no weights of cell {cell} ({trains}, seed {seed}) are kept: {words}")
    if not own.what:
        raise UsageError(
            f"cell {cell} moved within a random subspace, which is no adapter of peft; cells with LoRA or of full rank can be exported"
        )
    return own


def _of_revision(base: Checkpoint, init: str, workdir: Path) -> Checkpoint:
    """The revision of the base that a cell started from, as research.cells.starts found and pinned it."""
    revision = init.partition("@")[2]
    if not revision or not init.startswith("pretrained@"):
        return base
    return _as_pinned(sources.find(f"{base.word.partition('@')[0]}@{revision}"), workdir, f"base @{revision}")


def _is_grounded(base: Checkpoint, own: Trained) -> bool:
    """Whether every weight of a cell was kept or is the checkpoint's."""
    init = str(own.coordinates.get("init") or "pretrained")
    if init == "pretrained" or init.startswith("pretrained@"):
        return True
    kept = {re.sub(r"^params/layers_\d+/", "params/layers/", name) for name in own.kept}
    return {f"params/{row.ours}" for row in families.rows(base.family, base.model)} <= kept


def _origin(base: Checkpoint, cell: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of an export: the base by the name or the folder that peft loads, and what the cell was."""
    place, revision = base.word.partition(":")[2], None
    if base.source.is_dir() and local_path(place, "base=").is_dir():
        place = str(local_path(place, "base=").absolute())
    else:
        place, _, revision = place.partition("@")
    return {"base": place, "revision": revision or None, "word": base.word, "note": base.note or None, "identity": base.identity, **cell}


def _exported_base(folder: Path, base: Checkpoint) -> tuple[str, str]:
    """The folder beside `folder` that holds a base which peft cannot load as it is, written where it does not stand yet."""
    place = folder.absolute().parent / f"base-{base.identity[:12]}"
    known = read_json(place / export.ORIGIN) or {}
    if known.get("identity") != base.identity or known.get("what") != "model" or "cell" in known:
        export.write_model(place, base, {}, _origin(base, {}))
    return str(place), f", {base.note or 'a GGUF'} (on other weights of the same name it would be another model)"
