"""House numbers are read from files of the original format, written here by h5py."""

from pathlib import Path

import numpy as np
import pytest
from house_number_files import Digit, make_house_numbers, write_house_numbers

from train.config import HouseNumbers, NoDistortion, Sequence
from train.data.dataset import DataError, describe
from train.data.house_numbers import read_digit_struct
from train.tasks.sequence import LabelSequence

BLACK = np.zeros((30, 50, 3), np.uint8)


def test_labels_are_read_from_left_to_right_and_ten_is_zero(tmp_path: Path) -> None:
    two = [Digit(20, 4, 8, 16, 10), Digit(10, 6, 8, 17, 7)]
    write_house_numbers(tmp_path / "train", [(BLACK, two), (BLACK, [Digit(1, 2, 3, 4, 5)])])
    first, second = read_digit_struct(tmp_path / "train" / "digitStruct.mat")
    assert first == ("1.png", (7, 0), (10.0, 4.0, 28.0, 23.0))
    assert second == ("2.png", (5,), (1.0, 2.0, 4.0, 6.0))


def test_a_crop_is_the_enlarged_box_inside_of_the_image(tmp_path: Path) -> None:
    pixels = BLACK.copy()
    pixels[10:20, 20:40] = 200, 100, 50
    digits = [Digit(20, 10, 10, 10, 1), Digit(30, 10, 10, 10, 2)]
    for split in ("train", "test"):
        write_house_numbers(tmp_path / split, [(pixels, digits)] * 2)
    exact = HouseNumbers(str(tmp_path), 20, expand=1.0, valid_fraction=0.0).build()
    image = exact.splits["train"]["images"][0]
    assert image.shape == (20, 20, 3)
    assert (image == [200, 100, 50]).all()
    twice = HouseNumbers(str(tmp_path), 20, expand=2.0, valid_fraction=0.0).build()
    image = twice.splits["test"]["images"][1]
    assert (image[6:14, 6:14] == [200, 100, 50]).all()
    assert not image[:4].any()
    assert not image[:, :4].any()
    assert exact.splits["train"]["labels"].tolist() == [[1, 2, 10, 10, 10]] * 2


def test_extra_images_are_for_training_and_some_are_held_out(tmp_path: Path) -> None:
    make_house_numbers(tmp_path, {"train": 20, "extra": 30, "test": 10})
    data = HouseNumbers(str(tmp_path), 16, valid_fraction=0.1).build()
    assert describe(data).counts == {"train": 45, "valid": 5, "test": 10}
    again = HouseNumbers(str(tmp_path), 16, valid_fraction=0.1).build()
    assert describe(again) == describe(data)
    task = Sequence(length=5).build(describe(data), NoDistortion())
    assert type(task) is LabelSequence
    assert (task.num_outputs, task.input_shape) == (55, (16, 16, 3))
    with pytest.raises(ValueError, match=r"task.length=3 does not fit; .* has \(5,\) labels"):
        Sequence().build(describe(data), NoDistortion())


def test_longer_numbers_are_left_out_and_named(tmp_path: Path) -> None:
    digits = [Digit(5 * k, 5, 4, 9, 1) for k in range(3)]
    for split in ("train", "test"):
        write_house_numbers(tmp_path / split, [(BLACK, digits[:2]), (BLACK, digits)] * 2)
    data = HouseNumbers(str(tmp_path), 16, length=2, valid_fraction=0.0).build()
    assert describe(data).counts == {"train": 2, "test": 2}
    assert data.notes == (
        "images with more than 2 digits are left out: 4 (2.png, 4.png, 2.png, ...)",
    )


@pytest.mark.parametrize(
    ("digit", "name", "message"),
    [
        (Digit(1, 2, 3, 4, 11), "1.png", "labels .*; they must be 1-10"),
        (Digit(1, 2, 0, 4, 1), "1.png", "a box without a size"),
        (Digit(np.nan, 2, 3, 4, 1), "1.png", "a box without a size"),
        (Digit(1, 2, 3, 4, 1), "../1.png", "is no name of an image file"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    digit: Digit, name: str, message: str, tmp_path: Path
) -> None:
    write_house_numbers(tmp_path / "train", [(BLACK, [digit])], [name])
    with pytest.raises(DataError, match=message):
        read_digit_struct(tmp_path / "train" / "digitStruct.mat")


def test_a_box_outside_the_image_is_named(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_house_numbers(tmp_path / split, [(BLACK, [Digit(500, 2, 3, 4, 1)])] * 2)
    with pytest.raises(DataError, match=r"1\.png: the box .* of its digits lies outside the image"):
        HouseNumbers(str(tmp_path), 16).build()


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"digitStruct\.mat does not exist; unpack the archives"):
        HouseNumbers(str(tmp_path)).build()
    make_house_numbers(tmp_path, {"train": 3})
    path = tmp_path / "train" / "digitStruct.mat"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="is damaged or in another format"):
        read_digit_struct(path)
