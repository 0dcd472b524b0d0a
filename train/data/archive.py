"""Archives of arrays: an ``.npz`` file or a folder of ``.npy`` files, read or memory-mapped."""

import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from train.data.dataset import DataError
from train.data.notes import Notes
from train.data.sets import find_array

REQUIRED = ("x_train", "y_train")
NAMES = "class_names"

_UNREADABLE = (
    *(OSError, EOFError, MemoryError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(zipfile.BadZipFile, zlib.error),
)
"""Exceptions of NumPy for files that are damaged, pickled or not archives."""

_ZIP_HEADER = 30  # bytes of a member's local header, before its name and extra field


class _Member(NamedTuple):
    nbytes: int
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
        total = sum(members[keys[meant]].nbytes for meant in images)
        large = memory_limit is not None and total > memory_limit
        arrays = {
            meant: members[key].map() if large and meant in images else members[key].load()
            for meant, key in keys.items()
        }
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(f"{unreadable} ({error}); {remedy}") from error
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
            path.stat().st_size,
            lambda: np.array(map_array(path, str(path))),
            lambda: map_array(path, str(path)),
        )

    return {path.stem: member(path) for path in sorted(folder.glob("*.npy"))}


def _list_members(path: Path) -> dict[str, _Member]:
    """Returns the arrays of an ``.npz`` file."""
    with path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise DataError(
                f"{path} cannot be read as an .npz file of plain arrays (it is a single array, as "
                "np.save writes); write it with np.savez or np.savez_compressed."
            )
        sizes = {info.filename: info.file_size for info in archive.zip.infolist()}
        names = archive.files

    def member(key: str) -> _Member:
        size = sizes.get(f"{key}.npy", sizes.get(key, 0))
        return _Member(size, lambda: _load_member(path, key), lambda: _map_member(path, key))

    return {key: member(key) for key in names}


def _load_member(path: Path, key: str) -> np.ndarray:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(_explain_objects(path, key)) from error


def _map_member(path: Path, key: str) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{key}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise DataError(
            f"{path}: {key} is compressed and larger than data.memory_limit; store it with "
            "np.savez, which does not compress, or raise --data.memory-limit (megabytes)."
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
    try:
        with path.open("rb") as file:
            file.seek(offset)
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran_order, dtype = read_header(file)
            start = file.tell()
    except (ValueError, KeyError, EOFError) as error:
        raise DataError(f"{name} is not an array as np.save writes it ({error}).") from error
    if dtype.hasobject:
        raise DataError(_explain_objects(path, path.stem))
    needed = start - offset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    there = path.stat().st_size - offset
    if there < needed:
        raise DataError(
            f"{name} is cut off: it has {there:,} of {needed:,} bytes; write or copy it again."
        )
    if 0 in shape:  # nothing to map
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran_order else "C")


def _explain_objects(path: Path, key: str) -> str:
    cure = "x.astype(np.uint8)" if (find_array(key) or "")[0:1] == "x" else "y.astype(str)"
    return (
        f"{path} cannot be read as an .npz file of plain arrays ({key} holds Python objects, "
        f"dtype object); make them plain, say {cure}."
    )
