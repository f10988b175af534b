"""Words that hang on what was run: with what LoRA is compared, whose base it starts from, and what an interval holds."""

import re
from collections.abc import Sequence

from research.analysis.contrasts import BASE_LEFT_OUT, NO_DOCUMENTS
from research.findings import Finding, find

MATCHED, FULL = "matched", "full"
AT_FULL_RANK = {MATCHED: "the same matrices at full rank", FULL: "training everything"}
IN_FULL_RANK = {MATCHED: "full rank in the same matrices", FULL: "training everything"}
GAINS = {MATCHED: "the same matrices gain at full rank", FULL: "training everything gains"}
_SMALL = re.compile(r"\d+ KB of held-out text carry no interval over documents")


def reference_of(found: Sequence[Finding]) -> str:
    """Returns what a rank is compared with: full-rank training of the same matrices, or, where none was done, of everything."""
    gaps = {f.where["reference"] for f in found if f.name == "gap"}
    return FULL if gaps == {FULL} else MATCHED


def elsewhere(found: Sequence[Finding]) -> str:
    """Returns the word of a base that was pretrained elsewhere, with its note; empty where bases were pretrained here."""
    base = find(found, "base")
    return "" if base is None else base.note


def pieces_of(found: Sequence[Finding]) -> str:
    """Returns of what a text's unigram entropy is: of bytes, or of the tokens of a model from elsewhere."""
    return "tokens" if elsewhere(found) else "bytes"


def held(found: Sequence[Finding]) -> str:
    """Returns what the intervals of a table are over, in a few words, as the findings' notes tell."""
    notes = [f.note for f in found if f.value is not None]
    single = any(BASE_LEFT_OUT in note for note in notes)
    if notes and all(NO_DOCUMENTS in note for note in notes):
        return f"over {'seeds of one base, which is left out' if single else 'bases'}; documents are left out{small(found)}"
    return "over seeds of one base, which is left out, and over documents" if single else "over bases and documents"


def small(found: Sequence[Finding]) -> str:
    """Returns, in brackets, that the text is too small for an interval over documents; empty where no note says so."""
    said = next(filter(None, (_SMALL.search(f.note) for f in found)), None)
    return f" ({said[0]})" if said else ""


def interval_sentence(found: Sequence[Finding]) -> str:
    """Returns what the intervals of these findings hold, from how many bases or seeds they are and what their notes leave out."""
    read = [f for f in found if f.value is not None]
    counts = sorted({f.n for f in read})
    if not counts:
        return "Nothing could be read."
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
    single = any(BASE_LEFT_OUT in f.note for f in read)
    over = {(f.n > 1, NO_DOCUMENTS not in f.note) for f in read if f.low is not None}
    units, left = ("these seeds", ": the base is left out") if single else ("bases", "")
    words = {
        (True, True): f"over {units} and over documents, added in squares{left}",
        (True, False): f"over {units}{left}{', and so are documents' if single else '; documents are left out'}{small(read)}",
        (False, True): "over documents alone: there is one base",
    }
    told = " or ".join(words[key] for key in sorted(over, reverse=True))
    plural = "seeds of one base" if single else "base" if counts == [1] else "bases"
    drawn = f"95 % intervals {told}" if told else "no interval could be had"
    censored = len(found) - len(read)
    return f"Mean over {n} {plural}; {drawn}." + (f" {censored} could not be read." if censored else "")
