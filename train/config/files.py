"""Config files: Python files with ``get_config()``, and classes of their own."""

import difflib
import importlib.util
import re
import sys
import zlib
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from train.config.config import Config
from train.errors import UserError

_SOURCES: dict[str, str] = {}
"""Source of each config file that was run, by the name of its module."""


def load_config(path: Path) -> Config:
    """Runs a config file and returns what its ``get_config()`` returns.

    Raises:
        UserError: if the file cannot be run, or has a field that is not allowed.
    """
    try:
        config = run_file(path).get_config()
    except Exception as error:
        raise UserError(f"config file {str(path)!r}: {_explain(error, path)}") from error
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
    source = path.read_text()
    name = f"config_{zlib.crc32(source.encode()):08x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError("it is not a Python file; give one ending in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.append(str(path.parent.absolute()))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.pop()
    _SOURCES[name] = source
    return module


def source_of(module: str) -> str | None:
    """Returns the source of a config file by the name of its module, or None for other modules."""
    return _SOURCES.get(module)


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
