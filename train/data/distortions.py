"""The paper's distortions of MNIST, computed on the device inside jit, with one key for each image.

Lengths are pixels of a 28-pixel digit and scale with the image:

    none  the image in the middle of the canvas
    R     rotation U(-90, 90) degrees
    RTS   rotation U(-45, 45) degrees, scale U(0.7, 1.2), random place on a canvas of 42
    P     scale U(0.75, 1), then each of the 4 corners moved by N(0, 5)
    E     scale U(0.75, 1), then 16 control points of a thin plate spline moved by N(0, 1.5)
    TC    random place on a canvas of 60, with six 6x6 patches of other images at random places

R, RTS, P and E are one grid from canvas to image, sampled once, bilinearly, with zeros outside.
"none" and TC move images by whole pixels. All channels move together.

Convention:
    A transform maps target (canvas) to source (image), so it is the inverse of what is done to the
    image. Points are (x, y). Rotations are rotations in pixels, for images of any shape.

References:
    Jaderberg et al., "Spatial Transformer Networks", 2015, table 1 and appendix A.4.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax, random
from jaxtyping import Float, Int, UInt8

import stn_jax as stn

DIGIT = 28
"""Side of the paper's digits."""

CANVAS = {"none": 28, "R": 28, "RTS": 42, "P": 28, "E": 28, "TC": 60}
"""Default canvas of each distortion, for a digit of 28."""

PATCHES = 6
"""Number of patches of other images in TC, and their side for a digit of 28."""

_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
_KNOTS = np.array([[x, y] for y in (-3, -1, 1, 3) for x in (-3, -1, 1, 3)], np.float32) / 3


