"""CUB-200-2011: photographs of birds with their species, in the format of the original archive.

The folder ``CUB_200_2011`` holds ``images/`` and text lists, a line for each image (or class):
``images.txt`` (number, file), ``image_class_labels.txt`` (number, class), ``train_test_split.txt``
(number, 1 for training), ``bounding_boxes.txt`` (number, left, top, width, height) and
``classes.txt`` (class, name). Numbers and classes begin at 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from train.checks import check
from train.data.dataset import DataError
from train.data.images import decode_image, resize
from train.data.lazy import LazyArray

T = TypeVar("T")


class BirdData(NamedTuple):
    """Images, which are read by index, and their species; see `train.data.dataset.Data`."""

    name: str
    splits: Mapping[str, Mapping[str, Any]]
    info: Mapping[str, Any]


class Photograph(NamedTuple):
    """An image, its class from 0, and the box of the bird: left, top, width, height."""

    path: Path
    label: int
    box: tuple[float, ...]


@dataclass(frozen=True)
class Birds:
    """CUB-200-2011 in the original format (Wah et al. 2011).

    Of each photograph the largest square in the middle, or the square around the bird's box, is
    resized; the split into training and test images is the set's own.
    """

    folder: str = "CUB_200_2011"
    """Folder that holds images/ and the text lists."""
    image_size: int = 224
    """Side of an image in pixels."""
    crop: bool = False
    """Whether images are cut to the bird's box; the paper's experiments do not use it."""
    valid_fraction: float = 0.05
    """Fraction of the training images for validation, which chooses the best checkpoint."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "data", positive=("image_size",), fraction=("valid_fraction",))

    def build(self) -> BirdData:
        """Reads the lists; images are read when they are needed.

        Raises:
            DataError: for a list that is missing, damaged or does not fit the others, or a split
                without images; when images are read, for one that is missing or damaged.
        """
        root = Path(self.folder).expanduser()
        names = read_list(root / "classes.txt", 1, lambda words: words[0])
        files = read_list(root / "images.txt", 1, lambda words: words[0])
        labels = read_list(root / "image_class_labels.txt", 1, lambda words: int(words[0]))
        is_train = read_list(root / "train_test_split.txt", 1, lambda words: int(words[0]))
        boxes = read_list(root / "bounding_boxes.txt", 4, lambda words: tuple(map(float, words)))
        for name, entries in (
            ("image_class_labels.txt", labels),
            ("train_test_split.txt", is_train),
            ("bounding_boxes.txt", boxes),
        ):
            odd = sorted(files.keys() ^ entries.keys())
            if odd:
                raise DataError(
                    f"{root / name} and images.txt do not fit: image {odd[0]} stands in one of them"
                    " alone."
                )
        if sorted(names) != list(range(1, 1 + len(names))):
            raise DataError(f"{root / 'classes.txt'}: classes are not numbered 1, 2, 3, ...")
        sets: dict[str, list[Photograph]] = {"train": [], "test": []}
        for number, file in files.items():
            if labels[number] not in names:
                raise DataError(
                    f"{root / 'image_class_labels.txt'}: image {number} has class {labels[number]};"
                    f" classes.txt has 1 to {len(names)}."
                )
            if is_train[number] not in (0, 1):
                raise DataError(
                    f"{root / 'train_test_split.txt'}: image {number} has {is_train[number]}; it "
                    "must be 1 (training) or 0 (test)."
                )
            path = self._path(root / "images", number, file)
            photograph = Photograph(path, labels[number] - 1, boxes[number])
            sets["train" if is_train[number] else "test"].append(photograph)
        for split, photographs in sets.items():
            if not photographs:
                raise DataError(f"{root / 'train_test_split.txt'} has no {split} images.")
        if self.valid_fraction:
            sets["train"], sets["valid"] = self._hold_out(sets["train"])
        counts = np.bincount([p.label for p in sets["train"]], minlength=len(names))
        info = {
            "class_names": [
                names[number].partition(".")[2] or names[number] for number in sorted(names)
            ],
            "class_counts": counts.tolist(),
        }
        splits = {split: self._arrays(found) for split, found in sets.items() if found}
        return BirdData(self.folder, splits, info)

    def _path(self, folder: Path, number: int, file: str) -> Path:
        parts = Path(file).parts
        if Path(file).is_absolute() or ".." in parts:
            raise DataError(f"images.txt: image {number} is {file!r}, outside of {folder}.")
        return folder / file

    def _hold_out(self, photographs: list[Photograph]) -> tuple[list[Photograph], list[Photograph]]:
        """Splits the training images in two, the same ones each time."""
        order = np.random.RandomState(0).permutation(len(photographs))  # a frozen stream
        count = min(max(round(self.valid_fraction * len(photographs)), 1), len(photographs) - 1)
        held = set(order[:count].tolist())
        kept = [p for index, p in enumerate(photographs) if index not in held]
        return kept, [photographs[index] for index in sorted(held)]

    def _arrays(self, photographs: list[Photograph]) -> dict[str, Any]:
        def read(rows: np.ndarray) -> np.ndarray:
            return np.stack([self._read(photographs[i]) for i in rows])

        labels = np.array([photograph.label for photograph in photographs], np.int32)
        return {"images": LazyArray.create(read, len(photographs)), "labels": labels}

    def _read(self, photograph: Photograph) -> np.ndarray:
        """Returns a square in colour; one around a box is cut where the image ends."""
        image = decode_image(photograph.path)
        height, width = image.shape[:2]
        x, y, side = width / 2, height / 2, float(min(height, width))
        if self.crop:
            left, top, box_width, box_height = photograph.box
            x, y, side = left + box_width / 2, top + box_height / 2, max(box_width, box_height)
        columns = np.clip(np.round([x - side / 2, x + side / 2]), 0, width).astype(int)
        rows = np.clip(np.round([y - side / 2, y + side / 2]), 0, height).astype(int)
        square = image[rows[0] : rows[1], columns[0] : columns[1]]
        if not square.size:
            raise DataError(
                f"{photograph.path}: the box {photograph.box} of bounding_boxes.txt lies outside "
                "the image."
            )
        square = np.broadcast_to(square, (*square.shape[:2], 3))
        return resize(square, self.image_size, self.image_size)


def read_list(path: Path, count: int, parse: Callable[[list[str]], T]) -> dict[int, T]:
    """Reads lines of a number from 1 and ``count`` words.

    Raises:
        DataError: naming the file, and the line that is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist; data.folder must be the folder CUB_200_2011 of the original "
            "archive."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}).") from error
    entries: dict[int, T] = {}
    for index, line in enumerate(lines):
        words = line.split()
        if not words:
            continue
        try:
            number = int(words[0])
            if len(words) != 1 + count or number in entries:
                raise ValueError
            entries[number] = parse(words[1:])
        except ValueError as error:
            raise DataError(
                f"{path}, line {1 + index}: {line[:60]!r} is not a new number and "
                f"{'a word' if count == 1 else f'{count} numbers'}."
            ) from error
    if not entries:
        raise DataError(f"{path} is empty.")
    return entries
