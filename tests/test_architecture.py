"""The rules of docs/design.md hold in this tree, and each rule fails on a planted breach of it."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests import architecture

FOLDERS = (".ci", "benchmarks", "configs", "docs", "experiments", "research", "tests")
TEXTS = {"", ".py", ".md", ".txt", ".toml", ".cff", ".j2", ".mplstyle"}


@pytest.fixture(scope="module")
def texts(root: Path) -> dict[str, str]:
    """Returns every text file of the project, by its path."""
    files = [*root.glob("*"), *(file for folder in FOLDERS for file in (root / folder).rglob("*"))]
    kept = [file for file in files if file.is_file() and file.suffix in TEXTS and "__pycache__" not in file.parts]
    return {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in kept}


@pytest.fixture(scope="module")
def sources(texts: dict[str, str]) -> dict[str, str]:
    """Returns every Python file of the project, by its path."""
    return {path: text for path, text in texts.items() if path.endswith(".py")}


def assert_none(complaints: Iterable[str]) -> None:
    found = list(complaints)
    assert not found, "\n".join(["", *found])


def among(sources: dict[str, str], *places: str) -> dict[str, str]:
    return {path: text for path, text in sources.items() if path.startswith(places)}


def test_the_top_level_is_the_agreed_one(root: Path) -> None:
    expected = {"launch.py", "requirements.txt", "configs", "experiments", "research", "tests"}
    assert expected <= {entry.name for entry in root.iterdir()}


def test_imports_only_go_down(sources: dict[str, str]) -> None:
    ours = among(sources, "research/", "experiments/", "configs/", "benchmarks/", "docs/", "launch.py")
    assert_none(architecture.upward_imports(ours))
    assert_none(architecture.cyclic_imports(ours))
    assert_none(architecture.reaches_jax(ours))
    assert_none(architecture.reaches_jax(ours, architecture.is_read_or_drawn))


def test_everything_is_small(sources: dict[str, str]) -> None:
    assert_none(architecture.oversized(sources))


def test_functions_are_annotated_and_documented(sources: dict[str, str]) -> None:
    assert_none(architecture.unannotated(among(sources, "research/", "experiments/", "configs/", "docs/", "launch.py")))
    assert_none(architecture.undocumented(among(sources, "research/", "experiments/", "docs/")))


def test_every_test_can_fail(sources: dict[str, str]) -> None:
    assert_none(architecture.hollow_tests(among(sources, "tests/")))


def test_every_config_has_its_experiment(sources: dict[str, str]) -> None:
    assert_none(architecture.unmatched_configs(list(sources)))


def test_every_experiment_follows_the_protocol(sources: dict[str, str]) -> None:
    for name, path in architecture.compositions(sources).items():
        config = f"configs/{name}.py"
        assert_none(architecture.missing_names(path, sources[path], architecture.PROTOCOL))
        assert_none(architecture.missing_names(config, sources[config], ("get_config", "VARIANTS")))


def test_names_say_what_is_inside(texts: dict[str, str]) -> None:
    assert_none(architecture.vague_names(list(texts)))


def test_no_place_of_one_machine_is_named(texts: dict[str, str]) -> None:
    assert_none(architecture.foreign_paths(texts))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("research/models/bad.py", "from research.training import step"),
        ("research/records.py", "def late() -> None:\n    import research.models.decoder"),
        ("research/data/bad.py", "from ..cells import runner"),
        ("research/training/__init__.py", "from ..runtime import workdir"),
        ("research/cells/bad.py", "import launch"),
        ("research/cells/bad.py", "from ml_collections import ConfigDict"),
        ("research/runtime/settings.py", "from absl import flags"),
        ("research/analysis/bad.py", "from research.runtime.workdir import Workdir"),
        ("research/figures/bad.py", "import jax.numpy as jnp"),
        ("experiments/bad.py", "from experiments import other"),
        ("experiments/bad/axes.py", "from experiments.other.axes import Axes"),
        ("experiments/bad.py", "import jax.numpy as jnp"),
        ("experiments/bad/__init__.py", "import jax.numpy as jnp"),
        ("experiments/bad/readings.py", "import jax"),
        ("experiments/bad/plots/curves.py", "from research.cells.study import Study"),
        ("experiments/bad/plots.py", "from research.runtime import workdir"),
        ("research/analysis/bad.py", "from experiments.mine import readings"),
        ("benchmarks/bad.py", "from launch import main"),
        ("research/stray.py", ""),
    ],
)
def test_an_upward_import_is_seen(path: str, text: str) -> None:
    assert len(list(architecture.upward_imports({path: text}))) == 1


def test_a_downward_import_is_no_breach() -> None:
    good = {"research/training/step.py": "from research import tree\nfrom research.models.decoder import Model\nfrom . import state"}
    good |= {"experiments/mine/__init__.py": "import jax\nfrom experiments.mine import axes, readings"}
    good |= {"experiments/mine/axes.py": "import jax.numpy", "experiments/mine/readings.py": "from research.findings import Finding"}
    assert list(architecture.upward_imports(good)) == []
    assert list(architecture.cyclic_imports(good)) == []


def test_a_cycle_between_neighbors_is_seen() -> None:
    pair = {"research/models/a.py": "import research.adapters.b", "research/adapters/b.py": "from research.models import a"}
    assert len(list(architecture.cyclic_imports(pair))) == 1
    pair["research/adapters/b.py"] = "from research.adapters import c"
    assert list(architecture.cyclic_imports(pair)) == []


@pytest.mark.parametrize("middle", ["research/tree.py", "research/tree/__init__.py"])
def test_jax_behind_another_module_is_seen(middle: str) -> None:
    tree = {"research/figures/a.py": "from research.records import Record", "research/records.py": "from research.tree import flat"}
    assert list(architecture.reaches_jax(tree | {middle: "import numpy"})) == []
    assert list(architecture.reaches_jax(tree | {middle: "import jax"})) == [f"jax is reached through {middle}"]


def function(body: str = "pass", arguments: str = "") -> str:
    return f"def long({arguments}):\n" + "\n".join(f"    {line}" for line in body.splitlines())


NESTED = "for a in b:\n    if a:\n        with a:\n            while a:\n                pass"
SIBLINGS = "if a:\n    pass\nelif b:\n    pass\nelif c:\n    pass\nelif d:\n    for e in d:\n        pass"


@pytest.mark.parametrize(
    ("text", "breach"),
    [
        ("a = 1\n" * 251, "251 lines"),
        ("a = 1\n" * 250, None),
        (function("a = 1\n" * 60), "61 lines"),
        (function("a = 1\n" * 59), None),
        (function(NESTED), "4 levels of nesting"),
        (function(SIBLINGS), None),
        (function(arguments="a, b, /, c, d, *, e, f=1, g=2"), "7 arguments"),
        (function(arguments="self, a, b, c, d, e, *rest, f, **more"), None),
    ],
)
def test_the_budget_is_kept_to_the_line(text: str, breach: str | None) -> None:
    complaints = list(architecture.oversized({"a.py": text}))
    assert [breach in complaint for complaint in complaints] == ([True] if breach else [])


ONE_MISSING = [("a", "-> int"), ("*a", "-> int"), ("**a", "-> int"), ("*, a", "-> int"), ("a: int", "")]


@pytest.mark.parametrize(("arguments", "result"), ONE_MISSING)
def test_a_missing_annotation_is_seen(arguments: str, result: str) -> None:
    assert len(list(architecture.unannotated({"a.py": f"class A:\n    def f(self, {arguments}) {result}: ..."}))) == 1
    assert list(architecture.unannotated({"a.py": "class A:\n    def f(self, a: int, *b: int, **c: int) -> int: ..."})) == []


UNDOCUMENTED = """'Doc.'
def f(): return 1
def _g(): return 1
class A:
    def h(self): return 1
    def __len__(self): return 1
    def declared(self): ...
