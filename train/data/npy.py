"""Arrays in the ``.npy`` format: the header is checked before anything is allocated."""

import io
import math
import warnings
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from train.data.dataset import DataError
from train.data.sets import find_array
from train.errors import shorten

MAX_ROWS = 10_000_000
"""Largest number of labels, groups or names: each becomes a Python object somewhere."""

MAX_LABEL_BYTES = 1 << 29
"""Bytes of an array of labels, groups or names, as text in four bytes a letter."""

_MAX_HEADER = 12_000  # bytes; NumPy refuses headers of more than 10,000
_MAX_AXES, _MAX_LENGTH = 8, 1 << 48

_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Header(NamedTuple):
    """What stands before the values of an array.

    Attributes:
        shape: its shape.
        fortran_order: whether the values are in Fortran's order.
        dtype: its dtype, without Python objects.
        start: bytes of the header itself.
    """

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    start: int

    @property
    def nbytes(self) -> int:
        """Bytes of header and values."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], path: Path, key: str, name: str, there: int) -> Header:
    """Reads the header of an array, and checks that its values can be there.

    Args:
        file: opened where the array begins.
        path: path of the file, for messages.
        key: name of the array in it.
        name: name of the array in messages.
        there: bytes of header and values that there are.

    Raises:
        DataError: if the array is cut off, is no such array, or holds Python objects.
    """
    head = io.BytesIO(file.read(_MAX_HEADER))
    try:
        with warnings.catch_warnings(action="ignore"):  # about Python 2, which wrote it otherwise
            version = np.lib.format.read_magic(head)
            shape, fortran_order, dtype = _READERS[version](head)
    except Exception as error:  # whatever NumPy's parser meets
        said = shorten(error, 200)
        raise DataError(f"{name} is not an array as np.save writes it ({said}).") from error
    header = Header(shape, fortran_order, dtype, head.tell())
    if dtype.hasobject:
        raise DataError(explain_objects(path, key))
    possible = all(0 <= length < _MAX_LENGTH for length in shape) and 0 < len(shape) <= _MAX_AXES
    if possible and 0 in shape[1:]:
        raise DataError(f"{name} is empty, its shape is {shape}.")
    if not possible or not dtype.itemsize:
        raise DataError(
            f"{name} has shape {shorten(shape, 100)} and dtype {shorten(dtype, 100)}; no array "
            "of images or labels has."
        )
    if there < header.nbytes:
        raise DataError(
            f"{name} is cut off: it has {there:,} of {header.nbytes:,} bytes; write or copy it "
            "again."
        )
    return header


def check_rows(header: Header, name: str) -> None:
    """Checks that an array of labels, groups or names is not too large to be one.

    Raises:
        DataError: if it is.
    """
    letters = 4 if header.dtype.kind == "S" else 1  # bytes of text become four
    rows, size = max(header.shape, default=1), letters * (header.nbytes - header.start)
    if rows > MAX_ROWS or size > MAX_LABEL_BYTES:
        raise DataError(
            f"{name} has shape {header.shape} and dtype {header.dtype}; at most {MAX_ROWS:,} "
            f"labels, of {MAX_LABEL_BYTES >> 20} MB in all, are read."
        )


def explain_objects(path: Path, key: str) -> str:
    """Returns what is wrong with an array of Python objects, and the cure."""
    cure = "x.astype(np.uint8)" if (find_array(key) or "")[0:1] == "x" else "y.astype(str)"
    return (
        f"{path} cannot be read as an .npz file of plain arrays ({key} holds Python objects, "
        f"dtype object); make them plain, say {cure}."
    )
