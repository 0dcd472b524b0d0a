"""House numbers: the Street View set in its original format, images with a box for each digit.

The folders ``train``, ``test`` and ``extra`` of the archives of "Format 1" hold ``1.png``,
``2.png``, ... and ``digitStruct.mat`` with the boxes and labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from train.checks import check
from train.data.dataset import DataError
from train.data.digit_struct import HouseNumber, read_digit_struct
from train.data.images import decode_image, resize
from train.data.lazy import LazyArray
from train.data.notes import Notes

NONE = 10
"""Label of a position without a digit."""

CLASS_NAMES = (*map(str, range(10)), "")


class HouseNumberData(NamedTuple):
    """Images, which are read by index, and the digits of each; see `train.data.dataset.Data`."""

    name: str
    splits: Mapping[str, Mapping[str, Any]]
    info: Mapping[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class HouseNumbers:
    """Street View House Numbers in the original format (Netzer et al. 2011).

    Each image is cropped to the box of all digits, made larger by a factor about its centre, and
    resized to a square (Goodfellow et al. 2014). Labels are padded to ``length`` by a class "none".
    """

    folder: str = "svhn"
    """Folder that holds train/, test/ and perhaps extra/ (more training images), each with
    digitStruct.mat and its images."""
    image_size: int = 64
    """Side of an image in pixels."""
    expand: float = 1.3
    """Size of a crop, relative to the box of its digits."""
    length: int = 5
    """Largest number of digits; images with more are left out."""
    valid_fraction: float = 0.02
    """Fraction of the training images for validation, which chooses the best checkpoint."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "data",
            positive=("image_size", "expand", "length"),
            fraction=("valid_fraction",),
        )

    def build(self) -> HouseNumberData:
        """Reads labels and boxes; images are read when they are needed."""
        root, notes = Path(self.folder).expanduser(), Notes()
        read = {name: self._read(root / name, notes) for name in ("train", "test")}
        train = list(read["train"])
        if (root / "extra").is_dir():
            train += self._read(root / "extra", notes)
        order = np.random.RandomState(0).permutation(len(train))  # a frozen stream
        count = min(max(round(self.valid_fraction * len(train)), 1), len(train) - 1)
        held = np.sort(order[:count]) if self.valid_fraction else order[:0]
        kept = np.setdiff1d(order, held)
        sets = {"train": [train[i] for i in kept], "test": read["test"]}
        if len(held):
            sets["valid"] = [train[i] for i in held]
        return HouseNumberData(
            self.folder,
            {split: self._arrays(numbers) for split, numbers in sets.items()},
            {"class_names": list(CLASS_NAMES)},
            notes.lines(),
        )

    def _read(self, folder: Path, notes: Notes) -> list[tuple[Path, HouseNumber]]:
        numbers = []
        for number in read_digit_struct(folder / "digitStruct.mat"):
            if len(number.labels) > self.length:
                notes.count(f"images with more than {self.length} digits are left out", number.name)
            else:
                numbers.append((folder / number.name, number))
        if not numbers:
            raise DataError(f"{folder} has no images with up to {self.length} digits.")
        return numbers

    def _arrays(self, numbers: Sequence[tuple[Path, HouseNumber]]) -> dict[str, Any]:
        labels = np.full((len(numbers), self.length), NONE, np.int32)
        for row, (_, number) in zip(labels, numbers, strict=True):
            row[: len(number.labels)] = number.labels

        def read(rows: np.ndarray) -> np.ndarray:
            return np.stack([self._crop(*numbers[i]) for i in rows])

        return {"images": LazyArray.create(read, len(numbers)), "labels": labels}

    def _crop(self, path: Path, number: HouseNumber) -> np.ndarray:
        """Returns what lies in the enlarged box, and in the image, as a square."""
        image = decode_image(path)
        height, width = image.shape[:2]
        left, top, right, bottom = number.box
        x, y = (left + right) / 2, (top + bottom) / 2
        half_width, half_height = self.expand * (right - left) / 2, self.expand * (bottom - top) / 2
        columns = np.clip(np.round([x - half_width, x + half_width]), 0, width).astype(int)
        rows = np.clip(np.round([y - half_height, y + half_height]), 0, height).astype(int)
        crop = image[rows[0] : rows[1], columns[0] : columns[1]]
        if not crop.size:
            raise DataError(f"{path}: the box {number.box} of its digits lies outside the image.")
        crop = np.broadcast_to(crop, (*crop.shape[:2], 3))
        return resize(crop, self.image_size, self.image_size)