class _B:
    def i(self): return 1
"""


def test_a_missing_docstring_is_seen() -> None:
    complaints = list(architecture.undocumented({"a.py": UNDOCUMENTED, "b.py": ""}))
    assert complaints == ["a.py:2 f has no docstring", "a.py:5 h has no docstring", "b.py has no docstring"]


def test_a_hollow_test_is_seen() -> None:
    hollow, firm = "def test_a():\n    print(1)", "def test_a():\n    with pytest.raises(E): print(1)\ndef test_b():\n    assert 1"
    assert list(architecture.hollow_tests({"a.py": hollow, "b.py": firm})) == ["a.py:1 test_a asserts nothing"]


def test_jax_behind_a_reading_is_seen_and_its_composition_is_not_asked() -> None:
    room = {"experiments/a/__init__.py": "import jax", "experiments/a/readings.py": "from experiments.a.curves import invert"}
    found = {
        text: list(architecture.reaches_jax(room | {"experiments/a/curves.py": text}, architecture.is_read_or_drawn))
        for text in ("", "import jax")
    }
    assert found == {"": [], "import jax": ["jax is reached through experiments/a/curves.py"]}


def test_a_lonely_config_or_experiment_is_seen() -> None:
    configs = ["configs/__init__.py", "configs/base.py", "configs/a.py", "configs/b.py", "configs/d.py"]
    rooms = ["experiments/__init__.py", "experiments/b.py", "experiments/c.py", "experiments/d/__init__.py", "experiments/d/axes.py"]
    complaints = list(architecture.unmatched_configs(configs + rooms))
    assert complaints == ["configs/a.py has no experiment a", "the experiment c has no configs/c.py"]


def test_a_missing_part_of_the_protocol_is_seen() -> None:
    text = "QUESTION: str = 'Why?'\n" + "\n".join(f"def {name}(): ..." for name in architecture.PROTOCOL[1:-1])
    assert list(architecture.missing_names("experiments/a.py", text, architecture.PROTOCOL)) == ["experiments/a.py does not define figures"]


@pytest.mark.parametrize("path", ["research/utils.py", "research/util/a.py", "research/data/text_helpers.py", "common/a.py"])
def test_a_vague_name_is_seen(path: str) -> None:
    assert len(list(architecture.vague_names([path]))) == 1
    assert list(architecture.vague_names(["research/commons.py", "research/futile.py"])) == []


@pytest.mark.parametrize("place", ["../" + "shared/data", "/" + "work/main", '"/' + 'root/x"', "=/" + "home/me"])
def test_a_place_of_one_machine_is_seen(place: str) -> None:
    assert len(list(architecture.foreign_paths({"a.md": f"first\nsee {place}"}))) == 1
    assert list(architecture.foreign_paths({"a.md": "runs/root/x and https://example.org/home/page and /usr/bin/env, the work/play"})) == []
