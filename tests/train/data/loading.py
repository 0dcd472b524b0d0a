"""Helpers for tests of data: loading by name, errors in one line, files to load."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from train.data import DataError, Dataset, Images, load

WHOLE_MNIST = Path(__file__).parents[4] / "shared" / "data" / "mnist"
needs_mnist = pytest.mark.skipif(not WHOLE_MNIST.is_dir(), reason="the full MNIST is not available")


def read(name: str | Path, **fields: Any) -> Dataset:
    return load(Images(str(name), **fields))


def build(name: str | Path, **fields: Any) -> Any:
    return Images(str(name), **fields).build()


def refused(name: str | Path, **fields: Any) -> str:
    """Returns the error message for data that cannot be loaded, which must be one line."""
    with pytest.raises(DataError) as caught:
        read(name, **fields)
    message = str(caught.value)
    assert "\n" not in message
    return message


def arrays(**changes: Any) -> dict[str, Any]:
    """Returns arrays of 12 + 6 images of three classes; changes to None omit an array."""
    random = np.random.default_rng(0)
    fields = {
        "x_train": random.integers(0, 256, (12, 9, 7), np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": random.integers(0, 256, (6, 9, 7), np.uint8),
        "y_test": np.arange(6) % 3,
    }
    return {key: value for key, value in (fields | changes).items() if value is not None}


def write_images(
    folder: Path,
    count: int,
    *,
    mode: str = "L",
    size: tuple[int, int] = (7, 9),
    suffix: str = ".png",
    start: int = 0,
) -> Any:
    """Writes a different noise image to each file; returns the arrays by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for i in range(start, start + count):
        random = np.random.default_rng([i, *folder.name.encode()])
        channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
        pixels = random.integers(0, 256, (*size[::-1], *channels), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}{suffix}")
        written[f"{i:03}"] = pixels
    return written


def images_by_label(x: np.ndarray, y: np.ndarray, label: int) -> set[bytes]:
    return {image.tobytes() for image in x[y == label]}
