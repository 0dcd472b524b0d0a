"""Imports another checkout of stn_jax beside this one, to compare the two in one process."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

NAME = "stn_jax"
ALIAS = "stn_jax_previous"


class _RenamingLoader(importlib.machinery.SourceFileLoader):
    """Loads a source file with every mention of the package renamed, without cached bytecode."""

    def get_code(self, fullname: str) -> CodeType:
        source = re.sub(rf"\b{NAME}\b", ALIAS, Path(self.path).read_text())
        return compile(source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules of the renamed package in another checkout."""

    def __init__(self, checkout: Path):
        self.root = checkout / NAME

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, *names = fullname.split(".")
        if package != ALIAS:
            return None
        folder = self.root.joinpath(*names)
        is_package = folder.is_dir()
        file = folder / "__init__.py" if is_package else folder.with_suffix(".py")
        if not file.is_file():
            return None
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=_RenamingLoader(fullname, str(file)),
            submodule_search_locations=[str(folder)] if is_package else None,
        )


def load_checkout(checkout: Path) -> ModuleType:
    """Imports the stn_jax of another checkout under the name ``stn_jax_previous``.

    Renaming keeps the two apart in `sys.modules`, imports inside functions included.

    Args:
        checkout: root of the other checkout.

    Raises:
        SystemExit: if it contains no stn_jax.
    """
    if not (checkout / NAME / "__init__.py").is_file():
        raise SystemExit(f"--previous {checkout} contains no {NAME}/__init__.py; give a checkout.")
    for name in [name for name in sys.modules if name.partition(".")[0] == ALIAS]:
        del sys.modules[name]
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, _Finder)]
    sys.meta_path.insert(0, _Finder(checkout.absolute()))
    return importlib.import_module(ALIAS)
