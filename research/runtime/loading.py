"""Files of `configs` and `experiments` as modules, whatever else on the path goes by these names."""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

from research.errors import UsageError


def load(path: Path, package: str, root: Path) -> ModuleType:
    """Returns the module x in the file at `path`, `x.py` or the room `x/__init__.py`, as `package`.x.

    The package spans the folder that holds x and `root`'s folder of the same name, so that a config elsewhere finds `configs.base`. A
    standing package of these very folders is kept, any other dropped with its submodules. UsageError for a name that cannot be imported.
    """
    room = path.name == "__init__.py"
    name, folder = (path.parent.name, path.parent.parent) if room else (path.stem, path.parent)
    if "." in name:
        raise UsageError(f"{path} cannot be imported: its name holds a dot; rename it")
    _settle(package, [folder, root / package])
    if (standing := sys.modules.get(f"{package}.{name}")) and Path(str(standing.__file__)).resolve() != path.resolve():
        _drop(f"{package}.{name}")
    importlib.invalidate_caches()
    return importlib.import_module(f"{package}.{name}")


def _settle(package: str, folders: Sequence[Path]) -> None:
    """Makes `package` the package of these folders, searched in their order."""
    wanted = list(dict.fromkeys(str(folder.resolve()) for folder in folders if folder.is_dir()))
    if package in sys.modules and list(getattr(sys.modules[package], "__path__", ())) == wanted:
        return
    _drop(package)
    spec = ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = wanted
    sys.modules[package] = module_from_spec(spec)


def _drop(package: str) -> None:
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        del sys.modules[name]
