"""``digitStruct.mat``, written here by h5py as MATLAB lays it out, and what is no such file."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from house_number_files import Digit, make_house_numbers, write_house_numbers

from train.config import HouseNumbers
from train.data.dataset import DataError
from train.data.digit_struct import read_digit_struct

BLACK = np.zeros((30, 50, 3), np.uint8)


def test_labels_are_read_from_left_to_right_and_ten_is_zero(tmp_path: Path) -> None:
    two = [Digit(20, 4, 8, 16, 10), Digit(10, 6, 8, 17, 7)]
    write_house_numbers(tmp_path / "train", [(BLACK, two), (BLACK, [Digit(1, 2, 3, 4, 5)])])
    first, second = read_digit_struct(tmp_path / "train" / "digitStruct.mat")
    assert first == ("1.png", (7, 0), (10.0, 4.0, 28.0, 23.0))
    assert second == ("2.png", (5,), (1.0, 2.0, 4.0, 6.0))


@pytest.mark.parametrize(
    ("digit", "name", "message"),
    [
        (Digit(1, 2, 3, 4, 11), "1.png", "has the label 11; it must be 1 to 10"),
        (Digit(1, 2, 0, 4, 1), "1.png", "a box without a size"),
        (Digit(np.nan, 2, 3, 4, 1), "1.png", "has a box at"),
        (Digit(1, 2, np.nan, 4, 1), "1.png", "a box without a size"),
        (Digit(1, 2, 3, 4, 1), "../1.png", "is no name of an image file"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    digit: Digit, name: str, message: str, tmp_path: Path
) -> None:
    write_house_numbers(tmp_path / "train", [(BLACK, [digit])], [name])
    with pytest.raises(DataError, match=message):
        read_digit_struct(tmp_path / "train" / "digitStruct.mat")


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"digitStruct\.mat does not exist; unpack the archives"):
        HouseNumbers(str(tmp_path)).build()
    make_house_numbers(tmp_path, {"train": 3})
    path = tmp_path / "train" / "digitStruct.mat"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="is damaged or in another format"):
        read_digit_struct(path)


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    make_house_numbers(tmp_path, {"train": 3})
    path = tmp_path / "train" / "digitStruct.mat"
    other = tmp_path / "other.mat"
    other.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["digitStruct"]
        file["digitStruct"] = h5py.ExternalLink(str(other), "/digitStruct")
    with pytest.raises(DataError, match="digitStruct is missing, or lies in another file"):
        read_digit_struct(path)


def test_arrays_larger_than_memory_are_refused(tmp_path: Path) -> None:
    make_house_numbers(tmp_path, {"train": 1})
    path = tmp_path / "train" / "digitStruct.mat"
    with h5py.File(path, "r+") as file:
        box = file[file["digitStruct/bbox"][0, 0]]
        del box["left"]
        box.create_dataset("left", (10**12, 1), "f8", chunks=(1000, 1))
    with pytest.raises(DataError, match="an image has 1000000000000 digits"):
        read_digit_struct(path)
