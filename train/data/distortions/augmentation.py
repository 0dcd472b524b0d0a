"""Augmentation: small random movements in training, none in evaluation.

`Augmentation` moves and bends an image; `Augmented` does so before another distortion.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jaxtyping import Float

import stn_jax as stn
from stn_jax.sampling.platforms import materialize_input
from train.checks import check
from train.data.distortions.base import Distortion, difficulty
from train.data.distortions.grids import RTS, Frame, angle_and_scale, inverse_similarity


@dataclass(frozen=True)
class Augmentation:
    """A small random similarity and, where asked for, bending and mirror images.

    Images of evaluation stay as they are. Bending is a free-form deformation: a cubic B-spline
    whose control points are moved by N(0, sigma).

    References:
        Simard et al., "Best practices for convolutional neural networks", 2003.
        Rueckert et al., "Nonrigid registration using free-form deformations", 1999.
    """

    degrees: float = 10.0
    """The angle is uniform in [-degrees, degrees]."""
    scale: tuple[float, float] = (0.9, 1.1)
    """The scale is uniform between these."""
    translation: float = 0.1
    """The shift along each axis is uniform within this fraction of the image's side."""
    flip: bool = False
    """Whether half of the images are mirrored, left to right."""
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros"
    """What is seen outside the image; "border" or "reflection" suits photographs."""
    curriculum_steps: int = 0
    """Steps over which the ranges grow from none to all; 0 starts with all."""
    sigma: float = field(default=0.0, kw_only=True)
    """Standard deviation of each control point's shift, in pixels of a digit of 28; 0 bends
    nothing."""
    cells: int = field(default=4, kw_only=True)
    """Number of cells of the control points' lattice along each axis."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "distortion",
            positive=("scale", "cells"),
            not_negative=("degrees", "translation", "curriculum_steps", "sigma"),
        )

    def build(self, image_shape: tuple[int, ...]) -> Distortion:
        """Returns the distortion of images of a shape ``(h, w, c)``."""

        def apply(key: Array, image: Array, others: Array, step: Array | None) -> Array:
            if step is None:
                return image
            frame = Frame(image.shape[:2], image.shape[:2], image.dtype)
            level = difficulty(step, self.curriculum_steps, image.dtype)
            grid = frame.grid(self.matrix(key, frame, level))
            if self.sigma:
                bending = self.bending(random.fold_in(key, 1), frame)
                grid = materialize_input(grid + level * bending)
            return stn.grid_sample(image, grid, padding_mode=self.padding_mode)

        return Distortion(tuple(image_shape), apply)

    def matrix(self, key: Array, frame: Frame, level: Array | float) -> Float[Array, "2 3"]:
        """Draws a matrix from target to source: the inverse of ``scale R(angle) image + shift``."""
        move, mirror = random.split(key)
        turn, size, *shift = random.uniform(move, (4,), frame.dtype, -1, 1)
        angle, scale = angle_and_scale(turn, size, self.degrees, self.scale, level)
        offset = level * self.translation * frame.image * jnp.stack(shift)
        theta = inverse_similarity(angle, scale, offset)
        if not self.flip:
            return theta
        sign = jnp.where(random.bernoulli(mirror), -1, 1).astype(frame.dtype)
        return stn.compose(stn.scaling(jnp.stack([sign, jnp.ones_like(sign)])), theta)

    def bending(self, key: Array, frame: Frame) -> Float[Array, "h w 2"]:
        """Draws the shift of each point, in normalised units."""
        x, y = (
            jnp.asarray(spline_weights(self.cells, size), frame.dtype) for size in frame.shape[::-1]
        )
        unit = self.sigma * frame.pixel * (2 / frame.image)
        drawn = random.normal(key, (len(y), len(x), 2), frame.dtype)
        # Sums of products, unlike a matmul, have the same bits for every batch size.
        points = materialize_input(jnp.asarray(unit)[None, None] * drawn)
        rows = jnp.zeros((frame.shape[0], len(x), 2), frame.dtype)
        for weights, row in zip(y, points, strict=True):
            rows += weights[:, None, None] * row[None]
        rows = materialize_input(rows)
        shifts = jnp.zeros((*frame.shape, 2), frame.dtype)
        for weights, column in zip(x, jnp.moveaxis(rows, 1, 0), strict=True):
            shifts += weights[None, :, None] * column[:, None]
        return shifts


def spline_weights(cells: int, size: int) -> Float[np.ndarray, "k size"]:
    """Returns the weight of each control point of a cubic B-spline at the centre of each pixel.

    Args:
        cells: number of cells between the edges of the image; it has ``cells + 3`` control points.
        size: number of pixels.

    Example:
        >>> spline_weights(4, 28).shape, bool(np.allclose(spline_weights(4, 28).sum(axis=0), 1))
        ((7, 28), True)
    """
    position = (np.arange(size) + 0.5) * (cells / size)
    distance = np.abs(position[None] - np.arange(-1, cells + 2)[:, None])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    weights: np.ndarray = np.where(distance < 1, near, far)
    return weights


@dataclass(frozen=True)
class Augmented:
    """Another distortion, of images that are augmented first, in training alone."""

    distortion: Any = RTS()  # noqa: RUF009
    """The distortion of both training and evaluation."""
    augmentation: Augmentation = Augmentation(degrees=0.0, scale=(1.0, 1.0), translation=0.0)
    """What training images undergo before."""

    def build(self, image_shape: tuple[int, ...]) -> Distortion:
        """Returns the distortion of images of a shape ``(h, w, c)``."""
        augmentation = self.augmentation.build(image_shape)
        distortion: Distortion = self.distortion.build(augmentation.shape)

        def apply(key: Array, image: Array, others: Array, step: Array | None) -> Array:
            if step is not None:
                image = augmentation.apply(random.fold_in(key, 2), image, others[:0], step)
                image = materialize_input(image)  # not once for each tap of the distortion
            return distortion.apply(key, image, others, step)

        return Distortion(distortion.shape, apply, distortion.others)
