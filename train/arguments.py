"""The command line's parser: tyro, with its boxed messages as one line."""

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any

import tyro

from train.errors import UserError


def call_tyro(cls: Any, arguments: Sequence[str], *, prog: str) -> Any:
    """Parses with tyro and turns its boxed messages into one line; returns None after --help."""
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            return tyro.cli(cls, args=arguments, prog=prog)
    except SystemExit as stop:
        if not stop.code:
            return None
        raise UserError(_unbox_message(stderr.getvalue(), prog)) from None


def _unbox_message(output: str, prog: str) -> str:
    """Extracts the message from the box that tyro draws around it."""
    lines = [line.strip("╭╮╰╯│─ \t") for line in output.splitlines()]
    text = " ".join(line for line in lines[1:] if line)  # the first line is the title
    text = re.sub(r"Error parsing config\.\w+: ", "", text)
    text = re.sub(
        r"no type matching .* instantiated from \['?(.*?)'?\]\. .*? Arg",
        r"\1 is not allowed Arg",
        text,
    )
    text = text.replace(" Argument helptext:", "; it is")
    text = text.replace(" Perhaps you meant:", "; perhaps you meant")
    text = re.sub(r"[.\s]*For full helptext.*", "", text)
    return f"{text} ({prog} --help lists all options)"
