"""Augmentation: small random movements in training, none in evaluation."""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from jax import Array, random
from jaxtyping import Float

import stn_jax as stn
from train.checks import check
from train.data.distortions.base import Distortion, difficulty
from train.data.distortions.grids import Frame, angle_and_scale, inverse_similarity


@dataclass(frozen=True)
class Augmentation:
    """A small random similarity and, where asked for, mirror images; nothing in evaluation."""

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

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "distortion",
            positive=("scale",),
            not_negative=("degrees", "translation", "curriculum_steps"),
        )

    def build(self, image_shape: tuple[int, ...]) -> Distortion:
        """Returns the distortion of images of a shape ``(h, w, c)``."""

        def apply(key: Array, image: Array, others: Array, step: Array | None) -> Array:
            if step is None:
                return image
            frame = Frame(image.shape[:2], image.shape[:2], image.dtype)
            level = difficulty(step, self.curriculum_steps, image.dtype)
            grid = frame.grid(self.matrix(key, frame, level))
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
