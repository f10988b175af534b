"""Which experiments there are: pairs of configs/<name>.py and experiments/<name>.py, found by name."""

import ast
from pathlib import Path

from research.runtime.settings import load_module


def experiment_path(config_path: Path, root: Path) -> Path | None:
    """Returns experiments/<name>.py beside the config's folder, else under `root`, if it exists."""
    sought = [folder / "experiments" / config_path.name for folder in (config_path.resolve().parent.parent, root)]
    return next((path for path in sought if path.is_file()), None)


def question(path: Path) -> str:
    """Returns the QUESTION of an experiment's file without importing it, since that would import JAX; "" when there is none."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(isinstance(name, ast.Name) and name.id == "QUESTION" for name in node.targets):
            return str(ast.literal_eval(node.value))
    return ""


def listing(root: Path) -> str:
    """Returns what --list prints: each experiment's question, then its variants and what they take."""
    lines: list[str] = []
    for config_path in sorted((root / "configs").glob("*.py")):
        path = experiment_path(config_path, root)
        if path is None:
            continue
        lines.append(f"{config_path.stem}: {question(path)}")
        for name, words in load_module(config_path, f"configs.{config_path.stem}").VARIANTS.items():
            lines.append(f"  --config=configs/{config_path.name}{':' if name else ''}{name}  {words}")
    return "\n".join(lines)
