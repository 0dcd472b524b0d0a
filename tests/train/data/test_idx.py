"""Idx files: complete, or refused before memory is taken for what they claim."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from train.data import DataError
from train.data.idx import MAX_BYTES, read_idx


def idx(*shape: int, values: bytes = b"") -> bytes:
    return b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + values


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read(tmp_path: Path, suffix: str) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    content = idx(*array.shape, values=array.tobytes())
    path = tmp_path / f"it{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    "content",
    [
        idx(5, values=b"1234"),
        idx(3, values=b"1234"),
        idx(2**32 - 1, 2**32 - 1),
        idx(*[0] * 200),
        idx(MAX_BYTES + 1),
        idx(5)[:6],
        b"\0\0\x0d\1",
        b"",
    ],
)
def test_what_is_not_there_is_not_read(tmp_path: Path, content: bytes) -> None:
    for suffix, packed in (("", content), (".gz", gzip.compress(content))):
        (tmp_path / f"it{suffix}").write_bytes(packed)
        with pytest.raises(DataError, match=r"not a complete idx file|cannot be read"):
            read_idx(tmp_path / f"it{suffix}")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "it.gz").write_bytes(gzip.compress(idx(4, values=bytes(50_000_000))))
    tracemalloc.start()
    with pytest.raises(DataError, match="not a complete idx file"):
        read_idx(tmp_path / "it.gz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000
