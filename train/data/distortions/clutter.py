"""Distortions by whole pixels: none, and a random place among patches of other images (TC)."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax, random
from jaxtyping import Float

from train.checks import check
from train.data.distortions.base import (
    DIGIT,
    Distortion,
    canvas_shape,
    difficulty,
    draw_integers,
)


@dataclass(frozen=True)
class NoDistortion:
    """The image as it is, in the middle of the canvas."""

    canvas: int = 0
    """Side of the canvas in pixels; 0 is the image's own."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "distortion", not_negative=("canvas",))

    def build(self, image_shape: tuple[int, ...]) -> Distortion:
        """Returns the distortion of images of a shape ``(h, w, c)``."""
        shape = canvas_shape(self.canvas, DIGIT, image_shape)
        corner = [room // 2 for room in np.subtract(shape, image_shape[:2]).tolist()]

        def apply(key: Array, image: Array, others: Array, step: Array | None) -> Array:
            black = jnp.zeros((*shape, image.shape[2]), image.dtype)
            return lax.dynamic_update_slice(black, image, (*corner, 0))

        return Distortion((*shape, *image_shape[2:]), apply)


@dataclass(frozen=True)
class Cluttered:
    """TC: a random place on the canvas, with patches of other images at random places."""

    canvas: int = 0
    """Side of the canvas in pixels; 0 is in proportion to the image, 60 for a digit of 28."""
    patches: int = 6
    """Number of patches, each cut from another image."""
    patch_size: int = 6
    """Side of a patch, for a digit of 28."""
    curriculum_steps: int = field(default=0, kw_only=True)
    """Steps over which places spread from the middle and patches are added; 0 starts with all."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "distortion",
            positive=("patch_size",),
            not_negative=("canvas", "patches", "curriculum_steps"),
        )

    def build(self, image_shape: tuple[int, ...]) -> Distortion:
        """Returns the distortion of images of a shape ``(h, w, c)``."""
        shape = canvas_shape(self.canvas, 60, image_shape)
        room = np.subtract(shape, image_shape[:2])
        patch_shape = [round(self.patch_size * side / DIGIT) for side in image_shape[:2]]

        def apply(key: Array, image: Array, others: Array, step: Array | None) -> Array:
            black = jnp.zeros((*shape, image.shape[2]), image.dtype)
            corner_key, cut_key, paste_key = random.split(key, 3)
            level = difficulty(step, self.curriculum_steps, image.dtype)
            drawn = draw_integers(corner_key, room).astype(image.dtype)
            middle = (room / 2).astype(image.dtype)
            corner = jnp.floor(middle + level * (drawn - middle)).astype(jnp.int32)
            placed = lax.dynamic_update_slice(black, image, (*corner, jnp.int32(0)))
            patches = cut_patches(cut_key, others, patch_shape)
            shown = np.arange(self.patches, dtype=image.dtype) < level * self.patches
            patches = jnp.where(shown[:, None, None, None], patches, 0)
            return paste_patches(paste_key, placed, patches)

        return Distortion((*shape, *image_shape[2:]), apply, others=self.patches)


def cut_patches(
    key: Array, images: Float[Array, "m h w c"], size: list[int]
) -> Float[Array, "m ph pw c"]:
    """Cuts a patch at a random place from each image."""
    room = np.subtract(images.shape[1:3], size)

    def cut_patch(image: Array, corner: Array) -> Array:
        return lax.dynamic_slice(image, (*corner, jnp.int32(0)), (*size, image.shape[2]))

    return jax.vmap(cut_patch)(images, draw_integers(key, np.tile(room, (len(images), 1))))


def paste_patches(
    key: Array, image: Float[Array, "H W c"], patches: Float[Array, "m ph pw c"]
) -> Float[Array, "H W c"]:
    """Pastes patches at random places; where they overlap, the brighter pixel counts."""
    m, *size, _ = patches.shape
    room = np.subtract(image.shape[:2], size)
    top, left = draw_integers(key, np.tile(room, (m, 1))).T
    rows = top[:, None, None] + np.arange(size[0], dtype=np.int32)[None, :, None]
    columns = left[:, None, None] + np.arange(size[1], dtype=np.int32)[None, None]
    return image.at[rows, columns].max(patches)
