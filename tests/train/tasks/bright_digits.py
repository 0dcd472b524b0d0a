"""Images whose brightness is their label, so that labels can be read off an example."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from train.data.dataset import DataSpec

LABELS = jnp.asarray(np.arange(40) % 10, jnp.int32)
DATA = {
    "images": jnp.broadcast_to((20 + 20 * LABELS)[:, None, None, None], (40, 6, 6, 1)).astype(
        jnp.uint8
    ),
    "labels": LABELS,
}


def make_spec(classes: int = 10, channels: int = 1) -> DataSpec:
    arrays: Any = {"images": ((6, 6, channels), "uint8"), "labels": ((), "int32")}
    names = [str(digit) for digit in range(classes)]
    return DataSpec("test", {"train": 40}, arrays, {"class_names": names}, "")


def read_labels(brightest: Any) -> np.ndarray:
    """Returns the labels of images by their largest values, in [0, 1]."""
    return np.round((np.asarray(brightest) * 255 - 20) / 20).astype(int)
