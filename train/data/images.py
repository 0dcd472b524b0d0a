"""Images as arrays: read from files, converted from other arrays, stacked."""

import contextlib
import math
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from train.data.bit_depth import find_bit_depth
from train.data.dataset import DataError
from train.data.listing import known_formats
from train.data.notes import Notes
from train.errors import shorten

MAX_PIXELS = 50_000_000
"""Pixels of an image. Decoded, oriented and put on black, a file takes 20 bytes for each."""

_GREY = ("1", "L", "LA", "La")

_BLOCK = 1 << 24  # values that are rounded at a time


def read_image(path: Path, notes: Notes | None = None) -> np.ndarray:
    """Reads an image file, applying its orientation and putting transparency on black.

    Args:
        path: a file that Pillow can read.
        notes: takes note of a file with several frames, of which the first is read.

    Returns:
        uint8 ``(h, w, 1)`` or ``(h, w, 3)``.

    Raises:
        DataError: if it is damaged, not an image, too large, or deeper than 8 bits.
    """
    with warnings.catch_warnings(action="ignore"):
        return decode_image(path, notes)


def decode_image(path: Path, notes: Notes | None = None) -> np.ndarray:
    """Reads an image file, as `read_image`; threads may call it, since it leaves warnings alone."""
    with _explain_damage(path), Image.open(path, formats=known_formats()) as file:
        _check_size(path, file)
        _check_depth(path, file)
        _note_frames(path, file, notes)
        image = ImageOps.exif_transpose(file)
        image.load()
        return _to_bytes(image)


def read_shape(path: Path, notes: Notes | None = None) -> tuple[int, int, int]:
    """Returns the shape ``(h, w, c)`` of what `read_image` returns, from the file's header."""
    with (
        warnings.catch_warnings(action="ignore"),
        _explain_damage(path),
        Image.open(path, formats=known_formats()) as file,
    ):
        _check_size(path, file)
        _check_depth(path, file)
        _note_frames(path, file, notes)
        turned = file.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        width, height = file.size[::-1] if turned else file.size
        return height, width, 1 if file.mode in _GREY else 3


@contextlib.contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # Pillow's plug-ins raise anything for damaged files
        raise DataError(
            f"{path} is damaged or not an image ({shorten(error)}); replace or remove it."
        ) from error


def _check_size(path: Path, file: Image.Image) -> None:
    width, height = file.size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{path} has {width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are read, so reduce "
            "or cut it."
        )


def _check_depth(path: Path, file: Image.Image) -> None:
    bits = find_bit_depth(path, file)
    if bits > 8:
        raise DataError(
            f"{path} has more than 8 bits a channel ({bits} bits, mode {file.mode}); convert it "
            "to 8 bits, so that white is 255."
        )


def _note_frames(path: Path, file: Image.Image, notes: Notes | None) -> None:
    if notes and getattr(file, "is_animated", False):
        notes.count("images have several frames, of which the first is read", path)


def _to_bytes(image: Image.Image) -> np.ndarray:
    grey = image.mode in _GREY
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def as_images(name: str, images: np.ndarray, notes: Notes | None = None) -> np.ndarray:
    """Converts an array of images to uint8 ``(n, h, w, c)``.

    Args:
        name: name of the array in error messages.
        images: ``(n, h, w)`` or ``(n, h, w, c)``, or ``(n, h * h)``, squares row by row; uint8, or
            floats in [0, 1], which are rounded.
        notes: takes note of squares.

    Returns:
        uint8 ``(n, h, w, c)``.

    Raises:
        DataError: for another rank, dtype or range; the cure that it names fits the array.
    """
    images = view_as_images(name, images, notes)
    if images.dtype != np.uint8:
        images = quantize(name, images)
    check_contrast(name, images)
    return images


def view_as_images(name: str, images: np.ndarray, notes: Notes | None = None) -> np.ndarray:
    """Returns a view ``(n, h, w, c)`` of an array of images, and checks its dtype.

    Raises:
        DataError: as `as_images`.
    """
    side = math.isqrt(images.shape[1]) if images.ndim == 2 else 0
    if images.ndim == 2 and side > 1 and side * side == images.shape[1]:
        if notes:
            notes.remark(f"{name} has shape {images.shape} and is read as {side} x {side} pixels")
        images = images.reshape(-1, side, side)
    if images.ndim not in (3, 4):
        raise DataError(
            f"{name} has shape {images.shape}; it must be (n, h, w) or (n, h, w, channels)."
        )
    if images.ndim == 3:
        images = images[..., None]
    elif images.shape[3] not in range(1, 5):
        hint = ""
        if images.shape[1] in range(1, 5):
            hint = ", so move the channels last: np.moveaxis(x, 1, -1)"
        raise DataError(
            f"{name} has shape {images.shape}; it must be (n, h, w, channels) with 1 to 4 "
            f"channels{hint}."
        )
    if math.prod(images.shape[1:3]) > MAX_PIXELS:
        raise DataError(
            f"{name} has images of {images.shape[2]:,} x {images.shape[1]:,} pixels; at most "
            f"{MAX_PIXELS:,} are read."
        )
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise DataError(
            f"{name} is {images.dtype}; images must be uint8 or floats in [0, 1]"
            f"{_cure_of_dtype(images)}."
        )
    return images


