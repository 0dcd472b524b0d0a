"""What a data part builds: arrays by split; `Dataset` has the images and labels of classes."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from train.data.lazy import LazyArray
from train.errors import UserError

SPLITS = ("train", "valid", "test")

SHOWN = 2
"""Number of images of a held-out set that `Dataset.describe` names."""

SAMPLE = 1000
"""Number of rows that stand for a lazy array in its checks and its checksum."""

SAMPLE_BYTES = 1 << 29
"""Bytes of a sample; of large rows there are fewer."""

Arrays = Mapping[str, np.ndarray]
"""Arrays by name; their first axes are examples. They may be memory-mapped or `LazyArray`."""


class DataError(UserError):
    """Data that cannot be trained on; the message says what to do, in one line.

    Args:
        message: the message; line breaks (in messages of other libraries) become spaces.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(line.strip() for line in message.splitlines()))


class Data(Protocol):
    """What ``build()`` of a data part returns; any object with these attributes will do.

    It may also have a method ``describe``, and attributes ``notes`` and ``held_out``, as `Dataset`.

    Attributes:
        name: name for display.
        splits: arrays of "train", and of "valid" and "test" where there are such examples.
        info: what else the task needs to know, such as the names of classes, as JSON has it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def splits(self) -> Mapping[str, Arrays]: ...  # noqa: D102
    @property
    def info(self) -> Mapping[str, Any]: ...  # noqa: D102


class DataSpec(NamedTuple):
    """What a task and a network need to know of the data; stands in ``data.json``.

    Attributes:
        name: name for display.
        counts: number of examples of each split.
        arrays: shape of one example and dtype of each array.
        info: what the data part says of them, such as the names of classes.
        crc32: a checksum of all arrays, of lazy ones of a sample, to recognise them by.
    """

    name: str
    counts: dict[str, int]
    arrays: dict[str, tuple[tuple[int, ...], str]]
    info: dict[str, Any]
    crc32: str


def describe(data: Data) -> DataSpec:
    """Returns the description of data.

    Raises:
        DataError: if there are no training examples, or splits or arrays that do not fit together.
    """
    train = data.splits.get("train", {})
    if not train:
        raise DataError(f"{data.name} has no training examples; it must have a split 'train'.")
    arrays = {name: (array.shape[1:], str(array.dtype)) for name, array in train.items()}
    counts, checksum = {}, 0
    for split, members in data.splits.items():
        found = {name: (array.shape[1:], str(array.dtype)) for name, array in members.items()}
        if split not in SPLITS or found != arrays:
            raise DataError(
                f"{data.name}: split {split!r} has {found}; splits are {', '.join(SPLITS)}, and "
                f"all must have the arrays of 'train', {arrays}."
            )
        lengths = {name: len(array) for name, array in members.items()}
        if len(set(lengths.values())) != 1:
            raise DataError(f"{data.name}: arrays of split {split!r} differ in length: {lengths}.")
        counts[split] = next(iter(lengths.values()))
        for array in members.values():
            checksum = zlib.crc32(np.ascontiguousarray(sample(array)).data, checksum)
    return DataSpec(data.name, counts, arrays, dict(data.info), f"{checksum:08x}")


def is_lazy(array: Any) -> bool:
    """Returns whether rows are read by index; memory-mapped arrays are lazy too."""
    return isinstance(array, LazyArray | np.memmap)


def reads_by_index(arrays: Arrays) -> bool:
    """Returns whether the rows of a split are read on the host, batch by batch.

    Otherwise the arrays lie on the devices.
    """
    return any(map(is_lazy, arrays.values()))


def sample(array: Any) -> np.ndarray:
    """Returns an array, or evenly spaced rows of a lazy one."""
    row = math.prod(array.shape[1:]) * array.dtype.itemsize
    count = min(SAMPLE, max(1, SAMPLE_BYTES // max(1, row)))
    if not is_lazy(array) or len(array) <= count:
        return np.asarray(array)
    return np.asarray(array[np.linspace(0, len(array) - 1, count).astype(np.int64)])


def report(data: Data) -> list[str]:
    """Returns what is said of data: how many examples each split has, and what is not used."""
    if hasattr(data, "describe"):
        return [data.describe(), *getattr(data, "notes", ())]
    lengths = {split: len(next(iter(arrays.values()))) for split, arrays in data.splits.items()}
    counts = ", ".join(f"{count:,} {split}" for split, count in lengths.items())
    return [f"{data.name}: {counts} examples", *getattr(data, "notes", ())]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one classification task, as NumPy arrays.

    Attributes:
        name: name for display.
        x_train: images, uint8, ``(n, h, w, c)``.
        y_train: labels, int32, ``(n,)``, in [0, number of classes).
        x_valid: validation images; may be empty.
        y_valid: their labels.
        x_test: test images.
        y_test: their labels.
        class_names: one name for each class.
        files: where each training image came from, for reports; None is its index.
        groups: int64, ``(n,)``, the group of each training image; images of one group are never on
            two sides of a split. None if each image stands for itself.
        held_out: for each set that was held out of the training images, where they came from.
        notes: what was found and is not used, one sentence each.

    Raises:
        DataError: if the arrays are inconsistent.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_valid: np.ndarray
    y_valid: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    files: tuple[str, ...] | None = None
    groups: np.ndarray | None = None
    held_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the arrays against each other."""
        if self.num_classes < 2:
            raise DataError(
                f"{self.name} has {self.num_classes} class; a classifier needs 2 or more."
            )
        for split in ("train", "valid", "test"):
            self._check_split(split, getattr(self, f"x_{split}"), getattr(self, f"y_{split}"))

    def _check_split(self, split: str, images: np.ndarray, labels: np.ndarray) -> None:
        x, y = f"x_{split}", f"y_{split}"
        if len(images) != len(labels):
            raise DataError(
                f"{self.name}: {x} holds {len(images)} images and {y} {len(labels)} labels; "
                "each image needs one label."
            )
        if 0 in images.shape[1:] or (split != "valid" and not len(images)):
            raise DataError(f"{self.name}: {x} is empty, its shape is {images.shape}.")
        if images.shape[1:] != self.image_shape:
            raise DataError(
                f"{self.name}: {x} has images of shape {images.shape[1:]} and x_train of "
                f"{self.image_shape}; make them equal, sizes by --data.image-size."
            )
        outside = labels[(labels < 0) | (labels >= self.num_classes)]
        if len(outside):
            raise DataError(
                f"{self.name}: {y} holds label {outside[0]}; labels must be in "
                f"[0, {self.num_classes}), since there are {self.num_classes} classes."
            )

    @property
    def splits(self) -> dict[str, Arrays]:
        """Arrays ``images`` and ``labels`` of each split that has any."""
        arrays = {s: (getattr(self, f"x_{s}"), getattr(self, f"y_{s}")) for s in SPLITS}
        return {s: {"images": x, "labels": y} for s, (x, y) in arrays.items() if len(y)}

    @property
    def info(self) -> dict[str, Any]:
        """The names of the classes, and how many training examples each has."""
        counts = np.bincount(self.y_train, minlength=self.num_classes)
        return {"class_names": list(self.class_names), "class_counts": counts.tolist()}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape ``(h, w, c)`` of one image."""
        h, w, c = self.x_train.shape[1:]
        return h, w, c

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def describe(self) -> str:
        """Returns one line: how many images each set has, and which were held out."""
        words = {"train": "training", "valid": "validation", "test": "test"}
        counts = {word: len(getattr(self, f"y_{split}")) for split, word in words.items()}
        listed = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
        text = f"{self.name}: {listed} images of {self.num_classes:,} classes"
        for split, files in self.held_out.items():
            more = ", ..." if len(files) > SHOWN else ""
            text += (
                f"; the {words[split]} images were held out of the training images "
                f"({', '.join(files[:SHOWN])}{more})"
            )
        return text
