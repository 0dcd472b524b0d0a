"""The four original files of MNIST: their names, checksums, and the idx format."""

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from train.data.dataset import DataError


class IdxFile(NamedTuple):
    """One original file: its name, and the md5 of its ``.gz`` and of its unpacked content."""

    name: str
    md5_gz: str
    md5: str


MNIST: dict[str, tuple[IdxFile, IdxFile]] = {
    "train": (
        IdxFile(
            "train-images-idx3-ubyte",
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "a25bea736e30d166cdddb491f175f624",
        ),
    ),
    "test": (
        IdxFile(
            "t10k-images-idx3-ubyte",
            "9fb629c4189551a2d022fa330f9573f3",
            "2646ac647ad5339dbf082846283269ea",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            "ec29112dd5afa0611ce80d1b7f02629c",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
}
"""MNIST's files by split: images, then labels."""

MAX_BYTES = 1 << 28
"""Bytes of an unpacked file that are read; MNIST's largest has 47 million."""

MAX_AXES = 4


def find_mnist(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Returns the paths of MNIST's files in a folder after verifying their checksums.

    Args:
        folder: folder with the four files under their original names, with or without ``.gz``.

    Returns:
        Paths of images and labels by split, as in `MNIST`.

    Raises:
        DataError: if a file is missing or differs from the original.
    """
    return {
        split: (_find_file(folder, images), _find_file(folder, labels))
        for split, (images, labels) in MNIST.items()
    }


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _find_file(folder: Path, file: IdxFile) -> Path:
    for path, md5 in ((folder / f"{file.name}.gz", file.md5_gz), (folder / file.name, file.md5)):
        if path.is_file():
            with path.open("rb") as opened:
                found = hashlib.file_digest(opened, _md5).hexdigest()
            if found != md5:
                raise DataError(
                    f"{path} has md5 {found}, but the original has {md5}: it is damaged or "
                    "another file; delete it and download it again."
                )
            return path
    where = f"{folder} holds no {file.name}.gz" if folder.is_dir() else f"{folder} is not a folder"
    names = ", ".join(f"{f.name}.gz" for files in MNIST.values() for f in files)
    raise DataError(f"{where}; MNIST needs its four original files ({names}), packed or unpacked.")


def read_idx(path: Path) -> np.ndarray:
    """Reads an idx file of bytes, packed (``.gz``) or not.

    The format: two zero bytes, the type (8 is uint8), the number of axes, the length of each axis
    as a big-endian 32-bit integer, then the values.

    Args:
        path: the file.

    Returns:
        A uint8 array, read-only.

    Raises:
        DataError: if it is not a complete idx file of bytes.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4)
            if head[:3] == b"\0\0\x08" and len(head) == 4:
                shape = struct.unpack(f">{head[3]}I", file.read(4 * head[3]))
                size = math.prod(shape)
                if len(shape) <= MAX_AXES and size <= MAX_BYTES:
                    data = file.read(size + 1)
                    if len(data) == size:
                        return np.frombuffer(data, np.uint8).reshape(shape)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"{path} cannot be read ({error}); download it again.") from error
    raise DataError(f"{path} is not a complete idx file of bytes; download it again.")
