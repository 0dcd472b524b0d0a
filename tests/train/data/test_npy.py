"""Headers of arrays: nothing is allocated for what is not there."""

import io
from pathlib import Path

import numpy as np
import pytest

from train.data import DataError
from train.data.npy import MAX_LABEL_BYTES, MAX_ROWS, Header, check_rows, read_header


def header_of(content: bytes) -> Header:
    path = Path("it.npy")
    return read_header(io.BytesIO(content), path, "it", "it", len(content))


def written(descr: str, shape: str, values: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + values


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_header_says_what_follows(order: str) -> None:
    file = io.BytesIO()
    array = np.asarray(np.arange(24).reshape(2, 3, 4), order=order)  # type: ignore[call-overload]
    np.save(file, array)
    found = header_of(file.getvalue())
    assert found[:3] == ((2, 3, 4), order == "F", array.dtype)
    assert found.nbytes == len(file.getvalue())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (written("'|u1'", "(1000000000000,)", b"123"), "cut off: it has "),
        (written("'|u1'", "(4294967296, 4294967296)"), "cut off: it has "),  # 2^64 is 0 in int64
        (written("'|u1'", "(1,)" * 20), "is not an array as np.save writes it"),
        (written("'|u1'", "(-1, 5)"), r"has shape \(-1, 5\)"),
        (written("'|u1'", f"({10**30},)"), "has shape"),
        (written("'|u1'", "()", b"1"), r"has shape \(\)"),
        (written("'|u1'", "(1, 1, 1, 1, 1, 1, 1, 1, 1)", b"1"), "has shape"),
        (written("'|S0'", "(1000000000000,)"), "dtype"),
        (written("'|u1'", "(1000000000000, 0)"), "is empty"),
        (written("'|O'", "(1,)", b"\x80\4N."), "holds Python objects"),
        (written("[('a', '|O')]", "(1,)"), "holds Python objects"),
        (written("[" * 4000 + "]" * 4000, "(1,)"), "is not an array as np.save writes it"),
        (b"\x93NUMPY\2\0\xff\xff\xff\xff{}", "is not an array as np.save writes it"),
        (b"\x93NUMPY\7\0", "is not an array as np.save writes it"),
        (b"", "is not an array as np.save writes it"),
    ],
)
def test_impossible_headers_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        header_of(content)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("shape", "dtype", "allowed"),
    [
        ((MAX_ROWS,), "i8", True),
        ((MAX_ROWS + 1,), "i1", False),
        ((1, MAX_ROWS + 1), "i1", False),
        ((MAX_LABEL_BYTES // 80,), "U20", True),
        ((MAX_LABEL_BYTES // 80 + 1,), "U20", False),
        ((MAX_LABEL_BYTES // 80 + 1,), "S20", False),  # as text each letter has four bytes
    ],
)
def test_labels_are_bounded(shape: tuple[int, ...], dtype: str, allowed: bool) -> None:
    header = Header(shape, False, np.dtype(dtype), 128)
    if allowed:
        check_rows(header, "y")
        return
    with pytest.raises(DataError, match="10,000,000 labels, of 512 MB in all, are read"):
        check_rows(header, "y")