def canvas_shape(kind: str, canvas: int, image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the height and width of distorted images.

    Args:
        kind: a key of `CANVAS`.
        canvas: height and width in pixels; 0 is the default of the distortion: 28, 42 or 60 for an
            image of 28, and in proportion for others.
        image_shape: ``(h, w)`` or ``(h, w, c)``.

    Returns:
        ``(H, W)``.

    Raises:
        ValueError: for an unknown distortion or a canvas smaller than the image.

    Example:
        >>> canvas_shape("RTS", 0, (28, 28, 1)), canvas_shape("RTS", 0, (64, 32, 3))
        ((42, 42), (96, 48))
    """
    if kind not in CANVAS:
        raise ValueError(f"data.distortion={kind!r} is unknown; choose one of {', '.join(CANVAS)}.")
    h, w = image_shape[:2]
    default = round(h * CANVAS[kind] / DIGIT), round(w * CANVAS[kind] / DIGIT)
    if canvas and canvas < max(h, w):
        raise ValueError(
            f"data.canvas={canvas} is smaller than the images, {w} x {h}; give --data.canvas 0 "
            f"for {default[1]} x {default[0]}, or smaller images with --data.image-size."
        )
    return (canvas, canvas) if canvas else default


def distort(
    key: Array,
    image: Float[Array, "h w c"],
    kind: str,
    canvas: int = 0,
    clutter: Float[Array, "m h w c"] | None = None,
) -> Float[Array, "H W c"]:
    """Distorts one image; the same key gives the same distortion.

    Args:
        key: a key of `jax.random`.
        image: ``(h, w, c)``, in [0, 1]; 0 is background.
        kind: a key of `CANVAS`.
        canvas: as in `canvas_shape`.
        clutter: for TC, other images ``(m, h, w, c)``; one patch is cut from each.

    Returns:
        ``(H, W, c)`` in [0, 1].

    Raises:
        ValueError: as for `canvas_shape`, or for TC without clutter.
    """
    shape = canvas_shape(kind, canvas, image.shape)
    frame = _Frame(image.shape[:2], shape, image.dtype)
    if kind in _GRIDS:
        return stn.grid_sample(image, _GRIDS[kind](key, frame))
    black = jnp.zeros((*shape, image.shape[2]), image.dtype)
    room = np.subtract(shape, image.shape[:2])
    if kind == "none":
        return lax.dynamic_update_slice(black, image, (*(room // 2).tolist(), 0))
    if clutter is None:
        raise ValueError("clutter is None; the distortion TC needs other images, (m, h, w, c).")
    corner_key, cut_key, paste_key = random.split(key, 3)
    placed = lax.dynamic_update_slice(
        black, image, (*_draw_corners(corner_key, room), jnp.int32(0))
    )
    patch = round(PATCHES * image.shape[0] / DIGIT), round(PATCHES * image.shape[1] / DIGIT)
    return _paste_patches(paste_key, placed, _cut_patches(cut_key, clutter, patch))


def distorted_batch(
    key: Array,
    images: UInt8[Array, "n h w c"],
    indices: Int[Array, "b"],
    kind: str,
    canvas: int = 0,
) -> Float[Array, "b H W c"]:
    """Distorts the images of a batch, each with its own key ``fold_in(key, index)``.

    The distortion of an image depends on the key and its index, not on the rest of the batch.

    Args:
        key: a key of `jax.random`, a different one for each epoch.
        images: all images, on the device.
        indices: indices of the images of the batch.
        kind: a key of `CANVAS`.
        canvas: as in `canvas_shape`.

    Returns:
        float32 ``(b, H, W, c)`` in [0, 1].
    """

    def distort_index(index: Array) -> Array:
        image_key, clutter = random.fold_in(key, index), None
        if kind == "TC":
            image_key, clutter_key = random.split(image_key)
            steps = 1 + _draw_corners(clutter_key, np.full(PATCHES, len(images) - 2)).astype(
                index.dtype
            )
            clutter = _to_float(images[(index + steps) % len(images)])
        return distort(image_key, _to_float(images[index]), kind, canvas, clutter)

    return jax.vmap(distort_index)(indices)


def _to_float(image: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]:
    return image.astype(jnp.float32) / 255


@dataclass(frozen=True)
class _Frame:
    """Sizes of image and canvas; vectors are (x, y), in pixels."""

    image_shape: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: jnp.dtype

    @property
    def image(self) -> np.ndarray:
        return np.array(self.image_shape[::-1], self.dtype)

    @property
    def canvas(self) -> np.ndarray:
        return np.array(self.shape[::-1], self.dtype)

    @property
    def pixel(self) -> np.ndarray:
        """Size of a pixel of a 28-pixel digit, in pixels of this image."""
        return self.image / DIGIT

    def grid(self, theta: Float[Array, "2 3"]) -> Float[Array, "H W 2"]:
        """Returns the grid of a matrix from canvas to image, in pixels relative to the centres."""
        to_image, from_canvas = stn.scaling(2 / self.image), stn.scaling(self.canvas / 2)
        return stn.affine_grid(stn.compose(to_image, theta, from_canvas), self.shape)


def _rotation_grid(key: Array, frame: _Frame) -> Float[Array, "H W 2"]:
    angle = random.uniform(key, (), frame.dtype, -np.pi / 2, np.pi / 2)
    return frame.grid(stn.rotation(angle))


def _rts_grid(key: Array, frame: _Frame) -> Float[Array, "H W 2"]:
    """Inverts ``canvas = scale R(angle) image + shift``; the scaled square stays in the canvas."""
    turn, size, *position = random.uniform(key, (4,), frame.dtype, -1, 1)
    angle = turn * np.pi / 4
    scale = 0.95 + 0.25 * size
    room = jnp.maximum(frame.canvas - scale * frame.image, 0) / 2
    shift = room * jnp.stack(position)
    shrink = stn.scaling(jnp.stack([1 / scale, 1 / scale]))
    return frame.grid(stn.compose(shrink, stn.rotation(-angle), stn.translation(-shift)))


def _projection_grid(key: Array, frame: _Frame) -> Float[Array, "H W 2"]:
    """Returns the grid of the homography from the moved corners to the original ones.

    One in 70 draws is not a convex quadrilateral and so not a projection of a square; half of these
    would give empty images. Uses the first convex one of four draws.
    """
    size, move = random.split(key)
    scale = random.uniform(size, (), frame.dtype, 0.75, 1)
    noise = random.normal(move, (4, *_CORNERS.shape), frame.dtype)
    square = scale * (_CORNERS * frame.image / 2)
    draws = square[None] + 5 * frame.pixel[None, None] * noise
    edges = jnp.roll(draws, -1, axis=1) - draws
    turns = jnp.cross(edges, jnp.roll(edges, -1, axis=1))
    corners = draws[jnp.argmax(jnp.all(turns > 0, axis=1))] * (2 / frame.canvas)[None]
    theta = stn.homography_from_points(corners, _CORNERS)
    in_front = jnp.sign(theta[2, :2] @ corners[0] + theta[2, 2])
    return stn.projective_grid(theta * in_front, frame.shape)


def _elastic_grid(key: Array, frame: _Frame) -> Float[Array, "H W 2"]:
    """Bends the canvas with a spline of 4 x 4 control points, then inverts the scale."""
    size, move = random.split(key)
    scale = random.uniform(size, (), frame.dtype, 0.75, 1)
    noise = random.normal(move, _KNOTS.shape, frame.dtype)
    offsets = 1.5 * (frame.pixel * (2 / frame.canvas))[None] * noise
    ratio = frame.canvas / frame.image

    # A spline is linear in its offsets. The 16 unit responses are the same for every image; summing
    # them one by one, unlike a matmul, gives the same bits for every batch size.
    units = jnp.eye(len(_KNOTS), dtype=frame.dtype)[..., None] * jnp.ones((1, 1, 2), frame.dtype)
    spline = functools.partial(
        stn.thin_plate_spline_grid, shape=frame.shape, control_points=_KNOTS / ratio
    )
    identity = stn.identity_grid(frame.shape, dtype=frame.dtype)
    bend = identity
    for response, offset in zip(spline(units) - identity[None], offsets, strict=True):
        bend = bend + response * offset[None, None]
    return bend * (ratio / scale)[None, None]


_GRIDS: dict[str, Callable[[Array, _Frame], Array]] = {
    "R": _rotation_grid,
    "RTS": _rts_grid,
    "P": _projection_grid,
    "E": _elastic_grid,
}
"""Distortions given by a normalised grid from canvas to image."""


def _draw_corners(key: Array, room: np.ndarray) -> Int[Array, "*shape"]:
    """Draws integers from 0 to room, inclusive, at half the cost of `random.randint`."""
    draws = random.uniform(key, room.shape, jnp.float32)
    return jnp.floor(draws * (room + 1).astype(np.float32)).astype(jnp.int32)


def _cut_patches(
    key: Array, images: Float[Array, "m h w c"], size: tuple[int, int]
) -> Float[Array, "m ph pw c"]:
    """Cuts a patch at a random place from each image."""
    room = np.subtract(images.shape[1:3], size)

    def cut_patch(image: Array, corner: Array) -> Array:
        return lax.dynamic_slice(image, (*corner, jnp.int32(0)), (*size, image.shape[2]))

    return jax.vmap(cut_patch)(images, _draw_corners(key, np.tile(room, (len(images), 1))))


def _paste_patches(
    key: Array, image: Float[Array, "H W c"], patches: Float[Array, "m ph pw c"]
) -> Float[Array, "H W c"]:
    """Pastes patches at random places; where they overlap, the brighter pixel counts."""
    m, *size, _ = patches.shape
    room = np.subtract(image.shape[:2], size)
    top, left = _draw_corners(key, np.tile(room, (m, 1))).T
    rows = top[:, None, None] + np.arange(size[0], dtype=np.int32)[None, :, None]
    columns = left[:, None, None] + np.arange(size[1], dtype=np.int32)[None, None]
    return image.at[rows, columns].max(patches)
