"""Marked blocks of Markdown pages: what they show is made from a run's summary and tables, and nothing else on a page is measured.

A block begins with `<!-- begin NAME[:VARIANT] KIND ... -->` and ends with `<!-- end -->`. Kinds: answer; headline; cost; table FINDING
[KEY=VALUE ...], all findings of that name, or those with these coordinates, in which _ stands for a blank. `<!-- begin gallery -->` has a
line for every experiment.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from research.errors import UsageError
from research.figures.report import escaped, markdown_table, paragraphs
from research.findings import Finding, Table, shown

_BLOCK = re.compile(r"(<!-- begin (?P<words>[^>]+) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.DOTALL)
_WIDTH = 320


class Shown(NamedTuple):
    """A run behind the pages: its summary, its findings, the headline's tables, and the name of the figure that stands for it."""

    summary: Mapping[str, Any]
    findings: Sequence[Finding]
    tables: Sequence[Table]
    figure: str


Runs = Mapping[str, Shown]  # by NAME or NAME:VARIANT, the defaults first


def filled(page: str, runs: Runs) -> str:
    """Returns a page with the inside of every marked block made anew. UsageError for a block of an unknown run, kind or finding."""

    def body(match: re.Match[str]) -> str:
        if "<!-- begin " in match["body"]:
            raise UsageError(f"the block {match['words']!r} has no <!-- end --> before the next one begins")
        return f"{match[1]}{_made(match['words'].split(), runs)}\n{match['end']}"

    return _BLOCK.sub(body, page)


def blocks(page: str) -> dict[str, str]:
    """Returns what stands in each marked block of a page, by the words of its mark."""
    return {match["words"]: match["body"] for match in _BLOCK.finditer(page)}


def without_blocks(page: str) -> str:
    """Returns a page without its marked blocks."""
    return _BLOCK.sub("", page)


def _made(words: list[str], runs: Runs) -> str:
    if words == ["gallery"]:
        return _gallery(runs)
    name, kind, rest = words[0], words[1] if len(words) > 1 else "", words[2:]
    kinds: dict[str, Callable[[Shown, list[str]], str]] = {"answer": _answer, "headline": _headline, "cost": _cost, "table": _table}
    if name not in runs:
        raise UsageError(f"a block is of {name!r}, of which no run stands in docs/results (there are: {', '.join(runs)})")
    if kind not in kinds:
        raise UsageError(f"a block of {name} is a {kind!r}; choose among {', '.join(kinds)}, or gallery")
    return kinds[kind](runs[name], rest)


def _gallery(runs: Runs) -> str:
    lines = ["| | |", "|---|---|"]
    for word, run in runs.items():
        if ":" in word:
            continue
        page, question = f"docs/experiments/{word}.md", run.summary["question"]
        image = f'<a href="{page}"><img src="docs/figures/{word}/default/{run.figure}.png" width="{_WIDTH}" alt="{escaped(question)}"></a>'
        gist = next(iter(paragraphs(run.summary["answer"])), "")
        command = f"`python launch.py --config=configs/{word}.py`"
        words = f"**[{word}]({page}): {escaped(question)}** {escaped(gist)}<br>*{_costs(run)}*: {command}"
        lines.append(f"| {image} | {words} |")
    return "\n".join(lines)


def _answer(run: Shown, rest: list[str]) -> str:
    return "\n>\n".join(f"> {escaped(part)}" for part in paragraphs(run.summary["answer"]))


def _headline(run: Shown, rest: list[str]) -> str:
    return "\n\n".join(f"{markdown_table(table.columns, table.rows)}\n\n{escaped(table.caption)}" for table in run.tables)


def _cost(run: Shown, rest: list[str]) -> str:
    versions = run.summary["provenance"]["versions"]
    machine = ", ".join(run.summary["provenance"]["devices"])
    return f"Costs {_costs(run)} on {machine} (Python {versions['python']}, JAX {versions['jax']})."


def _costs(run: Shown) -> str:
    origin = run.summary["provenance"]
    seconds, memory = sum(origin["seconds"].get(stage, 0.0) for stage in ("run", "report")), origin.get("peak_memory_bytes")
    return f"{seconds / 60:.1f} minutes" + (f" and {memory / 1e9:.1f} GB" if memory else "")


def _table(run: Shown, rest: list[str]) -> str:
    """All findings of a name: a column for each coordinate in which they differ, the value with its interval, the number of draws."""
    name, wanted = (rest or [""])[0], [word.partition("=")[::2] for word in rest[1:]]
    found = [f for f in run.findings if f.name == name and all(str(f.where.get(key)).replace(" ", "_") == value for key, value in wanted)]
    if not found:
        known = ", ".join(dict.fromkeys(f.name for f in run.findings))
        raise UsageError(f"a table is of findings {' '.join(rest)!r}, and {run.summary['experiment']} has none (it has: {known})")
    keys = dict.fromkeys(key for f in found for key in f.where)
    varying = [key for key in keys if len({str(f.where.get(key)) for f in found}) > 1]
    units = {f.unit for f in found}
    columns = [*varying, name.replace("_", " ") + (f" ({units.pop()})" if len(units) == 1 and units != {"1"} else ""), "n"]
    rows = [[*(_word(f.where.get(key)) for key in varying), shown(f), str(f.n)] for f in found]
    return markdown_table(columns, rows)


def _word(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
