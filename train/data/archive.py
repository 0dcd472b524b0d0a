"""Archives of arrays: an ``.npz`` file or a folder of ``.npy`` files, read or memory-mapped."""

import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from train.data.dataset import DataError
from train.data.notes import Notes
from train.data.npy import Header, check_rows, read_header
from train.data.sets import find_array
from train.data.zip_files import open_zip
from train.errors import shorten

REQUIRED = ("x_train", "y_train")
NAMES = "class_names"

_UNREADABLE = (
    *(OSError, EOFError, MemoryError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(zipfile.BadZipFile, zlib.error),
)
"""Exceptions of NumPy for files that are damaged, pickled or not archives."""

_ZIP_HEADER = 30  # bytes of a member's local header, before its name and extra field


class _Member(NamedTuple):
    header: Callable[[], Header]
    load: Callable[[], np.ndarray]
    map: Callable[[], np.ndarray]


def is_folder_of_arrays(path: Path) -> bool:
    """Returns whether a path is a folder with ``.npy`` files."""
    return path.is_dir() and any(path.glob("*.npy"))


def read_archive(
    path: Path, required: Collection[str], notes: Notes, memory_limit: int | None = None
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads the arrays of a dataset.

    Args:
        path: an ``.npz`` file, or a folder of ``.npy`` files.
        required: arrays that it must have, ``x_train`` and so on; those called ``groups`` are
            optional.
        notes: takes note of arrays that are not used.
        memory_limit: bytes of images; if there are more, they are memory-mapped. None reads all.

    Returns:
        The arrays by the names that this code uses, and the names in the file.

    Raises:
        DataError: if the file cannot be read, or an array is missing or there are two of it.
    """
    if not path.exists() or (path.suffix.lower() == ".npz" and not path.is_file()):
        raise DataError(f"{path} does not exist ({path.absolute()}); check data.name.")
    unreadable = f"{path} cannot be read as an .npz file of plain arrays"
    remedy = "write it with np.savez or np.savez_compressed."
    keys: dict[str, str] = {}
    try:
        members = _list_files(path) if path.is_dir() else _list_members(path)
        for key in members:
            meant = key if key == NAMES else find_array(key)
            if meant in keys:
                raise DataError(f"{path} has {keys[meant]} and {key}; which one is {meant}?")
            if meant is None or (meant.startswith("groups") and meant not in required):
                notes.count(f"arrays of {path} are not used", key)
                continue
            keys[meant] = key
        images = {meant for meant in keys if meant.startswith("x_")}
        headers = {meant: members[key].header() for meant, key in keys.items()}
        for meant in headers.keys() - images:
            check_rows(headers[meant], f"{path}: {keys[meant]}")
        total = sum(headers[meant].nbytes for meant in images)
        large = memory_limit is not None and total > memory_limit
        arrays = {
            meant: members[key].map() if large and meant in images else members[key].load()
            for meant, key in keys.items()
        }
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(f"{unreadable} ({shorten(error)}); {remedy}") from error
    missing = [key for key in required if key not in arrays and not key.startswith("groups")]
    if missing:
        raise DataError(
            f"{path} has no array {', '.join(missing)}; it has {', '.join(members) or 'none'}, "
            f"and must have {', '.join(REQUIRED)}, and may have x_test, y_test, x_valid, y_valid "
            "(np.savez(path, x_train=...))."
        )
    return arrays, keys


def _list_files(folder: Path) -> dict[str, _Member]:
    """Returns the arrays of a folder of ``.npy`` files."""

    def member(path: Path) -> _Member:
        return _Member(
            lambda: _header_at(path, str(path), 0),
            lambda: np.array(map_array(path, str(path))),
            lambda: map_array(path, str(path)),
        )

    return {path.stem: member(path) for path in sorted(folder.glob("*.npy"))}


def _list_members(path: Path) -> dict[str, _Member]:
    """Returns the arrays of an ``.npz`` file."""
    with path.open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            raise DataError(
                f"{path} cannot be read as an .npz file of plain arrays (it is a single array, as "
                "np.save writes); write it with np.savez or np.savez_compressed."
            )
    with open_zip(path) as archive:
        names = archive.namelist()

    def member(name: str) -> _Member:
        return _Member(
            lambda: _read_member(path, name)[0],
            lambda: _load_member(path, name),
            lambda: _map_member(path, name),
        )

    return {name.removesuffix(".npy"): member(name) for name in names}


def _read_member(path: Path, name: str, *, values: bool = False) -> tuple[Header, np.ndarray]:
    """Returns the header of a member, and its values if they are asked for."""
    key = name.removesuffix(".npy")
    with open_zip(path) as archive:
        info = archive.getinfo(name)
        with archive.open(info) as file:
            header = read_header(file, path, key, f"{path}: {key}", info.file_size)
        array = np.empty(0)
        if values:
            with archive.open(info) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
        return header, array


def _load_member(path: Path, name: str) -> np.ndarray:
    return _read_member(path, name, values=True)[1]


def _map_member(path: Path, name: str) -> np.ndarray:
    key = name.removesuffix(".npy")
    with open_zip(path) as archive:
        info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise DataError(
            f"{path}: {key} is compressed and larger than data.memory_limit; store it with "
            "np.savez, which does not compress, or for training raise --data.memory-limit "
            "(megabytes)."
        )
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(_ZIP_HEADER)
    lengths = (int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
    return map_array(path, f"{path}: {key}", info.header_offset + _ZIP_HEADER + sum(lengths))


def map_array(path: Path, name: str, offset: int = 0) -> np.ndarray:
    """Memory-maps an array in the ``.npy`` format.

    Args:
        path: the file.
        name: name of the array in error messages.
        offset: where in the file the array begins.

    Raises:
        DataError: if the file is cut off, is no such array, or holds Python objects.
    """
    header = _header_at(path, name, offset)
    if 0 in header.shape:  # nothing to map
        return np.zeros(header.shape, header.dtype)
    order: Literal["F", "C"] = "F" if header.fortran_order else "C"
    return np.memmap(path, header.dtype, "r", offset + header.start, header.shape, order)


def _header_at(path: Path, name: str, offset: int) -> Header:
    with path.open("rb") as file:
        file.seek(offset)
        return read_header(file, path, path.stem, name, path.stat().st_size - offset)
