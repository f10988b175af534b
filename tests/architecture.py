"""The rules of the house as pure functions: sources in, complaints out. test_architecture.py applies them and shows each one failing."""

import ast
import graphlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

WORDS = "errors files findings records sweeps tree".split()
FLOORS = {
    **dict.fromkeys((f"research.{word}" for word in WORDS), 0),
    **dict.fromkeys(("research.models", "research.adapters", "research.losses", "research.optimizers", "configs"), 1),
    **dict.fromkeys(("research.training", "research.data", "research.pretrained", "research.analysis", "research.figures"), 2),
    "research.runtime": 3,
    "research.cells": 4,
    **dict.fromkeys(("experiments", "benchmarks", "docs"), 5),
    "launch": 6,
}
BARRED = {  # what a floor may not import although it lies lower, or outside
    "research.figures": ("jax", "jaxlib", "flax", "optax", "orbax", "tensorflow_datasets", "research.models", "research.analysis"),
    "research": ("ml_collections", "absl"),
    "configs": ("jax", "flax", "numpy"),
}
COMPOSITION = ("jax.numpy",)  # barred from what composes an experiment, not from the other files of its room
READ_AND_DRAWN = ("jax", "jaxlib", "flax", "research.runtime", "research.cells", "research.training")  # barred from readings and plots
ALLOWED = {("research.runtime.settings", "ml_collections")}  # where the command line's ConfigDict is checked, before anybody works with it
PROTOCOL = ("QUESTION", "check", "plan", "run", "findings", "answer", "figures")
MAX_LINES, MAX_FUNCTION, MAX_NESTING, MAX_ARGUMENTS = 250, 60, 3, 6

Sources = Mapping[str, str]  # path relative to the root -> text
Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def module_of(path: str) -> str:
    """Returns the dotted name under which a file is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: str, text: str) -> set[str]:
    """Returns the dotted names a file imports anywhere in it; `from a import b` counts as a.b, which may be a module."""
    package = module_of(path).split(".") if path.endswith("__init__.py") else module_of(path).split(".")[:-1]
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], node.module] if node.level else [node.module]
            names.update(".".join(filter(None, [*base, alias.name])) for alias in node.names)
    return names


def within(name: str, package: str) -> bool:
    """Returns whether a dotted name is a package or lies in it."""
    return f"{name}.".startswith(f"{package}.")


def unit_of(name: str) -> str | None:
    """Returns the entry of FLOORS that a dotted name belongs to, None for what is not ours."""
    return next((unit for unit in FLOORS if within(name, unit)), None)


def room_of(name: str) -> str | None:
    """Returns the experiment that a dotted name belongs to, as experiments.x, None for what belongs to none."""
    return ".".join(name.split(".")[:2]) if within(name, "experiments") and "." in name else None


def is_read_or_drawn(module: str) -> bool:
    """Returns whether a module of a room holds its readings, or draws its figures: functions of records alone."""
    inside = module.split(".")[2:3] if within(module, "experiments") else []
    return bool(inside) and inside[0].startswith(("readings", "headlines", "plots"))


def barred_from(module: str) -> list[str]:
    """Returns what a module may not import although it lies lower, or outside."""
    places = [place for part in BARRED if within(module, part) for place in BARRED[part] if (module, place) not in ALLOWED]
    places += COMPOSITION if module == room_of(module) else ()
    return [*places, *(READ_AND_DRAWN if is_read_or_drawn(module) else ())]


def upward_imports(sources: Sources) -> Iterator[str]:
    """Yields modules without a floor, imports of a higher floor, of another experiment, and of what BARRED names."""
    for path, text in sources.items():
        module = module_of(path)
        unit, room, barred = unit_of(module), room_of(module), barred_from(module)
        if unit is None and module != "research":
            yield f"{path} has no floor in FLOORS"
        for name in sorted(imports(path, text)):
            other = unit_of(name)
            if unit and other and (FLOORS[other] > FLOORS[unit] or (room and room_of(name) not in (None, room))):
                yield f"{path} imports {name}"
            if any(within(name, place) for place in barred):
                yield f"{path} may not import {name}"


def cyclic_imports(sources: Sources) -> Iterator[str]:
    """Yields one cycle among the units of FLOORS, if there is one: neighbors on one floor may look one way only."""
    graph: dict[str, set[str]] = {}
    for path, text in sources.items():
        unit = unit_of(module_of(path))
        if unit:
            graph.setdefault(unit, set()).update(other for name in imports(path, text) if (other := unit_of(name)) and other != unit)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield " <- ".join(error.args[1])


def reaches_jax(sources: Sources, start: Callable[[str], bool] = lambda name: within(name, "research.figures")) -> Iterator[str]:
    """Yields the modules from which those that `start` picks import jax, themselves or through other modules of ours, at any depth.

    A room's composition is not followed: its readings and figures live below it, though Python imports it first.
    """
    files = {module_of(path): path for path in sources if module_of(path) != room_of(module_of(path))}
    found = {name for name in files if start(name)}
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        wanted = imports(files[name], sources[files[name]])
        if any(within(other, "jax") for other in wanted):
            yield f"jax is reached through {files[name]}"
        parents = {".".join(other.split(".")[:length]) for other in wanted for length in range(1, other.count(".") + 2)}
        fresh = (parents & files.keys()) - found
        found |= fresh
        waiting += fresh


def functions(text: str) -> list[Function]:
    """Returns every function of a file, methods and nested ones included."""
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, Function)]


def arguments(function: Function, *, own: bool = False) -> list[ast.arg]:
    """Returns what a caller may pass by position or name (self and cls left out unless `own`); *args and **kwargs are not counted."""
    listed = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return listed if own else [argument for argument in listed if argument.arg not in ("self", "cls")]


def nesting(node: ast.AST) -> int:
    """Returns how many blocks lie within one another in a function; an elif lies beside its if, a nested function starts anew."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        beside = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
        deepest = max(deepest, nesting(child) + (isinstance(child, BLOCKS) and not beside))
    return deepest


