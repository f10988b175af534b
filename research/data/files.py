"""The source `text:GLOB`: one document per file."""

import glob
import hashlib
import logging
import os
from pathlib import Path

from research.data.decoding import decoded
from research.data.documents import Documents
from research.errors import UsageError
from research.files import local_path

_log = logging.getLogger(__name__)


def text_documents(pattern: str, max_bytes: int | None = None) -> Documents:
    """Returns the files that match `pattern` (`**` matches any depth), each once whatever links there are, as UTF-8.

    With `max_bytes`, files are read in the order of the SHA-256 of their paths below what all share, until they have given so many
    bytes, and of one file no more than that. UsageError if there is none, or one cannot be read or is not text.
    """
    paths = matches(pattern)
    if not paths:
        raise UsageError(f"text:{pattern} matches no file; give a glob of files, such as 'text:folder/**/*.txt'")
    texts: list[bytes] = []
    used = cut = replaced = 0
    for path in _shuffled(paths):
        if max_bytes is not None and used >= max_bytes:
            break
        raw, whole = _read(path, pattern, max_bytes)
        found = decoded(raw, f"text:{pattern} matches {path}, which", whole)
        texts.append(found.text)
        used, cut, replaced = used + len(found.text), cut + (not whole), replaced + found.replaced
    if len(texts) < len(paths) or cut:
        _log.info("text:%s: %d of %d files are read, %d in part, by data.max_bytes=%d", pattern, len(texts), len(paths), cut, max_bytes)
    if replaced:
        _log.info("text:%s: %d bytes that are no text became U+FFFD", pattern, replaced)
    counts = {"files": len(paths), "files_read": len(texts), "files_cut": cut, "replaced_bytes": replaced}
    return Documents({"train": texts}, counts)


def matches(pattern: str) -> list[Path]:
    """Returns the files that match a glob, each once whatever links lead to it.

    Unlike `glob.glob`, which walks a link to a folder above it dozens of times, it visits no folder twice at one place of the pattern.
    """
    start = local_path(pattern, "text:")
    queue = [(Path(start.anchor), os.path.realpath(start.anchor), start.parts[bool(start.anchor) :])]
    seen, found = set(), []
    for folder, real, parts in queue:  # which grows meanwhile
        if (real, parts) in seen:
            continue
        seen.add((real, parts))
        if not parts:
            found.append(folder)
            continue
        wanted, rest = ("*/", parts) if parts[0] == "**" else (parts[0], parts[1:])
        if parts[0] == "**":
            queue.append((folder, real, parts[1:] or ("*",)))
        queue.extend((folder / name, _real(real, name), rest) for name in sorted(glob.iglob(wanted, root_dir=folder)))
    return sorted(path for path in found if path.is_file())


def _real(folder: str, name: str) -> str:
    """Returns the real path of `name` in a real folder: `os.path.realpath` would look at each folder above it, too."""
    path = os.path.join(folder, name.rstrip(os.sep))
    return os.path.realpath(path) if name == ".." or os.path.islink(path) else path


def _shuffled(paths: list[Path]) -> list[Path]:
    """Returns `paths` in an order that depends neither on where their folder lies nor on the times of files."""
    root = os.path.commonpath(paths)
    return sorted(paths, key=lambda path: hashlib.sha256(os.fsencode(path.relative_to(root).as_posix())).digest())


def _read(path: Path, pattern: str, limit: int | None) -> tuple[bytes, bool]:
    """Returns a file's bytes, at most `limit`, and whether they are all it has."""
    try:
        with path.open("rb") as file:
            whole = limit is None or os.fstat(file.fileno()).st_size <= limit
            return file.read() if whole else file.read(limit), whole
    except OSError as error:
        raise UsageError(f"text:{pattern} matches {path}, which cannot be read ({error.strerror}); narrow the glob") from error
