"""Config files: Python files with ``get_config()``, and classes of their own."""

import difflib
import importlib.util
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from train.config.config import Config
from train.errors import UserError, shorten

ROOT = Path(__file__).parents[2]

CONFIG_FILE = "config.py"
"""Name of a config file's copy in a work directory."""

_SOURCES: dict[str, dict[str, str]] = {}
"""By the name of a config file's module: its source, and those of modules beside it, by file."""


def load_config(path: Path) -> Config:
    """Runs a config file and returns what its ``get_config()`` returns.

    Raises:
        UserError: if the file cannot be run, or has a field that is not allowed.
    """
    try:
        config = run_file(path).get_config()
    except Exception as error:
        raise UserError(
            f"config file {str(path)!r}: {shorten(_explain(error, path), 600)}"
        ) from error
    if not isinstance(config, Config):
        raise UserError(
            f"config file {str(path)!r}: get_config() returned an object of type "
            f"{type(config).__name__}; it must return a train.config.Config."
        )
    return config


def run_file(path: Path) -> ModuleType:
    """Runs a config file as a module, once for each content.

    Modules of the same folder can be imported while it runs.
    """
    source, folder = path.read_text(), path.parent.absolute()
    name = f"config_{zlib.crc32(source.encode()):08x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError("it is not a Python file; give one ending in .py.")
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        with importable(folder):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    found = [
        getattr(sys.modules[one], "__file__", None) for one in {*sys.modules} - before - {name}
    ]
    beside = [Path(file) for file in found if file and _is_beside(Path(file), folder)]
    others = {file.relative_to(folder).as_posix(): file.read_text() for file in beside}
    _SOURCES[name] = others | {CONFIG_FILE: source}
    return module


def _is_beside(file: Path, folder: Path) -> bool:
    """Returns whether a module was found through a config file's folder, and not installed."""
    inside = file.is_relative_to(folder) and not file.is_relative_to(ROOT)
    return inside and file.suffix == ".py" and "site-packages" not in file.parts


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Lets modules of a folder be imported."""
    sys.path.append(str(folder.absolute()))
    try:
        yield
    finally:
        sys.path.pop()


def is_config_file(module: str) -> bool:
    """Returns whether a module is a config file."""
    return module in _SOURCES


def sources_of(module: str) -> dict[str, str]:
    """Returns the source of a config file and of the modules beside it, by file name."""
    return _SOURCES.get(module, {})


def _explain(error: Exception, path: Path) -> str:
    """Returns what is wrong, with the line of the file."""
    text = str(error)
    if isinstance(error, AttributeError) and "get_config" in text:
        return "it has no get_config()"
    found = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", text)
    if found:
        near = _near_field(found[1], found[2], error)
        return f"{found[1]} has no field {found[2]!r}{near}"
    if isinstance(error, ValueError):
        return text
    lines = [
        trace.lineno for trace in extract_tb(error.__traceback__) if trace.filename == str(path)
    ]
    return f"{type(error).__name__}: {text}" + (f" (line {lines[-1]})" if lines else "")


def _near_field(cls: str, wanted: str, error: Exception) -> str:
    """Returns a guess at the field that was meant, from the class that refused it."""
    trace = error.__traceback__
    namespace: dict[str, Any] = {}
    while trace is not None:  # the class is visible where it was called
        namespace |= trace.tb_frame.f_globals | trace.tb_frame.f_locals
        trace = trace.tb_next
    fields = list(getattr(namespace.get(cls), "__dataclass_fields__", ()))
    near = difflib.get_close_matches(wanted, fields, n=1)
    if near:
        return f"; perhaps you meant {near[0]!r}"
    return f"; it has {', '.join(fields)}" if fields else ""
