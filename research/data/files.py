"""The source `text:GLOB`: one document per file."""

import glob
from pathlib import Path

from research.data.documents import Documents
from research.errors import UsageError
from research.files import local_path


def text_documents(pattern: str) -> Documents:
    """Returns the files that match `pattern` (`**` matches any depth), read as UTF-8; UsageError if there is none or one cannot be read."""
    paths = sorted(path for path in map(Path, glob.glob(str(local_path(pattern, "text:")), recursive=True)) if path.is_file())
    if not pattern or not paths:
        raise UsageError(f"text:{pattern} matches no file; give a glob of files, such as 'text:folder/**/*.txt'")
    try:
        texts = [path.read_bytes().decode("utf-8", "replace").encode() for path in paths]
    except OSError as error:
        raise UsageError(f"text:{pattern} matches {error.filename}, which cannot be read ({error.strerror}); narrow the glob") from error
    return Documents({"train": texts}, {"files": len(paths)})