def quantize(name: str, images: np.ndarray) -> np.ndarray:
    """Rounds floats in [0, 1] to uint8.

    Raises:
        DataError: for another range.
    """
    rounded = np.zeros(images.shape, np.uint8)
    if not images.size:
        return rounded
    rows = max(1, _BLOCK // math.prod(images.shape[1:]))
    starts = range(0, len(images), rows)
    blocks = [images[start : start + rows] for start in starts]
    if not all(np.isfinite(block).all() for block in blocks):
        raise DataError(f"{name} holds NaN or infinite values; images must be in [0, 1].")
    low = min(float(block.min()) for block in blocks)
    high = max(float(block.max()) for block in blocks)
    if low < 0 or high > 1:
        raise DataError(
            f"{name} holds values from {low:g} to {high:g}; floats must be in [0, 1]. "
            f"{_cure_of_range(low, high)}."
        )
    for start, block in zip(starts, blocks, strict=True):
        rounded[start : start + rows] = np.round(block * 255)
    return rounded


def check_bytes(name: str, image: np.ndarray) -> np.ndarray:
    """Returns an image, which must be uint8.

    Raises:
        DataError: if it is not.
    """
    if image.dtype != np.uint8:
        raise DataError(f"{name} is {image.dtype}; images must be of 8 bits a channel (uint8).")
    return image


def check_contrast(name: str, images: np.ndarray) -> None:
    """Checks that bytes are not 0 and 1 only, where 1 probably means white.

    Raises:
        DataError: if 1 is the largest value.
    """
    if images.size and images.max() == 1:
        raise DataError(
            f"{name} holds nothing brighter than 1 of 255, which is black; if 1 is white, multiply "
            "by 255."
        )


def _cure_of_dtype(images: np.ndarray) -> str:
    """Returns the words that turn an array that is neither bytes nor floats into images."""
    if images.dtype.kind == "b":
        return ". If true is white: x.astype(np.uint8) * 255"
    if images.dtype.kind not in "iu" or not images.size:
        return ""
    low, high = int(images.min()), int(images.max())
    if low < 0:
        return f", and these are from {low} to {high}: shift and scale them to [0, 1]"
    if high <= 1:
        return ". If 1 is white: x.astype(np.uint8) * 255"
    if high <= 255:
        return ". For values from 0 to 255: x.astype(np.uint8)"
    white = (1 << high.bit_length()) - 1
    return f". For values up to {high}, divide by what white is, perhaps {white}: x / {white}"


def _cure_of_range(low: float, high: float) -> str:
    if low >= 0:
        return f"Divide {'values from 0 to 255 by 255' if high <= 255 else 'by what white is'}"
    if low >= -1 and high <= 1:
        return "For values from -1 to 1: (x + 1) / 2"
    return "Undo their normalisation: multiply by the deviation and add the mean"


def stack(images: Iterable[tuple[str, np.ndarray]], size: int = 0) -> np.ndarray:
    """Stacks images into one array; grey images become colour if any image is.

    Args:
        images: pairs of a name for error messages and a uint8 image ``(h, w, c)``; an iterator, so
            that large originals are not in memory together.
        size: resize each to ``(size, size)``; 0 keeps their sizes, which must then be equal.

    Returns:
        uint8 ``(n, h, w, c)``.

    Raises:
        DataError: if sizes differ and ``size`` is 0; the message names two images.
    """
    first: tuple[str, np.ndarray] | None = None
    stacked: list[np.ndarray] = []
    for name, original in images:
        image = resize(original, size, size) if size else original
        first = first or (name, image)
        if image.shape[:2] != first[1].shape[:2]:
            raise DataError(
                f"images differ in size: {first[0]} is {_format_size(first[1])} and {name} is "
                f"{_format_size(image)} (width x height); resize them with --data.image-size."
            )
        stacked.append(image)
    channels = max(image.shape[2] for image in stacked)
    return np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in stacked])


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes an image, bilinearly and with anti-aliasing.

    Args:
        image: uint8 ``(h, w, c)``, 1 to 4 channels. The aspect ratio is not kept.
        height: height of the result.
        width: width of the result.

    Returns:
        uint8 ``(height, width, c)``.
    """
    if image.shape[:2] == (height, width):
        return image
    channels = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR))
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack(channels, axis=-1)


def _format_size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
