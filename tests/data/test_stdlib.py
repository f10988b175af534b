import ast
import io
import sys
import sysconfig
import tokenize
import warnings
from pathlib import Path

import pytest

from research.data import stdlib
from research.data.stdlib import code_documents, docs_documents, read_module
from research.errors import UsageError

SOURCE = '''\
#!/usr/bin/env python
"""Module's "docstring" # not a comment."""
import os  # a comment


# alone on its line
def f(a, b="# not a comment"):  # noqa
    """Docstring of f.

    Indented # text
    """
    # first
    text = """keep # this
    # and this
    """
    return (a  # why
            + len(b) + len("it's # kept" '#"'))  # é


class C:
    'Only a docstring.'


def g(): "one line"; return 1
def h(): "one line"
x = rb'\\\\'# tail
"bare"; y = """two
lines # kept"""
"""bare
and long"""; z = 1
'''
CODE = '''\
import os


def f(a, b="# not a comment"):
    text = """keep # this
    # and this
    """
    return (a
            + len(b) + len("it's # kept" '#"'))


class C:
    pass


def g(): pass; return 1
def h(): pass
x = rb'\\\\'
pass; y = """two
lines # kept"""
pass; z = 1'''


class _WithoutBareStrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_Pass(self, node: ast.Pass) -> None:
        return None


def _meaning(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.dump(_WithoutBareStrings().visit(ast.parse(text)))


def _sample() -> list[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    named = [
        root / name for name in ("argparse.py", "tokenize.py", "difflib.py", "inspect.py", "string.py", "email/_header_value_parser.py")
    ]
    return named + sorted(root.glob("*.py"))[::24]


def test_comments_and_docstrings_go_and_all_else_stays() -> None:
    module = read_module(SOURCE)
    assert module.code == CODE
    assert module.docstrings == (
        'Module\'s "docstring" # not a comment.',
        "Docstring of f.\n\nIndented # text",
        "Only a docstring.",
        "one line",
        "one line",
    )


def test_real_files_keep_their_meaning_and_lose_their_comments() -> None:
    for path in _sample():
        with tokenize.open(path) as file:
            text = file.read()
        code = read_module(text).code
        assert _meaning(code) == _meaning(text), path
        tokens = tokenize.generate_tokens(io.StringIO(code).readline)
        assert not [token for token in tokens if token.type == tokenize.COMMENT], path


def test_code_is_real_code_in_quantity_and_leaves_tests_out() -> None:
    documents = code_documents().splits["train"]
    assert sum(map(len, documents)) > 3_000_000 and len(documents) > 200
    joined = b"\n".join(documents)
    assert b"class ArgumentParser(" in joined
    assert b"class IdbTest" not in joined and b"unittest.main()\n\n\nif" not in joined
    assert joined.count(b"\n#") < 200  # lines of string literals, such as templates


def test_docs_are_english() -> None:
    documents = docs_documents().splits["train"]
    text = b"\n".join(documents).decode()
    words = text.lower().split()
    assert sum(map(len, documents)) > 1_000_000 and len(documents) > 300
    assert words.count("the") / len(words) > 0.03
    assert "Return the next item" in text.replace("\n", " ") or "The Python Language" in text
    assert text.count("def __init__(self") < 50


def test_the_provenance_names_python() -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    assert code_documents().provenance["python"].endswith(version)
    assert docs_documents().provenance == code_documents().provenance


def test_files_that_do_not_parse_and_left_out_folders_are_passed_over(tmp_path: Path) -> None:
    for name, text in {
        "a.py": "x = 1  # c\n",
        "b.py": "def (",
        "c.py": "x = '\0'",
        "test/t.py": "y = 1",
        "_sysconfigdata_x.py": "z = 1",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "d.py").write_bytes(b"# -*- coding: latin-1 -*-\ns = '\xe9'\n")
    (tmp_path / "e.py").write_bytes(b"s = '\xe9'\n")
    assert [module.code for module in stdlib._modules(str(tmp_path))] == ["x = 1", "s = 'é'"]


def test_a_python_without_sources_gets_a_clear_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "python311.zip"))
    with pytest.raises(UsageError, match="came without"):
        code_documents()
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(UsageError, match="pydoc_data.topics"):
        docs_documents()
