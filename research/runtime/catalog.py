"""Which experiments there are: a config configs/<name>.py, and a file or a room in experiments/ of the same name."""

import ast
from pathlib import Path

from research.errors import UsageError
from research.runtime import loading


def experiment_path(config_path: Path, root: Path) -> Path | None:
    """Returns experiments/<name>.py or experiments/<name>/__init__.py beside the config's folder, else under `root`, if one exists.

    UsageError where both stand beside each other.
    """
    for folder in (config_path.resolve().parent.parent, root):
        file, room = (folder / "experiments" / name for name in (config_path.name, f"{config_path.stem}/__init__.py"))
        if file.is_file() and room.is_file():
            raise UsageError(f"both {file} and {room} claim to be the experiment {config_path.stem}; remove one")
        if file.is_file() or room.is_file():
            return file if file.is_file() else room
    return None


def configs(root: Path) -> list[Path]:
    """Returns the config of every experiment under `root`, in the order of their names."""
    return [path for path in sorted((root / "configs").glob("[!_]*.py")) if experiment_path(path, root)]


def question(path: Path) -> str:
    """Returns the QUESTION of an experiment's file without importing it, since that would import JAX; "" when there is none."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(isinstance(name, ast.Name) and name.id == "QUESTION" for name in node.targets):
            return str(ast.literal_eval(node.value))
    return ""


def needs(config_path: Path, root: Path) -> dict[str, str]:
    """Returns what variants of a config need that not every machine has, hardware or data, by the variant's name."""
    return dict(getattr(loading.load(config_path, "configs", root), "NEEDS", {}))


def variants(config_path: Path, root: Path) -> dict[str, str]:
    """Returns what each variant of a config is, and what it needs."""
    needed = needs(config_path, root)
    module = loading.load(config_path, "configs", root)
    return {name: words + (f"; needs {needed[name]}" if name in needed else "") for name, words in module.VARIANTS.items()}


def listing(root: Path) -> str:
    """Returns what --list prints: each experiment's question, then its variants and what they take."""
    lines: list[str] = []
    for config_path in configs(root):
        lines.append(f"{config_path.stem}: {question(experiment_path(config_path, root) or config_path)}")
        for name, words in variants(config_path, root).items():
            lines.append(f"  --config=configs/{config_path.name}{':' if name else ''}{name}  {words}")
    return "\n".join(lines)
