"""The images that ``predict`` is given: files, folders, archives, and their labels if any."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from train.data.archive import read_archive
from train.data.dataset import DataError, is_lazy
from train.data.images import as_images, read_image, resize
from train.data.labels import read_labels
from train.data.lazy_images import lazy_array_images
from train.data.listing import list_files, note_unread
from train.data.notes import Notes
from train.data.sets import SPLITS, find_set
from train.errors import UserError

MAX_BYTES = 10**9
"""Bytes of an archive's images; larger ones are memory-mapped."""


class Input(NamedTuple):
    """One image.

    Attributes:
        name: path of the file, with an index for an archive.
        pixels: uint8 ``(h, w, c)``.
        label: name of its class, if it is known.
    """

    name: str
    pixels: np.ndarray
    label: str | None


def read_inputs(
    sources: Sequence[Path], classes: Sequence[str], without: Path, notes: Notes
) -> Iterator[Input]:
    """Yields the images of files, folders and ``.npz`` files.

    An image in a folder that bears the name of a class is of that class: ``SOURCE/CLASS/*.png``,
    or ``SOURCE/test/CLASS/*.png``. An archive may have labels.

    Args:
        sources: what was given on the command line.
        classes: names of the classes of the network.
        without: folder that is passed over in folders, where results are written.
        notes: takes note of files that are not read.

    Raises:
        UserError: if a source does not exist.
        DataError: if an image or archive cannot be read.
    """
    for source in sources:
        if source.is_dir():
            listing = list_files(source, without=[without])
            note_unread(listing.others, notes)
            for path in listing.images:
                label = _find_label(path.relative_to(source).parts[:-1], classes)
                yield Input(str(path), read_image(path, notes), label)
        elif not source.is_file():
            raise UserError(
                f"{str(source)!r} does not exist; give image files, folders or an .npz."
            )
        elif source.suffix.lower() == ".npz":
            yield from _read_archive(source, classes, notes)
        else:
            yield Input(str(source), read_image(source, notes), None)


def _find_label(folders: Sequence[str], classes: Sequence[str]) -> str | None:
    """Returns the class that the folders of an image name, or None."""
    if folders and folders[0] not in classes and find_set(folders[0]):
        folders = folders[1:]
    return folders[0] if folders and folders[0] in classes else None


def _read_archive(path: Path, classes: Sequence[str], notes: Notes) -> Iterator[Input]:
    arrays, keys = read_archive(path, (), notes, MAX_BYTES)
    splits = [split for split in SPLITS if f"x_{split}" in arrays]
    if not splits:
        raise UserError(
            f"{str(path)!r} has no array of images; name it x, images, x_test or x_train."
        )
    split = "test" if "test" in splits else splits[0]
    for other in splits:
        if other != split:
            notes.count(f"arrays of {path} are not predicted", keys[f"x_{other}"])
    x, y = f"x_{split}", f"y_{split}"
    read = as_images if not is_lazy(arrays[x]) else partial(lazy_array_images, image_size=0)
    images = read(f"{path}: {keys[x]}", arrays[x], notes=notes)
    labels: Sequence[str | None] = [None] * len(images)
    if y in arrays:
        labels = _name_labels(f"{path}: {keys[y]}", arrays[y], classes)
    if len(labels) != len(images):
        raise DataError(f"{path} has {len(images)} images and {len(labels)} labels.")
    for i, label in enumerate(labels):
        yield Input(f"{path}[{i}]", images[i], label)


def _name_labels(name: str, labels: np.ndarray, classes: Sequence[str]) -> list[str | None]:
    values = read_labels(name, labels).tolist()
    named = [
        value if isinstance(value, str) else classes[value] if 0 <= value < len(classes) else None
        for value in values
    ]
    return [label if label in classes else None for label in named]


def fit_to_input(
    image: Input, input_shape: Sequence[int], image_shape: Sequence[int]
) -> np.ndarray:
    """Returns an image of the network's input size.

    An image of that size, or of the size of the training images, is not resized; any other is
    resized to that of the training images. It is then centred on the input.

    Args:
        image: the image.
        input_shape: ``(h, w, c)`` of the network's input.
        image_shape: ``(h, w, c)`` of the training images.

    Raises:
        UserError: if it has another number of channels, and is neither grey nor in colour.
    """
    (height, width, channels), small = input_shape, image_shape
    pixels = match_channels(image.name, image.pixels[None], channels)[0]
    if pixels.shape[:2] not in ((height, width), (small[0], small[1])):
        pixels = resize(pixels, small[0], small[1])
    extra_rows, extra_columns = height - pixels.shape[0], width - pixels.shape[1]
    top, left = extra_rows // 2, extra_columns // 2
    return np.pad(pixels, ((top, extra_rows - top), (left, extra_columns - left), (0, 0)))


def match_channels(name: str, images: np.ndarray, channels: int) -> np.ndarray:
    """Turns images ``(n, h, w, c)`` from grey to colour or back, as a network needs them.

    Raises:
        UserError: for other numbers of channels.
    """
    if images.shape[3] == 3 and channels == 1:
        grey = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
        return np.stack(grey)[..., None] if grey else images[..., :1]
    if images.shape[3] == 1 and channels == 3:
        return np.repeat(images, 3, axis=3)
    if images.shape[3] != channels:
        raise UserError(f"{name} has {images.shape[3]} channels; the network needs {channels}.")
    return images
