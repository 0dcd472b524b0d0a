"""Volumes of images: an image is extruded, turned about three axes and moved in a cube."""

from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jaxtyping import Float

import stn_jax as stn
from train.checks import check
from train.data.distortions.base import Distortion, difficulty


@dataclass(frozen=True)
class Extruded:
    """The image, some voxels thick, turned and moved at random in a cube.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, appendix A.3.
    """

    side: int = 60
    """Side of the cube, in voxels of the image's pixels."""
    depth: int = 14
    """Thickness of the extruded image, in voxels."""
    degrees: float = 45.0
    """The angles about x, y and z are uniform in [-degrees, degrees]."""
    shift: float = 1.0
    """The shifts along x, y and z are uniform within this part of the room that there is: with 1
    the turned image just stays in the cube."""
    curriculum_steps: int = field(default=0, kw_only=True)
    """Steps over which angles and shifts grow from none to all of their ranges; 0 starts with all.
    """

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "distortion",
            positive=("side", "depth"),
            not_negative=("degrees", "shift", "curriculum_steps"),
        )

    def build(self, image_shape: tuple[int, ...]) -> Distortion:
        """Returns the distortion of images of a shape ``(h, w, c)`` to volumes ``(d, h, w, c)``.

        Raises:
            ValueError: for a cube smaller than the image or its thickness, or data of another rank.
        """
        if len(image_shape) != 3:
            raise ValueError(
                f"distortion: the images have shape {image_shape}; Extruded needs (h, w, c)."
            )
        height, width, channels = image_shape
        if self.side < max(height, width, self.depth):
            raise ValueError(
                f"distortion.side={self.side} is too small for images of {width} x {height}, "
                f"{self.depth} thick; give {max(height, width, self.depth)} or above."
            )

        def apply(key: Array, image: Array, others: Array, step: Array | None) -> Array:
            level = difficulty(step, self.curriculum_steps, image.dtype)
            return self.sample(image, self.matrix(key, (width, height), level))

        return Distortion((self.side,) * 3 + (channels,), apply)

    def matrix(
        self, key: Array, size: tuple[int, int], level: Array | float
    ) -> Float[Array, "3 4"]:
        """Draws the map from the cube to the image, both in voxels from their centres.

        Args:
            key: key of the image.
            size: width and height of the image.
            level: how much of the ranges is used, from 0 to 1.

        Returns:
            The inverse of ``cube = R image + shift``.
        """
        turns, moves = random.uniform(key, (2, 3), jnp.float32, -1, 1)
        angles = level * np.float32(np.deg2rad(self.degrees)) * turns
        turn = stn.compose(*(stn.rotation(a, axis=x) for a, x in zip(angles, "zyx", strict=True)))
        box = np.array([*size, self.depth], np.float32) / 2
        extent = jnp.sum(jnp.abs(turn[:, :3]) * box[None], axis=-1)  # of the turned image
        shift = level * self.shift * jnp.maximum(self.side / 2 - extent, 0) * moves
        return stn.compose(stn.invert(turn), stn.translation(-shift))

    def sample(self, image: Float[Array, "h w c"], theta: Float[Array, "3 4"]) -> Array:
        """Samples the extruded image, trilinearly with zeros around it.

        The extruded image is a product, of the image and a box along z; so is its trilinear
        interpolation. A bilinear sample of the image takes a fraction of the time.

        Args:
            image: the image.
            theta: from the cube to the image, in voxels from the centres.

        Returns:
            ``(side, side, side, c)``.
        """
        side, (height, width, channels) = self.side, image.shape
        half = np.full(3, side / 2, np.float32)
        points = stn.affine_grid(stn.compose(theta, stn.scaling(half)), (side,) * 3)
        size = np.array([width, height], np.float32)
        flat = points.reshape(side, side * side, 3)
        pixels = stn.grid_sample(image, flat[..., :2] * (2 / size)[None, None])
        box = jnp.clip((self.depth + 1) / 2 - jnp.abs(flat[..., 2:]), 0, 1)
        return (pixels * box).reshape(side, side, side, channels)
