"""Checks of the fields of parts: types by their annotations, ranges by name.

A part calls `check` in its ``__post_init__``, so config files, the command line and a stored
``config.json`` are checked in the same way. `check_types` alone runs over every part of a config,
those of a user's own file too.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from typing import Any


def check(
    part: Any,
    section: str,
    *,
    positive: Sequence[str] = (),
    not_negative: Sequence[str] = (),
    fraction: Sequence[str] = (),
) -> None:
    """Checks types and ranges of the fields, and converts lists to tuples.

    Args:
        part: a frozen dataclass.
        section: prefix of field names in messages, such as ``optim``.
        positive: fields that must be above 0.
        not_negative: fields that must be 0 or above.
        fraction: fields that must be in [0, 1).

    Raises:
        ValueError: naming the field, what came and what is allowed.
    """
    check_types(part, section)
    for field in dataclasses.fields(part):
        where, value = f"{section}.{field.name}", getattr(part, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if number is None:
                continue
            if field.name in positive and not number > 0:
                raise ValueError(f"{where}={value} is not allowed; it must be above 0.")
            if field.name in not_negative and not number >= 0:
                raise ValueError(f"{where}={value} is not allowed; it must be 0 or above.")
            if field.name in fraction and not 0 <= number < 1:
                raise ValueError(f"{where}={value} is not allowed; it must be in [0, 1).")


def check_types(part: Any, section: str) -> None:
    """Checks the types of the fields against their annotations, and converts lists to tuples.

    Annotations other than numbers, strings, literals, tuples and dataclasses are left alone.

    Raises:
        ValueError: naming the field, what came and what is allowed.
    """
    hints = type_hints(type(part))
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        checked = _check_type(f"{section}.{field.name}", value, hints[field.name])
        if checked is not value:
            object.__setattr__(part, field.name, checked)


def type_hints(cls: type) -> dict[str, Any]:
    """Returns the annotations of a dataclass's fields; `Any` for those that cannot be resolved."""
    try:
        return typing.get_type_hints(cls)
    except NameError:  # imported for type checkers alone
        return {field.name: Any for field in dataclasses.fields(cls)}


def _check_type(where: str, value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value not in arguments:
            allowed = ", ".join(map(str, arguments))
            raise ValueError(f"{where}={value!r} is not allowed; choose one of {allowed}.")
        return value
    if origin in (types.UnionType, typing.Union):
        return _check_union(where, value, arguments)
    if origin is tuple:
        if not isinstance(value, tuple | list):
            raise ValueError(f"{where}={value!r} is not allowed; it must be a tuple of numbers.")
        if arguments[-1] is not ... and len(value) != len(arguments):
            raise ValueError(
                f"{where}={value!r} is not allowed; it must have {len(arguments)} items."
            )
        return tuple(_check_type(where, item, arguments[0]) for item in value)
    if hint is Any or not isinstance(hint, type) or origin is not None:  # Callable[...], say
        return value
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


def _check_union(where: str, value: Any, alternatives: tuple[Any, ...]) -> Any:
    if value is None and type(None) in alternatives:
        return None
    alternatives = tuple(one for one in alternatives if one is not type(None))
    for alternative in alternatives[1:]:
        try:
            return _check_type(where, value, alternative)
        except ValueError:
            continue
    return _check_type(where, value, alternatives[0])


def _with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiouAEIOU" else "a ") + noun
