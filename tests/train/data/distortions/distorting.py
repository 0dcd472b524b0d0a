"""Distortions by their names, of a batch and of one image; images whose motion can be measured."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from train.config import Classification
from train.config.names import NAMES
from train.data.batches import make_examples
from train.data.dataset import DataSpec
from train.data.distortions.base import Distortion

PARTS = NAMES["distortion"]
KINDS = tuple(kind for kind, part in PARTS.items() if hasattr(part, "canvas"))
"""Those that distort in evaluation too; augmentation has tests of its own."""
CANVAS = {"none": 28, "R": 28, "RTS": 42, "P": 28, "E": 28, "TC": 60, "perturbed": 28}
PATCHES = 6
COUNT = 400
KEYS = random.split(random.key(0), COUNT)


def build(kind: str, shape: Any, canvas: Any = 0) -> Distortion:
    """Returns the distortion of a name for images of a shape."""
    part: Any = dataclasses.replace(PARTS[kind], canvas=canvas)
    distortion: Distortion = part.build(tuple(shape))
    return distortion


@functools.partial(jax.jit, static_argnames=("kind", "canvas"))
def batch(key: jax.Array, images: jax.Array, indices: Any, kind: str, canvas: int = 0) -> Any:
    """Distorts images by their indices, as a training step does."""
    arrays = {"images": (images.shape[1:], "uint8"), "labels": ((), "int32")}
    spec = DataSpec("test", {"train": len(images)}, arrays, {"class_names": ["0", "1"]}, "")
    task = Classification().build(spec, dataclasses.replace(PARTS[kind], canvas=canvas))
    data = {"images": images, "labels": jnp.zeros(len(images), jnp.int32)}
    return make_examples(task, key, data, indices, None)[0]


@functools.partial(jax.jit, static_argnames=("kind", "canvas"))
def many(
    keys: jax.Array, image: jax.Array, kind: str, canvas: int = 0, others: jax.Array | None = None
) -> jax.Array:
    """Distorts one image once for each key."""
    distortion = build(kind, image.shape, canvas)
    others = image[None][:0] if others is None else others
    return jax.vmap(lambda key: distortion.apply(key, image, others, None))(keys)


def dot(shape: tuple[int, ...], position: Any, width: float = 1.5) -> jax.Array:
    """Returns an image ``(*shape, 1)`` with a Gaussian dot at (x, y), in pixels from the centre."""
    h, w = shape
    y, x = np.indices(shape) - np.array([h - 1, w - 1]).reshape(2, 1, 1) / 2
    image = np.exp(-((x - position[0]) ** 2 + (y - position[1]) ** 2) / (2 * width**2))
    return jnp.asarray(image[..., None], jnp.float32)


def centroids(images: Any) -> np.ndarray:
    """Returns the centres of mass (x, y) of images, in pixels from the centre."""
    images = np.asarray(images, np.float64)[..., 0]
    h, w = images.shape[-2:]
    mass = images.sum(axis=(-2, -1))
    x = (images.sum(axis=-2) * (np.arange(w) - (w - 1) / 2)).sum(axis=-1) / mass
    y = (images.sum(axis=-1) * (np.arange(h) - (h - 1) / 2)).sum(axis=-1) / mass
    return np.stack([x, y], axis=-1)
