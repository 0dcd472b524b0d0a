"""Lazy arrays: indexing reads nothing, converting reads what was chosen."""

from pathlib import Path

import numpy as np

from train.data.dataset import SAMPLE, is_lazy, reads_by_index, sample
from train.data.lazy import LazyArray

STORED = np.arange(5000 * 6, dtype=np.int32).reshape(5000, 2, 3)


def make(asked: list[int] | None = None) -> LazyArray:
    def read(rows: np.ndarray) -> np.ndarray:
        if asked is not None:
            asked.extend(rows.tolist())
        found: np.ndarray = STORED[rows]
        return found

    return LazyArray.create(read, len(STORED))


def test_indexing_chooses_rows_as_numpy_does_and_reads_none() -> None:
    asked: list[int] = []
    array = make(asked)
    del asked[:]  # the first row tells shape and dtype
    mask = np.arange(5000) % 2 == 1
    chosen = array[mask][10:14][np.array([3, 0, 0])]
    assert (chosen.shape, chosen.dtype, len(chosen)) == ((3, 2, 3), np.int32, 3)
    assert asked == []
    np.testing.assert_array_equal(np.asarray(chosen), STORED[mask][10:14][[3, 0, 0]])
    assert asked == [27, 21, 21]


def test_one_row_and_no_rows_are_arrays() -> None:
    np.testing.assert_array_equal(make()[4], STORED[4])
    assert np.asarray(make()[:0]).shape == (0, 2, 3)
    assert np.asarray(make()[:2], np.float64).dtype == np.float64


def test_a_sample_of_a_lazy_array_is_spread_over_it() -> None:
    asked: list[int] = []
    found = sample(make(asked))
    assert len(found) == SAMPLE
    assert asked[-1] == 4999
    assert max(np.diff(asked[1:])) <= 6
    assert sample(STORED) is STORED


def test_memory_mapped_arrays_are_lazy(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", STORED)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert is_lazy(mapped)
    assert is_lazy(mapped[..., None])
    assert not is_lazy(STORED)
    assert reads_by_index({"x": mapped, "y": STORED})
    assert not reads_by_index({"y": STORED})
