"""Archives of arrays: memory-mapped where they are large, in one line where they cannot be."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import arrays, build, read, refused

from train.data.archive import map_array
from train.data.lazy import LazyArray


def save_folder(folder: Path, **changes: object) -> Path:
    folder.mkdir()
    for name, array in arrays(**changes).items():
        np.save(folder / f"{name}.npy", array)
    return folder


def check_same(lazy: Any, eager: Any) -> None:
    assert isinstance(lazy.x_train, LazyArray)
    assert isinstance(eager.x_train, np.ndarray)
    for split in ("train", "valid", "test"):
        for name in (f"x_{split}", f"y_{split}"):
            found, expected = getattr(lazy, name), getattr(eager, name)
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_array_equal(np.asarray(found), expected)
    assert (lazy.class_names, lazy.held_out) == (eager.class_names, eager.held_out)


FLOATS = arrays()["x_train"] / 255


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, {}),
        ({"x_test": None, "y_test": None}, {}),
        ({}, {"image_size": 5}),
        ({"x_train": FLOATS.astype(np.float32)}, {}),
        ({"x_train": np.asfortranarray(arrays()["x_train"])}, {}),
        ({"x_train": FLOATS[:, :4, :4].reshape(12, 16), "x_test": FLOATS[:6, :4, :4]}, {}),
    ],
)
def test_mapped_arrays_are_those_in_memory(
    tmp_path: Path, changes: dict[str, Any], fields: dict[str, Any]
) -> None:
    np.savez(tmp_path / "mine.npz", **arrays(**changes))
    folder = save_folder(tmp_path / "mine", **changes)
    for path in (tmp_path / "mine.npz", folder):
        check_same(build(path, memory_limit=0, **fields), build(path, **fields))


def test_arrays_within_the_limit_are_read(tmp_path: Path) -> None:
    large = arrays(x_train=np.zeros((12, 400, 400), np.uint8), x_test=np.ones((6, 400, 400)))
    np.savez(tmp_path / "mine.npz", **large)
    assert isinstance(read(tmp_path / "mine.npz", memory_limit=10).x_train, np.ndarray)
    assert isinstance(read(tmp_path / "mine.npz", memory_limit=9).x_train, LazyArray)


def test_large_compressed_arrays_are_refused_with_the_cure(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "mine.npz", **arrays())
    said = refused(tmp_path / "mine.npz", memory_limit=0)
    assert "mine.npz: x_train is compressed" in said
    assert "np.savez, which does not compress" in said
    assert "--data.memory-limit" in said


def test_cut_off_and_foreign_files_are_refused(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "mine")
    path = folder / "x_train.npy"
    whole = path.read_bytes()
    for cut, words in (
        (-1, r"x_train.npy is cut off: it has 883 of 884 bytes"),
        (40, r"x_train.npy is not an array as np.save writes it"),
        (0, r"x_train.npy is not an array as np.save writes it"),
    ):
        path.write_bytes(whole[:cut])
        for limit in (0, 1000):
            assert re.search(words, refused(folder, memory_limit=limit))
    np.save(path, np.array([{}]), allow_pickle=True)
    assert "Python objects" in refused(folder, memory_limit=0)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "mine.npz", memory_limit=0)
    folder = save_folder(tmp_path / "mine", y_train=None)
    assert "no array y_train; it has x_test, x_train, y_test" in refused(folder, memory_limit=0)


def test_pixels_out_of_range_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **arrays(x_train=FLOATS * 255))
    assert "holds values from 0 to 255" in refused(tmp_path / "mine.npz", memory_limit=0)


def test_mapping_starts_at_an_offset(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    (tmp_path / "both").write_bytes(b"12345" + (tmp_path / "x.npy").read_bytes())
    mapped = map_array(tmp_path / "both", "x", 5)
    assert isinstance(mapped, np.memmap)
    assert mapped.tolist() == [[0, 1, 2], [3, 4, 5]]
