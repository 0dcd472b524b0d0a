"""Images that are read by index: rows of memory-mapped arrays, files, records."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.data.dataset import DataError, sample
from train.data.images import (
    as_images,
    check_bytes,
    decode_image,
    quantize,
    read_image,
    read_shape,
    resize,
    stack,
    view_as_images,
)
from train.data.lazy import LazyArray
from train.data.notes import Notes
from train.data.progress import track


def lazy_array_images(name: str, array: np.ndarray, image_size: int, notes: Notes) -> LazyArray:
    """Returns the images of a memory-mapped array, as `as_images` converts them.

    Args:
        name: name of the array in error messages.
        array: the array.
        image_size: resize images to this square; 0 keeps their size.
        notes: takes note of squares.

    Raises:
        DataError: for another shape, dtype or range; the range is that of a sample.
    """
    view = view_as_images(name, array, notes)
    as_images(name, sample(view))

    def read(rows: np.ndarray) -> np.ndarray:
        images = np.asarray(view[rows])
        images = images if images.dtype == np.uint8 else quantize(name, images)
        if not image_size:
            return images
        return np.stack([resize(image, image_size, image_size) for image in images])

    return LazyArray.create(read, len(view))


def lazy_file_images(
    files: Sequence[Path], image_size: int, memory_limit: int | None, notes: Notes
) -> LazyArray | None:
    """Returns the images of files, or None if all of them are within the limit.

    Args:
        files: the files.
        image_size: resize images to this square; 0 requires images of one size.
        memory_limit: bytes of images; None is no limit.
        notes: takes note of files with several frames.

    Raises:
        DataError: if sizes differ, or a header cannot be read.
    """
    if memory_limit is None:
        return None
    height, width = (image_size,) * 2 if image_size else read_image(files[0]).shape[:2]
    if len(files) * height * width * 3 <= memory_limit:
        return None
    shapes = [read_shape(path, notes) for path in track(files, "Reading headers of images")]
    channels = max(shape[2] for shape in shapes)
    if len(files) * height * width * channels <= memory_limit:
        return None
    for path, shape in zip(files, shapes, strict=True):
        if not image_size and shape[:2] != (height, width):
            raise DataError(
                f"images differ in size: {files[0]} is {width} x {height} and {path} is "
                f"{shape[1]} x {shape[0]} (width x height); resize them with --data.image-size."
            )
    warnings.filterwarnings("ignore", module="PIL")  # the filters are not safe to change in threads

    def read(rows: np.ndarray) -> np.ndarray:
        images = stack(((str(files[i]), decode_image(files[i])) for i in rows), image_size)
        return np.broadcast_to(images, (*images.shape[:3], channels))

    return LazyArray.create(read, len(files))


def lazy_source_images(split: str, source: Any, image_size: int) -> LazyArray:
    """Returns the images of a data source of tensorflow-datasets.

    Args:
        split: name of the split in error messages.
        source: what ``builder.as_data_source`` returns.
        image_size: resize images to this square; 0 requires images of one size.
    """

    def read(rows: np.ndarray) -> np.ndarray:
        examples = source.__getitems__(rows.tolist())
        names = [f"{split} example {i}" for i in rows]
        pairs = zip(names, examples, strict=True)
        return stack(((name, check_bytes(name, x["image"])) for name, x in pairs), image_size)

    return LazyArray.create(read, len(source))
