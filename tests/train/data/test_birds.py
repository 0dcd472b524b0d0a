"""CUB-200-2011 is read from small files of the original format, written here."""

from pathlib import Path

import numpy as np
import pytest
from bird_files import make_birds
from PIL import Image

from train.config import Birds, Classification, NoDistortion
from train.data.dataset import DataError, describe
from train.tasks.classification import LabelledImages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_birds(tmp_path / "birds")


def test_the_sets_own_split_and_names_are_read_and_some_are_held_out(folder: Path) -> None:
    data = Birds(str(folder), 16, valid_fraction=0.1).build()
    spec = describe(data)
    assert spec.counts == {"train": 19, "valid": 2, "test": 9}
    assert spec.arrays == {"images": ((16, 16, 3), "uint8"), "labels": ((), "int32")}
    assert spec.info["class_names"] == [
        *("Black_footed_Albatross", "Laysan_Albatross", "Sooty_Albatross")
    ]
    assert sum(spec.info["class_counts"]) == 19
    assert data.splits["test"]["labels"].tolist() == [0, 1, 2] * 3
    assert describe(Birds(str(folder), 16, valid_fraction=0.1).build()) == spec
    task = Classification().build(spec, NoDistortion())
    assert type(task) is LabelledImages
    assert task.num_outputs == 3
    assert describe(Birds(str(folder), valid_fraction=0.0).build()).counts == {
        "train": 21,
        "test": 9,
    }


def test_an_image_is_the_middle_square_or_the_birds_box(folder: Path) -> None:
    """The first training image: 40 x 30, its box from (10, 5), 20 wide and 12 high."""
    path = folder / "images/001.Black_footed_Albatross/Black_footed_Albatross_0001.jpg"
    with Image.open(path) as file:
        pixels = np.asarray(file)
    whole = Birds(str(folder), 30, valid_fraction=0.0).build().splits["train"]["images"]
    np.testing.assert_array_equal(whole[0], pixels[:, 5:35])
    boxed = Birds(str(folder), 20, crop=True, valid_fraction=0.0).build().splits["train"]["images"]
    np.testing.assert_array_equal(boxed[0], pixels[1:21, 10:30])  # 20 x 20 about (20, 11)
    Image.fromarray(pixels[..., 0]).save(path)  # some photographs of the set are grey
    grey = Birds(str(folder), 30, valid_fraction=0.0).build().splits["train"]["images"][0]
    assert grey.shape == (30, 30, 3)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("classes.txt", None, r"classes.txt does not exist; data.folder must be .*CUB_200_2011"),
        ("classes.txt", "1 a\n3 b\n", "classes are not numbered 1, 2, 3"),
        ("images.txt", "", "images.txt is empty"),
        ("images.txt", "1 a.jpg\n2\n", "images.txt, line 2: '2' is not a new number and a word"),
        ("images.txt", "1 a.jpg\n1 b.jpg\n", "line 2: '1 b.jpg' is not a new number"),
        ("images.txt", "1 ../../etc/passwd\n", "image 2 stands in one of them alone"),
        ("image_class_labels.txt", "1 2\n", r"image_class_labels.txt and images.txt do not fit"),
        ("bounding_boxes.txt", "1 2 3\n", "line 1: '1 2 3' is not a new number and 4 numbers"),
        ("bounding_boxes.txt", "1 2 3 4 wide\n", "line 1: '1 2 3 4 wide' is not a new number"),
        ("train_test_split.txt", b"\xff\xfe", "train_test_split.txt cannot be read"),
    ],
)
def test_damaged_lists_are_named(
    folder: Path, file: str, content: str | bytes | None, message: str
) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        Birds(str(folder)).build()


def test_entries_that_do_not_fit_are_named(folder: Path) -> None:
    def changed(file: str, old: str, new: str, message: str) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))
        with pytest.raises(DataError, match=message):
            Birds(str(folder)).build()
        (folder / file).write_text(text)

    changed("image_class_labels.txt", "2 2\n", "2 7\n", r"image 2 has class 7; .* has 1 to 3")
    changed("train_test_split.txt", "3 1\n", "3 5\n", r"image 3 has 5; it must be 1 .* or 0")
    changed("images.txt", "1 001", "1 ../001", r"image 1 is '../001.* outside of")
    changed("images.txt", "1 001", "1 009", r"009.* is damaged or not an image")
    split = folder / "train_test_split.txt"
    split.write_text(split.read_text().replace(" 0\n", " 1\n"))
    with pytest.raises(DataError, match=r"train_test_split.txt has no test images"):
        Birds(str(folder)).build()


def test_a_box_outside_the_image_is_named(folder: Path) -> None:
    boxes = folder / "bounding_boxes.txt"
    boxes.write_text(boxes.read_text().replace("1 10.0", "1 900.0", 1))
    with pytest.raises(DataError, match=r"0001.jpg: the box .* lies outside the image"):
        Birds(str(folder), crop=True).build()