def oversized(sources: Sources) -> Iterator[str]:
    """Yields files and functions above the budget: lines, lines of a function, nesting, arguments."""
    for path, text in sources.items():
        if (lines := len(text.splitlines())) > MAX_LINES:
            yield f"{path} has {lines} lines"
        for function in functions(text):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            sizes = {"lines": (length, MAX_FUNCTION), "levels of nesting": (nesting(function), MAX_NESTING)}
            sizes["arguments"] = (len(arguments(function)), MAX_ARGUMENTS)
            yield from (f"{path}:{function.lineno} {function.name} has {n} {what}" for what, (n, most) in sizes.items() if n > most)


def unannotated(sources: Sources) -> Iterator[str]:
    """Yields functions that leave an argument or what they return without a type."""
    for path, text in sources.items():
        for function in functions(text):
            extra = [argument for argument in (function.args.vararg, function.args.kwarg) if argument]
            if function.returns is None or any(argument.annotation is None for argument in arguments(function) + extra):
                yield f"{path}:{function.lineno} {function.name} is not fully annotated"


def is_declaration(function: Function) -> bool:
    """Returns whether a body is `...` alone: a member of a Protocol, which the class's docstring explains."""
    return len(function.body) == 1 and isinstance(function.body[0], ast.Expr) and ast.unparse(function.body[0]) == "..."


def undocumented(sources: Sources) -> Iterator[str]:
    """Yields files, public functions and public methods of public classes that have no docstring."""
    for path, text in sources.items():
        tree = ast.parse(text)
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
        if ast.get_docstring(tree) is None:
            yield f"{path} has no docstring"
        for node in chain(tree.body, *(each.body for each in classes)):
            if not isinstance(node, Function) or node.name.startswith("_") or is_declaration(node):
                continue
            if ast.get_docstring(node) is None:
                yield f"{path}:{node.lineno} {node.name} has no docstring"


def hollow_tests(sources: Sources) -> Iterator[str]:
    """Yields tests that cannot fail on a wrong value: no assert, no pytest.raises, no helper named assert_..."""
    for path, text in sources.items():
        for function in functions(text):
            called = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            words = [getattr(name, "attr", getattr(name, "id", "")) for name in called]
            asserts = any(isinstance(node, ast.Assert) for node in ast.walk(function))
            if function.name.startswith("test_") and not asserts and not any(word.startswith(("assert", "raises")) for word in words):
                yield f"{path}:{function.lineno} {function.name} asserts nothing"


def compositions(paths: Iterable[str]) -> dict[str, str]:
    """Returns the file that composes each experiment, by the experiment's name: experiments/x.py or experiments/x/__init__.py."""
    found = {}
    for path in paths:
        module = module_of(path)
        if module.startswith("experiments.") and module.count(".") == 1:
            found[module.partition(".")[2]] = path
    return found


def unmatched_configs(paths: Iterable[str]) -> Iterator[str]:
    """Yields configs without an experiment and experiments without a config."""
    names = {Path(path).stem for path in paths if path.startswith("configs/")} - {"__init__", "base"}
    composed = compositions(paths).keys()
    yield from (f"configs/{name}.py has no experiment {name}" for name in sorted(names - composed))
    yield from (f"the experiment {name} has no configs/{name}.py" for name in sorted(composed - names))


def missing_names(path: str, text: str, wanted: tuple[str, ...]) -> Iterator[str]:
    """Yields the names that a file should define at its top and does not."""
    defined = set()
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        defined.update(target.id for target in targets if isinstance(target, ast.Name))
        if isinstance(node, Function):
            defined.add(node.name)
    yield from (f"{path} does not define {name}" for name in wanted if name not in defined)


def vague_names(paths: Iterable[str]) -> Iterator[str]:
    """Yields files and folders named after no idea."""
    vague = re.compile(r"(^|[/_])(utils?|common|helpers?|misc)([/_.]|$)")
    yield from (f"{path} says nothing about what is in it" for path in paths if vague.search(path))


def foreign_paths(sources: Sources) -> Iterator[str]:
    """Yields lines that name a place which exists on one machine only."""
    places = re.compile(r"\.\./share[d]\b|(?<![\w.])/(?:root|work|mnt)/|(?<![\w.])/(?:home|Users)/\w")
    for path, text in sources.items():
        yield from (f"{path}:{number} names {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if places.search(line))
