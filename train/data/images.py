"""Images as arrays: read from files, converted from other arrays, stacked."""

import struct
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from train.data.dataset import DataError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes of image files; other files are ignored."""

_GREY = ("1", "L", "LA")
_DEEP = ("F", "I", "I;16", "I;16B", "I;16L", "I;16N")
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def read_image(path: Path) -> np.ndarray:
    """Reads an image file, applying its orientation and putting transparency on black.

    Args:
        path: a file that Pillow can read.

    Returns:
        uint8 ``(h, w, 1)`` or ``(h, w, 3)``.

    Raises:
        DataError: if it is damaged, not an image, or deeper than 8 bits.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            image.load()
    except _DAMAGED as error:
        raise DataError(
            f"{path} is damaged or not an image ({error}); replace or remove it."
        ) from error
    if image.mode in _DEEP:
        raise DataError(
            f"{path} has more than 8 bits a channel (mode {image.mode}); convert it to 8 bits."
        )
    grey = image.mode in _GREY
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def as_images(name: str, images: np.ndarray) -> np.ndarray:
    """Converts an array of images to uint8 ``(n, h, w, c)``.

    Args:
        name: name of the array in error messages.
        images: ``(n, h, w)`` or ``(n, h, w, c)``, uint8, or floats in [0, 1], which are rounded.

    Returns:
        uint8 ``(n, h, w, c)``.

    Raises:
        DataError: for another rank, dtype or range.
    """
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
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DataError(
            f"{name} is {images.dtype}; images must be uint8 or floats in [0, 1]. "
            "For values from 0 to 255: x.astype(np.uint8)."
        )
    if not np.isfinite(images).all():
        raise DataError(f"{name} holds NaN or infinite values; images must be in [0, 1].")
    if images.size and (images.min() < 0 or images.max() > 1):
        raise DataError(
            f"{name} holds values from {images.min():g} to {images.max():g}; floats must be in "
            "[0, 1]. Divide values from 0 to 255 by 255; shift and scale normalised ones back."
        )
    return np.round(images * 255).astype(np.uint8)


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
        image = resize(original, size) if size else original
        first = first or (name, image)
        if image.shape[:2] != first[1].shape[:2]:
            raise DataError(
                f"images differ in size: {first[0]} is {_format_size(first[1])} and {name} is "
                f"{_format_size(image)} (width x height); resize them with --data.image-size."
            )
        stacked.append(image)
    channels = max(image.shape[2] for image in stacked)
    return np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in stacked])


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes an image to a square, bilinearly and with anti-aliasing.

    Args:
        image: uint8 ``(h, w, c)``, 1 to 4 channels. The aspect ratio is not kept.
        size: width and height of the result.

    Returns:
        uint8 ``(size, size, c)``.
    """
    if image.shape[:2] == (size, size):
        return image
    channels = [
        np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR))
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack(channels, axis=-1)


def _format_size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
