"""From `--config=configs/x.py:variant` and `--config.a.b=value` to a checked ConfigDict, with a clear word for every mistake."""

import ast
import contextlib
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from research.errors import UsageError
from research.files import local_path
from research.runtime import loading

Config = Any  # a ConfigDict, handed through: here its methods are used and its type is not
_OPEN, _CLOSE = "([{", ")]}"


class Loaded(NamedTuple):
    """A config file with its variant applied; `name` is the file's stem, `module` carries VARIANTS and get_config."""

    name: str
    variant: str
    module: ModuleType
    config: Config


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns "; did you mean 'x'?" for the nearest of `known`, or "" when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def load(argument: str, root: Path) -> Loaded:
    """Returns the config named by `argument`, 'configs/x.py[:variant]', sought from the working directory, then from `root`.

    UsageError for an unknown file (with the nearest name), a file that is no config, or an unknown variant (with the known ones).
    """
    argument = str(local_path(argument, "--config="))
    file, _, variant = argument.partition(":") if not Path(argument).exists() else (argument, "", "")
    path = _found(file, root)
    module = loading.load(path, "configs", root)
    if not hasattr(module, "get_config") or not hasattr(module, "VARIANTS"):
        raise UsageError(f"{path} is not a config: it needs get_config(variant) and VARIANTS; see --list")
    if variant and variant not in module.VARIANTS:
        known = ", ".join(name for name in module.VARIANTS if name) or "none"
        raise UsageError(f"{path.name} has no variant {variant!r}{nearest(variant, module.VARIANTS)} (variants: {known})")
    return Loaded(path.stem, variant, module, module.get_config(variant))


def _found(file: str, root: Path) -> Path:
    for path in (Path(file), root / file):
        if path.is_file() and path.suffix == ".py":
            return path.resolve()
    known = {path.stem: path for folder in (Path(file).parent, root / "configs") for path in sorted(folder.glob("*.py"))}
    raise UsageError(f"no config file {file!r}{nearest(Path(file).stem, known)} (give --config=configs/<name>.py[:variant]; see --list)")


def to_plain(config: Config) -> dict[str, Any]:
    """Returns the config as nested dicts of plain values, tuples kept."""
    plain: dict[str, Any] = config.to_dict()
    return plain


def flat_keys(section: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns the dotted keys of all values in nested dicts, in their order."""
    keys: list[str] = []
    for key, value in section.items():
        keys += flat_keys(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [prefix + key]
    return keys


def override(config: Config, assignments: Sequence[str]) -> Config:
    """Returns a locked copy of `config` with every 'a.b=value' of `assignments` set, typed by its default.

    UsageError for an unknown key (with the nearest one), a key without '=', a key given twice (a shell makes two flags of {a,b}), a
    section, and a value of the wrong type (with an example).
    """
    copy = config.copy_and_resolve_references()
    given: dict[str, str] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--config.{key} needs a value: write --config.{key}=value")
        if key in given:
            both, how = (
                f"{given[key]} and {text}",
                "several values have commas between, and what a shell reads, as {a,b}, stands in quotes",
            )
            raise UsageError(f"--config.{key} is given twice, as {both}; give it once: {how}")
        given[key] = text
        section, name = _located(copy, key)
        section[name] = parse(text, section[name], key)
    return copy.lock()


def _located(config: Config, key: str) -> tuple[Config, str]:
    """Returns the section that holds `key`, and the key's last word."""
    known = flat_keys(to_plain(config))
    if key in known:
        *path, name = key.split(".")
        for part in path:
            config = config[part]
        return config, name
    if inner := [other for other in known if other.startswith(f"{key}.")]:
        raise UsageError(f"--config.{key} is a section; set one of {', '.join(inner)}")
    parent = key.rpartition(".")[0]
    siblings = [other for other in known if other.rpartition(".")[0] == parent] or known
    raise UsageError(f"unknown key --config.{key}{nearest(key, known)} (keys there: {', '.join(siblings)})")


def parse(text: str, default: Any, key: str) -> Any:
    """Returns `text` read as a value of `default`'s type: bool, int (also 1e3), float, str, or a tuple like '1,2,3' or '(1,2,3)'.

    What stands in a tuple whose default is empty is read as what it looks like: a whole number, a number, or a word.
    UsageError that says what is expected, with an example.
    """
    if isinstance(default, tuple | list):
        kind = default[0] if default else None
        return type(default)(_element(piece, kind, key) for piece in _pieces(text.strip(), key))
    return _scalar(text, default, key)


def _scalar(text: str, default: Any, key: str) -> Any:
    if isinstance(default, str):
        return text
    if isinstance(default, bool):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise _unfit(key, text, "true or false", "true")
    if isinstance(default, int):
        return _whole(text, key)
    if isinstance(default, float):
        return _number(text, key)
    raise UsageError(
        f"--config.{key} holds a {type(default).__name__} and cannot be set from the command line; change it in the config file"
    )


def _unfit(key: str, text: str, expected: str, example: str) -> UsageError:
    return UsageError(f"--config.{key}={text} does not fit: expected {expected}, for example --config.{key}={example}")


def _number(text: str, key: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _unfit(key, text, "a number", "0.003")
    return value


def _whole(text: str, key: str) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value != int(value):
        raise _unfit(key, text, "a whole number", "8")
    return int(value)


def _element(piece: str, default: Any, key: str) -> Any:
    if isinstance(default, tuple | list):
        raise UsageError(f"--config.{key} holds tuples of tuples and cannot be set from the command line; change it in the config file")
    if default is None:
        return _plain(_unquoted(piece.strip()))
    return _scalar(_unquoted(piece.strip()), default, key)


def _plain(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _unquoted(text: str) -> str:
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        try:
            return str(ast.literal_eval(text))
        except (ValueError, SyntaxError):
            return text
    return text


def _pieces(text: str, key: str) -> list[str]:
    """Returns the elements written in `text`: split at commas outside of brackets, since a pattern may hold its own."""
    if not text:
        raise _unfit(key, text, "values with commas between", "1,2,3")
    if text in ("()", "[]"):
        return []
    inner = text[1:-1]
    # "(query|value)" is one pattern with a group, "(1,2)" and "(1)" are tuples.
    if text[0] in "([" and _enclosed(text) and (len(_split(inner)) > 1 or "|" not in inner):
        text = inner
    pieces = _split(text)
    return pieces[:-1] if len(pieces) > 1 and not pieces[-1].strip() else pieces


def _enclosed(text: str) -> bool:
    """Returns whether the first bracket of `text` is closed by its last character."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth == 0:
            return position == len(text) - 1
    return False


def _split(text: str) -> list[str]:
    pieces, depth = [""], 0
    for character in text:
        depth += (character in _OPEN) - (character in _CLOSE)
        if character == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces
