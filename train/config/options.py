"""The command line's view of a config: an option for each field of the parts that were chosen."""

import ast
import dataclasses
import difflib
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from train.arguments import call_tyro
from train.checks import type_hints
from train.config.config import Config, is_part, walk
from train.config.names import NAMES
from train.errors import UserError

FORMER = {
    "model.name": "model",
    "data.distortion": "distortion",
    "data.canvas": "distortion.canvas",
    "optim.optimizer": "optim",
    "optim.label_smoothing": "task.loss.label_smoothing",
    "optim.outside_penalty": "task.outside_penalty",
    "optim.identity_penalty": "task.identity_penalty",
}
"""Options of earlier versions, and where they went."""

Options = dict[str, tuple[Any, Any, str]]
"""Further options of a verb: type, default and help."""


def parse(
    config: Config, options: Options, arguments: Sequence[str], *, prog: str
) -> tuple[Config, Any] | None:
    """Overrides fields of a config from the command line.

    ``--PATH NAME`` replaces the whole part at a path by one of `NAMES`, and ``--PATH.FIELD VALUE``
    sets a field of whichever part is there.

    Args:
        config: the config of the file.
        options: further options of the verb.
        arguments: the command line after the config file.
        prog: the command so far, for messages.

    Returns:
        The config, and an object with the further options; None after --help.

    Raises:
        UserError: for an option that the chosen parts do not have, or a value not allowed.
    """
    config, rest = _replace_parts(config, [_rename(one, config) for one in arguments])
    for argument in rest:
        _check_option(argument, config, options, prog)
    found: Any = call_tyro(make_command(config, options), rest, prog=prog)
    return None if found is None else (_apply(config, found.config), found)


def make_command(config: Config, options: Options) -> type:
    """Returns a dataclass of the options of a config and further ones, for tyro to parse."""
    view = _view(config)
    return dataclasses.make_dataclass(
        "Command",
        [
            ("config", Annotated[type(view), tyro.conf.arg(name="")], view),
            *(
                (name, Annotated[kind, tyro.conf.arg(help=text)], default)
                for name, (kind, default, text) in options.items()
            ),
        ],
        frozen=True,
    )


def _rename(argument: str, config: Config) -> str:
    """Returns an option of an earlier version by its present name."""
    if not argument.startswith("--"):
        return argument
    option, equals, value = argument[2:].partition("=")
    path = option.replace("-", "_")
    parts = dict(walk(config))
    section, _, field = path.partition(".")
    if path in FORMER and not hasattr(parts.get(section), field):
        return f"--{FORMER[path]}{equals}{value}"
    return argument


def _replace_parts(config: Config, arguments: list[str]) -> tuple[Config, list[str]]:
    """Replaces the parts that are named by ``--PATH NAME``; returns the other arguments."""
    rest = list(arguments)
    for depth in range(
        max([0, *(argument.count(".") for argument in rest)]) + 1
    ):  # outer ones first
        position = 0
        while position < len(rest):
            option, equals, value = rest[position].partition("=")
            path = option.removeprefix("--").replace("-", "_")
            holder, _, field = path.rpartition(".")
            replaced = option.startswith("--") and field in NAMES and path.count(".") == depth
            if not replaced or not _is_replaceable(_at(config, holder), field):
                position += 1
                continue
            if not equals:
                value = rest[position + 1] if position + 1 < len(rest) else ""
            if value not in NAMES[field]:
                names = ", ".join(map(repr, NAMES[field]))
                raise UserError(f"{option} {value!r} is not allowed; choose one of {names}.")
            del rest[position : position + (1 if equals else 2)]
            config = _set(config, path, NAMES[field][value])
    return config, rest


def _is_replaceable(holder: Any, field: str) -> bool:
    """Returns whether a field holds a part, or a function in its place."""
    value = getattr(holder, field, None) if _has_field(holder, field) else None
    return is_part(value) or callable(value)


def _has_field(part: Any, name: str) -> bool:
    return is_part(part) and any(field.name == name for field in dataclasses.fields(part))


