"""Source words, `FORMS`, and the documents that they name."""

import difflib

from research.data.documents import Documents
from research.data.files import text_documents
from research.data.generated import GRAMMARS, floor, generated_documents
from research.data.people import people_documents
from research.data.stdlib import code_documents, docs_documents
from research.data.tensorflow_datasets_source import tfds_documents
from research.errors import UsageError

FORMS = ("stdlib:code", "stdlib:docs", "generated:restaurants", "generated:people", "tfds:NAME[/CONFIG][/FIELD]", "text:GLOB")


def read_documents(source: str, max_bytes: int | None = None) -> Documents:
    """Returns the documents that `source` names; UsageError for a word that is none of `FORMS`, or for a source that is not there.

    `max_bytes` bounds what is read, of files or generated documents together and of each split of a prepared set: less than twice as many
    bytes as that.
    """
    if source == "stdlib:code":
        return code_documents()
    if source == "stdlib:docs":
        return docs_documents()
    if source == "generated:people":
        return people_documents(max_bytes)
    kind, _, rest = source.partition(":")
    if kind == "generated" and rest:
        return generated_documents(rest, max_bytes)
    if kind == "tfds" and rest:
        return tfds_documents(rest, max_bytes)
    if kind == "text" and rest:
        return text_documents(rest, max_bytes)
    raise UsageError(f"unknown data source {source!r}; use one of {', '.join(FORMS)}{_nearest(source)}")


def floor_bits(source: str) -> float | None:
    """Returns the fewest bits a byte at which a source can be read on average, None where nobody knows; see `generated.floor`."""
    kind, _, rest = source.partition(":")
    return floor(rest) if kind == "generated" and rest in GRAMMARS else None


def _nearest(source: str) -> str:
    near = difflib.get_close_matches(source, FORMS, 1, 0.4)
    return f" (nearest: {near[0]})" if near else ""
