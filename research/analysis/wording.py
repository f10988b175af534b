"""Words about whose base a run started from, and what its intervals hold: every one of them hangs on findings."""

import re
from collections.abc import Iterable, Sequence

from research.analysis.contrasts import BASE_LEFT_OUT, NO_DOCUMENTS
from research.findings import Finding, find, shown

ALONE, LEFT_OUT, NO_INTERVAL = "over documents alone: there is one base", "documents are left out", "no interval over one base"
ROUNDING = 1e-9
LESS, MORE, ALIKE, UNJUDGED = "less", "more", "alike", "unjudged"
_SMALL = re.compile(r"\d+ KB of held-out text carry no interval over documents")


def elsewhere(found: Sequence[Finding]) -> str:
    """Returns the word of a base that was pretrained elsewhere, with its note; empty where bases were pretrained here."""
    base = find(found, "base")
    return "" if base is None else base.note


def base_sentence(found: Sequence[Finding]) -> list[str]:
    """Returns the sentence, without its period, with which an answer names a base from elsewhere; none where bases were pretrained here."""
    base = elsewhere(found)
    return [f"The base is {base}, pretrained elsewhere"] if base else []


def verdict(f: Finding) -> str:
    """Returns whether a difference is told apart from 0: less, more, alike, or unjudged without an interval over bases.

    Bases that read the same to rounding, as counts may, have no interval either, but for a difference of 0.
    """
    if f.value is None or f.n < 2 or f.low is None or f.high is None or BASE_LEFT_OUT in f.note:
        return UNJUDGED
    if f.value and f.high - f.low <= ROUNDING * abs(f.value):
        return UNJUDGED
    return ALIKE if f.low <= 0 <= f.high else LESS if f.high < 0 else MORE


def sentences(*paragraphs: Iterable[str]) -> str:
    """Returns sentences, given without their periods, as paragraphs; empty ones are left out."""
    said = (" ".join(f"{part}." for part in parts) for parts in paragraphs)
    return "\n\n".join(part for part in said if part)


def pieces_of(found: Sequence[Finding]) -> str:
    """Returns of what a text's unigram entropy is: of bytes, or of the tokens of a model from elsewhere."""
    return "tokens" if elsewhere(found) else "bytes"


def window_sentence(found: Sequence[Finding]) -> str:
    """Returns, behind a space, in which windows text was read; empty where records do not tell."""
    one = find(found, "window")
    return "" if one is None else f" Read in windows of {shown(one, ',.0f')} {pieces_of(found)} that do not overlap."


def held(found: Sequence[Finding]) -> str:
    """Returns what intervals a table has and what they are over, in a few words, as the findings' notes tell."""
    read = [f for f in found if f.value is not None]
    single = any(BASE_LEFT_OUT in f.note for f in read)
    without = bool(read) and all(NO_DOCUMENTS in f.note for f in read)
    if read and all(f.n == 1 for f in read):
        return f"{NO_INTERVAL}; {LEFT_OUT}{small(found)}" if without else f"95 % interval {ALONE}"
    if without:
        return f"95 % interval over {'seeds of one base, which is left out' if single else 'bases'}; {LEFT_OUT}{small(found)}"
    return f"95 % interval over {'seeds of one base, which is left out, and over documents' if single else 'bases and documents'}"


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
        (True, False): f"over {units}{left}{', and so are documents' if single else f'; {LEFT_OUT}'}{small(read)}",
        (False, True): ALONE,
    }
    told = " or ".join(words[key] for key in sorted(over, reverse=True))
    plural = "seeds of one base" if single else "base" if counts == [1] else "bases"
    drawn = f"95 % intervals {told}" if told else "no interval could be had"
    censored = len(found) - len(read)
    return f"Mean over {n} {plural}; {drawn}." + (f" {censored} could not be read." if censored else "")