def _at(config: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        config = getattr(config, name, None)
    return config


def _set(part: Any, path: str, value: Any) -> Any:
    name, _, rest = path.partition(".")
    inner = _set(getattr(part, name), rest, value) if rest else value
    return dataclasses.replace(part, **{name: inner})


def _check_option(argument: str, config: Config, options: Options, prog: str) -> None:
    """Refuses an option that is no field of the parts that were chosen."""
    if not argument.startswith("--") or argument == "--help":
        return
    option = argument.partition("=")[0]
    holder, _, field = option[2:].replace("-", "_").rpartition(".")
    part = _at(config, holder)
    if holder and not _has_field(part, field):
        field = field.removeprefix("no_")
    if not holder and field in options:
        return
    if not _has_field(part, field):
        explained = _explain_missing(option, config, holder, field, tuple(options))
        raise UserError(f"{explained} ({prog} --help)")
    value = getattr(part, field)
    if is_part(value) or not _expressible(type_hints(type(part))[field]):
        where = "options of its fields, or another one" if is_part(value) else "another value"
        raise UserError(f"{option} cannot be given here; give {where} in the config file.")


def _explain_missing(
    option: str, config: Config, holder: str, field: str, others: tuple[str, ...] = ()
) -> str:
    part = _at(config, holder)
    if not holder or not is_part(part):
        paths = [*others, *(path for path, _ in walk(config))]
        paths += [f"{p}.{one.name}" for p, part in walk(config) for one in dataclasses.fields(part)]
        near = [path for path in paths if path.rpartition(".")[2] == field]
        near = near or difflib.get_close_matches(f"{holder}.{field}".strip("."), paths, n=1)
        guess = f"; perhaps you meant --{near[0].replace('_', '-')}" if near else ""
        return f"{option} is unknown{guess}"
    names = [one.name for one in dataclasses.fields(part)]
    near = difflib.get_close_matches(field, names, n=1)
    guess = f"perhaps you meant --{holder}.{near[0].replace('_', '-')}; " if near else ""
    listed = ", ".join(names) or "no options"
    return f"{option} is no option of {type(part).__name__}; {guess}it has {listed}"


def _view(part: Any, path: str = "") -> Any:
    """Returns a copy of a part whose types are what tyro can parse: those of its values."""
    cls = type(part)
    hints, texts = type_hints(cls), field_docs(cls)
    fields: list[Any] = []
    for field in dataclasses.fields(part):
        value, hint = getattr(part, field.name), hints[field.name]
        text = texts.get(field.name, "")
        if is_part(value):
            inner = f"{path}.{field.name}".strip(".")
            text, value = _describe(value, inner), _view(value, inner)
            hint = type(value)
        elif not _expressible(hint):
            continue
        help_text = tyro.conf.arg(help=text.replace("`", ""))
        fields.append((field.name, Annotated[hint, help_text], value))
    return dataclasses.make_dataclass(cls.__name__, fields, frozen=True)()


def _describe(part: Any, path: str) -> str:
    """Returns what a part is, and by which names it and parts without options are replaced."""
    name, doc = type(part).__name__, (inspect.getdoc(type(part)) or "").partition("\n")[0]
    generated = doc.startswith(f"{name}(")  # the docstring of a dataclass without one
    lines = [name if generated or not doc else doc if name in doc else f"{name}: {doc}"]
    if path.rpartition(".")[2] in NAMES:
        lines.append(_replacements(path))
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if is_part(value) and field.name in NAMES and not dataclasses.fields(value):
            lines.append(
                f"{field.name} is {type(value).__name__}. {_replacements(f'{path}.{field.name}')}"
            )
    return " ".join(lines)


def _replacements(path: str) -> str:
    names = ", ".join(NAMES[path.rpartition(".")[2]])
    return f"Replaced by --{path} NAME: {names}."


def _expressible(hint: Any) -> bool:
    """Returns whether the command line can say a value of this type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return True
    if origin in (types.UnionType, typing.Union):
        return all(one is type(None) or _expressible(one) for one in arguments)
    if origin is tuple:
        return all(one is ... or one in (int, float, str, bool) for one in arguments)
    return hint in (int, float, str, bool)


def _apply(part: Any, view: Any) -> Any:
    """Returns a part with the values of its view."""
    changes = {}
    for field in dataclasses.fields(view):
        old, new = getattr(part, field.name), getattr(view, field.name)
        new = _apply(old, new) if is_part(old) else new
        if new is not old and new != old:
            changes[field.name] = new
    try:
        return dataclasses.replace(part, **changes) if changes else part
    except ValueError as error:
        raise UserError(str(error)) from error


def field_docs(cls: type) -> dict[str, str]:
    """Returns the text of each field: the string below it, or its entry under ``Attributes:``."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        if not dataclasses.is_dataclass(base):
            continue
        section = (inspect.getdoc(base) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
        for found in re.finditer(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
            docs[found[1]] = " ".join(found[2].split())
        try:
            tree: Any = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue
        for node, below in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(node, ast.AnnAssign) and isinstance(below, ast.Expr):
                text = getattr(below.value, "value", None)
                if isinstance(node.target, ast.Name) and isinstance(text, str):
                    docs[node.target.id] = " ".join(text.split())
    return docs


def options_of(cls: Any) -> Options:
    """Returns the fields of a dataclass as further options of a verb."""
    hints, texts = type_hints(cls), field_docs(cls)
    return {
        field.name: (hints[field.name], field.default, texts[field.name])
        for field in dataclasses.fields(cls)
    }
