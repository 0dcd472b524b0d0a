"""House numbers: the Street View set in its original format, images with a box for each digit.

The folders ``train``, ``test`` and ``extra`` of the archives of "Format 1" hold ``1.png``,
``2.png``, ... and ``digitStruct.mat``, an HDF5 file (MATLAB 7.3) with the boxes and labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from train.checks import check
from train.data.dataset import DataError
from train.data.images import decode_image, resize
from train.data.lazy import LazyArray
from train.data.notes import Notes
from train.data.progress import track

NONE = 10
"""Label of a position without a digit."""

CLASS_NAMES = (*map(str, range(10)), "")


class HouseNumber(NamedTuple):
    """The digits in an image.

    Attributes:
        name: name of the image file.
        labels: the digits from left to right.
        box: left, top, right and lower edge of the digits together, in pixels.
    """

    name: str
    labels: tuple[int, ...]
    box: tuple[float, float, float, float]


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


def read_digit_struct(path: Path) -> list[HouseNumber]:
    """Reads labels and boxes of all images of a folder.

    Args:
        path: ``digitStruct.mat``.

    Raises:
        DataError: if it is missing, damaged, or in another format.
    """
    try:
        import h5py
    except ImportError as error:
        raise DataError("reading digitStruct.mat needs h5py: pip install h5py.") from error
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; unpack the archives of SVHN's Format 1 (train.tar.gz, "
            "test.tar.gz) and give --data.folder the folder that holds train/ and test/."
        )
    try:
        with h5py.File(path, "r") as file:
            names, boxes = (np.ravel(file["digitStruct"][key]) for key in ("name", "bbox"))
            pairs = list(zip(names, boxes, strict=True))
            return [
                _read_number(file, name, box)
                for name, box in track(pairs, f"Reading {path.parent.name}/{path.name}")
            ]
    except DataError:
        raise
    except Exception as error:  # h5py raises anything for damaged files
        raise DataError(
            f"{path} is damaged or in another format ({str(error).strip() or error!r}); get it "
            "again."
        ) from error


def _read_number(file: Any, name: Any, box: Any) -> HouseNumber:
    text = "".join(map(chr, np.ravel(file[name]).astype(int).tolist()))
    if not text or Path(text).name != text:
        raise DataError(f"{file.filename}: {text!r} is no name of an image file.")
    fields = {
        key: _numbers(file, file[box][key]) for key in ("left", "top", "width", "height", "label")
    }
    values = np.array(list(fields.values()))
    if not np.isfinite(values).all() or (values[2:4] <= 0).any():
        raise DataError(f"{file.filename}: {text} has a box without a size: {fields}.")
    left, top, width, height, label = values[:, np.argsort(values[0], kind="stable")]
    labels = tuple(int(digit) % 10 for digit in label)  # 10 is the digit 0
    if not np.isin(label, np.arange(1, 11)).all():
        raise DataError(f"{file.filename}: {text} has labels {label.tolist()}; they must be 1-10.")
    right, lower = (left + width).max(), (top + height).max()
    return HouseNumber(
        text, labels, (float(left.min()), float(top.min()), float(right), float(lower))
    )


def _numbers(file: Any, values: Any) -> list[float]:
    """Returns a number for each digit: a single one is stored as it is, several by reference."""
    if values.dtype.kind != "O":
        return np.ravel(values[()]).astype(float).tolist()
    return [float(np.ravel(file[reference])[0]) for reference in np.ravel(values[()])]
