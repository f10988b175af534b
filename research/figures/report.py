"""summary.json, the contract of all experiments, and what is made from it and the figures: report.html, whole, and report.md, to paste."""

import base64
import json
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined

from research.figures.style import Captioned, png
from research.files import atomic_write, file_word
from research.findings import Finding, Table

TEMPLATE = Path(__file__).with_name("report.html.j2")
LONG_CELL = 28


def write_summary(
    path: Path, experiment: str, question: str, answer: str, findings: Sequence[Finding], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes summary.json in one move and returns what it holds; numbers that are not finite become null, with a note in findings."""
    summary = {
        "experiment": experiment,
        "question": question,
        "answer": answer,
        "findings": [_finding(finding) for finding in findings],
        "provenance": plain(provenance),
    }
    text = json.dumps(summary, indent=1, allow_nan=False, ensure_ascii=False)
    atomic_write(path, f"{text}\n".encode())
    return summary


def write_report(
    path: Path, summary: Mapping[str, Any], tables: Sequence[Table], figures: Mapping[str, Captioned], runs: Sequence[Mapping[str, Any]]
) -> None:
    """Writes report.html: question, answer, headline `tables`, figures; folded, all findings, what was run (`runs`) and provenance.

    The file asks for nothing outside itself: images are inlined, styles too, and there is no script. Beside it goes report.md.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    page = template.render(
        summary=summary,
        answer=paragraphs(summary["answer"]),
        headline=tables,
        long_cell=LONG_CELL,
        tables=finding_tables(summary["findings"]),
        figures=[_image(name, captioned) for name, captioned in figures.items()],
        runs=[plain(row) for row in runs],
        run_columns=list(dict.fromkeys(name for row in runs for name in row)),
        provenance={name: list(_flat(section)) for name, section in summary["provenance"].items()},
    )
    atomic_write(path, page.encode())
    atomic_write(path.with_suffix(".md"), markdown(summary, tables, figures).encode())


def markdown(summary: Mapping[str, Any], tables: Sequence[Table], figures: Mapping[str, Captioned]) -> str:
    """Returns question, answer, headline tables, and the figures' files and captions in GitHub's dialect of Markdown."""
    parts = [f"## {escaped(summary['question'])}", *map(escaped, paragraphs(summary["answer"]))]
    for table in tables:
        parts += [markdown_table(table.columns, table.rows), escaped(table.caption)]
    parts += [f"`figures/{file_word(name)}.png`: {escaped(captioned.caption)}" for name, captioned in figures.items()]
    return "\n\n".join(parts) + "\n"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table in GitHub's dialect of Markdown."""
    return "\n".join(f"| {' | '.join(map(escaped, line))} |" for line in (columns, ["---"] * len(columns), *rows))


def paragraphs(text: str) -> list[str]:
    """Returns the paragraphs of an answer, parted by empty lines; the first one says the whole in short."""
    return [part.strip() for part in text.split("\n\n") if part.strip()]


def escaped(text: str) -> str:
    """Returns `text` on one line, with no character in it that Markdown would read."""
    return re.sub(r"([\\`*|<~])", r"\\\1", " ".join(text.split()))


def what_ran(results: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns how many cells and records stand there for each phase, initialization and trained part."""
    columns = [name for name in ("experiment", "model", "parameters", "phase", "init", "arm", "trains") if name in results]
    counts = results.groupby(columns, dropna=False, sort=False).agg(cells=("cell", "nunique"), records=("cell", "size")).reset_index()
    return [dict(row) for row in counts.to_dict("records")]


def plain(value: Any) -> Any:
    """Returns `value` as strict JSON knows it: NumPy's scalars as Python's, tuples as lists, non-finite numbers as None, others as text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def number(value: Any) -> str:
    """Returns a number for a reader: four significant digits, thousands set off, an en dash for null; other values as text."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        text = f"{value:,}"
    elif abs(value) < 1e4:
        text = f"{value:.4g}"
    else:
        text = f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.3e}"
    return text.replace("-", "−")


def finding_tables(findings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns one table per name of finding, in order of appearance: name, unit(s), coordinate columns, rows, shared method or ""."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for finding in findings:
        groups.setdefault(finding["name"], []).append(finding)
    return [_table(name, rows) for name, rows in groups.items()]


def _table(name: str, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a group's table; what all its rows share is said once."""
    units, methods = ({row[key] for row in rows} for key in ("unit", "method"))
    return {
        "name": name,
        "unit": units.pop() if len(units) == 1 else "",
        "method": methods.pop() if len(methods) == 1 else "",
        "columns": list(dict.fromkeys(key for row in rows for key in row["where"])),
        "rows": rows,
        "notes": any(row["note"] for row in rows),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    """Returns a finding as strict JSON; a number that is not finite is null, and the note says so."""
    row = plain(finding._asdict())
    lost = [key for key in ("value", "low", "high") if getattr(finding, key) is not None and row[key] is None]
    if lost:
        row["note"] = "; ".join(filter(None, [row["note"], f"{', '.join(lost)} not finite"]))
    return row


def _image(name: str, captioned: Captioned) -> dict[str, Any]:
    """Returns what the template needs of a figure: its bytes as text, its size in pixels, its caption."""
    data = png(captioned.figure)
    width, height = struct.unpack(">II", data[16:24])
    return {"name": name, "data": base64.b64encode(data).decode(), "width": width, "height": height, "caption": captioned.caption}


def _flat(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (dotted name, value) of everything in a nested mapping."""
    if isinstance(section, Mapping) and section:
        for name, value in section.items():
            yield from _flat(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, ", ".join(map(str, section)) if isinstance(section, list) else section
