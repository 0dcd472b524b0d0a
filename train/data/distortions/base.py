"""What a distortion is: a pure function of a key and an image, and the shape of its result.

A distortion's config is a frozen dataclass whose ``build(image_shape)`` returns a `Distortion`.
Lengths are pixels of a 28-pixel digit and scale with the image.

Convention:
    A transform maps target (canvas) to source (image), so it is the inverse of what is done to the
    image. Points are (x, y). Rotations are rotations in pixels, for images of any shape.

References:
    Jaderberg et al., "Spatial Transformer Networks", 2015, table 1 and appendix A.4.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jaxtyping import Int

DIGIT = 28
"""Side of the paper's digits."""


class Distortion(NamedTuple):
    """A distortion of images of one shape.

    Attributes:
        shape: ``(H, W, c)`` of a distorted image.
        apply: ``(key, image, others, step) -> image``; images are floats in [0, 1], and the same
            key gives the same distortion. ``others`` are other images, ``(others, h, w, c)``;
            ``step`` is the number of steps taken so far in training, None in evaluation.
        others: how many other images it needs.
    """

    shape: tuple[int, ...]
    apply: Callable[[Array, Array, Array, Array | None], Array]
    others: int = 0


def canvas_shape(canvas: int, side: int, image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the height and width of distorted images.

    Args:
        canvas: height and width in pixels; 0 is in proportion to the image.
        side: side of the canvas of a 28-pixel digit.
        image_shape: ``(h, w)`` or ``(h, w, c)``.

    Returns:
        ``(H, W)``.

    Raises:
        ValueError: for a canvas smaller than the image.

    Example:
        >>> canvas_shape(0, 42, (28, 28, 1)), canvas_shape(0, 42, (64, 32, 3))
        ((42, 42), (96, 48))
    """
    h, w = image_shape[:2]
    default = round(h * side / DIGIT), round(w * side / DIGIT)
    if canvas and canvas < max(h, w):
        raise ValueError(
            f"distortion.canvas={canvas} is smaller than the images, {w} x {h}; give "
            f"--distortion.canvas 0 for {default[1]} x {default[0]}, or smaller images with "
            "--data.image-size."
        )
    return (canvas, canvas) if canvas else default


def difficulty(step: Array | None, curriculum_steps: int, dtype: jnp.dtype) -> Array | float:
    """Returns how much of its ranges a distortion uses: grows linearly from 0 to 1.

    Args:
        step: number of steps taken so far in training; None in evaluation, which uses all.
        curriculum_steps: the step from which on all is used; 0 uses all from the start.
        dtype: dtype of the result.
    """
    if step is None or not curriculum_steps:
        return 1.0
    return jnp.minimum(step.astype(dtype) / curriculum_steps, 1)


def draw_integers(key: Array, room: np.ndarray) -> Int[Array, "*shape"]:
    """Draws integers from 0 to room, inclusive, at half the cost of `random.randint`."""
    draws = random.uniform(key, room.shape, jnp.float32)
    return jnp.floor(draws * (room + 1).astype(np.float32)).astype(jnp.int32)
