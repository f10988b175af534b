"""The sources `stdlib:code` and `stdlib:docs`: the running interpreter's own standard library, real text that is on every machine."""

import ast
import functools
import inspect
import itertools
import os
import platform
import re
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from research.data.documents import Documents
from research.errors import UsageError

LEFT_OUT = frozenset(
    "test tests idle_test idlelib lib2to3 ensurepip distutils encodings pydoc_data turtledemo "
    "site-packages dist-packages __pycache__".split()
)
_BUILD_RECORD = "_sysconfigdata"  # a generated file of paths and compiler flags: it would make the fingerprint the machine's
_LEXEMES = re.compile(
    r"""
      "{3} (?: [^\\"]+ | \\. | "(?!"") )* "{3} | " (?: [^"\\\n]+ | \\. )* "
    | '{3} (?: [^\\']+ | \\. | '(?!'') )* '{3} | ' (?: [^'\\\n]+ | \\. )* '
    | (?: \n [ \t\f]* (?:\#[^\n]*)? )+ (?=\n|\Z)
    | \#[^\n]*
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = "\0"  # the one character that Python source cannot hold
_COMMENT_AND_BLANKS = re.compile(r"[ \t]*\0")
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Module(NamedTuple):
    """One source file: its code without comments and bare strings, and its docstrings without their indentation."""

    code: str
    docstrings: tuple[str, ...]


class BareString(NamedTuple):
    """A string that stands as a statement, and what may stand in its place: `pass`, or `#`, which the scan for comments takes away."""

    statement: ast.Expr
    text: str
    stand_in: bytes
    is_docstring: bool


def code_documents() -> Documents:
    """Returns the standard library's code, one document per file; UsageError if this Python came without its .py files."""
    modules = _modules(sysconfig.get_path("stdlib"))
    return Documents({"train": [module.code.encode() for module in modules]}, _provenance())


def docs_documents() -> Documents:
    """Returns the standard library's English, one document per topic of `pydoc_data` and one per file's docstrings.

    A docstring that several files share is kept once, in the first of them. UsageError if this Python came without its .py files.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise _without_sources("stdlib:docs", "pydoc_data.topics") from error
    documents, seen = [text.encode() for text in topics.values()], set()
    for module in _modules(sysconfig.get_path("stdlib")):
        fresh = [text for text in dict.fromkeys(module.docstrings) if text not in seen]
        seen.update(fresh)
        documents.append("\n\n".join(fresh).encode())
    return Documents({"train": documents}, _provenance())


def read_module(text: str) -> Module:
    """Returns the code and the docstrings of the source `text`; raises SyntaxError (or ValueError) where it does not parse.

    Strings that stand as statements are taken out by their positions in the syntax tree, comments by a scan for string literals and
    `#`: `tokenize` finds the same comments in five times the time.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old modules hold invalid escapes
        tree = ast.parse(text)
    lines, strings = text.encode().split(b"\n"), _bare_strings(tree)
    for bare in reversed(strings):
        _replace(lines, bare.statement, bare.stand_in)
    code = _LEXEMES.sub(_without_comment, "\n" + b"\n".join(lines).decode())
    code = _COMMENT_AND_BLANKS.sub("", code).strip()
    docstrings = (inspect.cleandoc(bare.text) for bare in strings if bare.is_docstring)
    return Module(code, tuple(filter(None, docstrings)))


@functools.cache
def _modules(root: str) -> tuple[Module, ...]:
    found = []
    for path in _source_files(Path(root)):
        try:
            with tokenize.open(path) as file:
                found.append(read_module(file.read()))
        except (SyntaxError, ValueError, OSError):
            continue
    if not found:
        raise _without_sources("stdlib:*", f".py files under {root}")
    return tuple(found)


def _source_files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        yield from (Path(folder, file) for file in sorted(files) if file.endswith(".py") and not file.startswith(_BUILD_RECORD))


def _bare_strings(tree: ast.Module) -> list[BareString]:
    """Returns the strings that stand as statements, in the order of the text."""
    found: list[BareString] = []
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        for field in _BLOCKS:
            block: list[ast.stmt] = getattr(node, field, [])
            nodes.extend(block)
            found.extend(_in_block(block, field == "body" and isinstance(node, _DOCUMENTED)))
    return sorted(found, key=lambda bare: (bare.statement.lineno, bare.statement.col_offset))


def _in_block(block: list[ast.stmt], documents: bool) -> Iterator[BareString]:
    for place, (statement, follower) in enumerate(itertools.zip_longest(block, block[1:])):
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
            yield BareString(statement, statement.value.value, _stand_in(statement, follower), documents and place == 0)


def _stand_in(statement: ast.Expr, follower: ast.stmt | None) -> bytes:
    return b"pass" if follower is None or follower.lineno == statement.end_lineno else b"#"


def _replace(lines: list[bytes], statement: ast.Expr, stand_in: bytes) -> None:
    """Puts `stand_in` for `statement` into `lines`; no line is added or dropped, so positions further up keep their meaning."""
    first, last = statement.lineno - 1, (statement.end_lineno or statement.lineno) - 1
    tail = lines[last][statement.end_col_offset :]
    lines[first] = lines[first][: statement.col_offset] + stand_in + (b"" if last > first else tail)
    for line in range(first + 1, last + 1):
        lines[line] = b"#"
    if last > first and tail.strip():
        lines[first] += tail


def _without_comment(lexeme: re.Match[str]) -> str:
    text = lexeme[0]
    if text[0] == "#":
        return _COMMENT
    if text[0] == "\n":
        return "\n" * min(sum(not line.strip() for line in text.split("\n")[1:]), 2)
    return text


def _provenance() -> dict[str, Any]:
    return {"python": f"{platform.python_implementation()} {platform.python_version()}"}


def _without_sources(source: str, missing: str) -> UsageError:
    return UsageError(f"{source} needs {missing}, which this Python came without; use a full CPython, or text:GLOB with text of your own")
