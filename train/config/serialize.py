"""Configs as JSON, and back: each part with its class, so that a run can be rebuilt anywhere.

A class of the packages is written by its public name, such as ``"stn_jax.Affine"``; one of the
config file as ``"config.py:Name"``, and read from the copy of that file in the work directory.
"""

import dataclasses
import importlib
import sys
import typing
from pathlib import Path
from typing import Any

from train.checks import type_hints
from train.config.config import Config, is_part
from train.config.files import CONFIG_FILE, importable, is_config_file, run_file, sources_of


def to_dict(config: Any) -> dict[str, Any]:
    """Returns a config as nested dictionaries for JSON; tuples become lists.

    Raises:
        ValueError: for a value that JSON cannot hold.
    """
    hints = type_hints(type(config))
    values = {}
    for field in dataclasses.fields(config):
        if not field.init:
            continue
        value = getattr(config, field.name)
        if is_part(value):
            tag = {} if hints[field.name] is type(value) else {"class": _name_of(type(value))}
            values[field.name] = tag | to_dict(value)
        else:
            values[field.name] = _plain(f"{type(config).__name__}.{field.name}", value)
    return values


def _plain(where: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_plain(where, item) for item in value]
    if is_part(value):
        return {"class": _name_of(type(value))} | to_dict(value)
    if callable(value) and hasattr(value, "__qualname__"):
        return {"function": _name_of(value)}
    raise ValueError(
        f"{where}={value!r} is a {type(value).__name__}; a config holds numbers, strings, tuples, "
        "functions of a module, and parts (frozen dataclasses)."
    )


def _name_of(thing: Any) -> str:
    """Returns the name by which `_find` finds a class or function again."""
    module, name = thing.__module__, thing.__qualname__
    if "<" in name:
        raise ValueError(f"{name} cannot be written down; define it at the top level of its file.")
    if is_config_file(module):
        return f"{CONFIG_FILE}:{name}"
    packages = module.split(".")
    public = [".".join(packages[:count]) for count in range(1, len(packages))]  # shortest first
    for shorter in ("train.config", *public):
        if getattr(sys.modules.get(shorter), name, None) is thing:
            return f"{shorter}.{name}"
    return f"{module}.{name}"


def from_dict(values: dict[str, Any], source: Path) -> Config:
    """Builds a config from the result of `to_dict`.

    Args:
        values: the dictionaries.
        source: copy of the config file, for classes that stand in it.

    Raises:
        ValueError: for a class or field that the code no longer has, or a value not allowed.
    """
    config: Config = _build(Config, values, source)
    return config


def _build(cls: Any, values: dict[str, Any], source: Path) -> Any:
    if not isinstance(values, dict) or not dataclasses.is_dataclass(cls):
        raise ValueError(f"{str(values)[:40]!r} is no part; it must say the class of a dataclass.")
    part: Any = cls
    fields = [field.name for field in dataclasses.fields(part)]
    unknown = sorted(set(values) - set(fields) - {"class"})
    if unknown:
        raise ValueError(
            f"{part.__name__} has no field {unknown[0]!r}; it has {', '.join(fields)}."
        )
    hints = type_hints(part)
    options = {
        name: _value(value, hints[name], source)
        for name, value in values.items()
        if name != "class"
    }
    try:
        return part(**options)
    except TypeError as error:
        raise ValueError(f"{part.__name__}: {error}") from error


def _value(value: Any, hint: Any, source: Path) -> Any:
    if isinstance(value, list):
        return tuple(_value(item, None, source) for item in value)
    if not isinstance(value, dict):
        return value
    if "function" in value:
        return _find(value["function"], source)
    return _build(_find(value["class"], source) if "class" in value else hint, value, source)


def _find(name: str, source: Path) -> Any:
    file, _, inner = name.rpartition(":")
    module_name, _, attribute = name.rpartition(".")
    try:
        if file == CONFIG_FILE:
            return getattr(run_file(source), inner)
        with importable(source.parent):
            return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, OSError) as error:
        raise ValueError(f"{name} is not there any more ({error}).") from error


def user_sources(config: Config) -> dict[str, str]:
    """Returns the files of a user in which classes of a config stand, by name."""
    found: dict[str, str] = {}
    for thing in _things(config):
        found |= sources_of(getattr(thing, "__module__", ""))
    return found


def _things(config: Any) -> typing.Iterator[Any]:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            yield item
            if is_part(item):
                yield from _things(item)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens nested dictionaries into one, with keys joined by dots.

    Example:
        >>> flatten({"optim": {"learning_rate": 0.1}, "seed": 1})
        {'optim.learning_rate': 0.1, 'seed': 1}
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= (
            flatten(value, f"{prefix}{name}.")
            if isinstance(value, dict)
            else {f"{prefix}{name}": value}
        )
    return flat
