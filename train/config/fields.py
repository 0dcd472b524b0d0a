"""Checks of config fields, and conversion of configs to and from JSON.

Each config dataclass calls `check` in its ``__post_init__``, so config files, the command line and
a stored ``config.json`` are checked in the same way.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def check(
    config: Any,
    section: str,
    *,
    positive: Sequence[str] = (),
    not_negative: Sequence[str] = (),
    fraction: Sequence[str] = (),
) -> None:
    """Checks types and ranges of the fields, and converts lists to tuples.

    Args:
        config: a frozen dataclass.
        section: prefix of field names in messages, such as ``optim``.
        positive: fields that must be above 0.
        not_negative: fields that must be 0 or above.
        fraction: fields that must be in [0, 1).

    Raises:
        ValueError: naming the field, what came and what is allowed.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        where, value = f"{section}.{field.name}", getattr(config, field.name)
        checked = _check_type(where, value, hints[field.name])
        object.__setattr__(config, field.name, checked)
        for number in checked if isinstance(checked, tuple) else (checked,):
            if field.name in positive and number is not None and not number > 0:
                raise ValueError(f"{where}={checked} is not allowed; it must be above 0.")
            if field.name in not_negative and not number >= 0:
                raise ValueError(f"{where}={checked} is not allowed; it must be 0 or above.")
            if field.name in fraction and not 0 <= number < 1:
                raise ValueError(f"{where}={checked} is not allowed; it must be in [0, 1).")


def _check_type(where: str, value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value not in arguments:
            allowed = ", ".join(map(str, arguments))
            raise ValueError(f"{where}={value!r} is not allowed; choose one of {allowed}.")
        return value
    if origin in (types.UnionType, typing.Union):  # X | None
        if value is None:
            return None
        return _check_type(where, value, arguments[0])
    if origin is tuple:
        if not isinstance(value, tuple | list):
            raise ValueError(f"{where}={value!r} is not allowed; it must be a tuple of numbers.")
        if arguments[-1] is not ... and len(value) != len(arguments):
            raise ValueError(
                f"{where}={value!r} is not allowed; it must have {len(arguments)} items."
            )
        return tuple(_check_type(where, item, arguments[0]) for item in value)
    if hint is float and type(value) is int:
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        kind = type(value).__name__
        raise ValueError(
            f"{where}={value!r} is a {kind}; it must be {_with_article(hint.__name__)}."
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}={value} is not allowed; it must be a finite number.")
    return value


def _with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiouAEIOU" else "a ") + noun


def to_dict(config: Any) -> dict[str, Any]:
    """Returns a config as nested dictionaries for JSON; tuples become lists."""
    return {
        field.name: to_dict(value)
        if dataclasses.is_dataclass(value := getattr(config, field.name))
        else list(value)
        if isinstance(value, tuple)
        else value
        for field in dataclasses.fields(config)
    }


def from_dict(cls: type[T], values: dict[str, Any]) -> T:
    """Builds a config from the result of `to_dict`.

    Raises:
        ValueError: for an unknown field or a value that is not allowed.
    """
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {unknown[0]!r}; it has {', '.join(hints)}.")
    return cls(
        **{
            name: from_dict(hints[name], value) if dataclasses.is_dataclass(hints[name]) else value
            for name, value in values.items()
        }
    )


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
