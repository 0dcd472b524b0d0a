"""Files of a work directory, written atomically; a damaged JSON file is named in one line."""

import json
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import jax

from train.errors import UserError, shorten

MAX_BYTES = 1 << 25
"""Bytes of a JSON file that are read; parsed, they can be forty times as many."""


def write_json(path: Path, values: Any) -> None:
    """Writes a JSON file atomically; only process 0 writes."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically; only process 0 writes."""
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file atomically; only process 0 writes.

    Args:
        path: the file, which is replaced.
        write: writes to a temporary path with the same suffix.
    """
    if jax.process_index():
        return
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path, keys: Collection[str], remedy: str) -> dict[str, Any]:
    """Reads a JSON file with an object.

    Args:
        path: the file.
        keys: keys that the object must have.
        remedy: what to do about a damaged file, for the error message.

    Raises:
        UserError: if the file is damaged.
    """
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} is damaged (it has more than {MAX_BYTES:,} bytes); {remedy}.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({shorten(error)}); {remedy}.") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} is damaged (it holds no object); {remedy}.")
    missing = [key for key in keys if key not in values]
    if missing:
        raise UserError(f"{path} is damaged (it has no {', '.join(missing)}); {remedy}.")
    return values
