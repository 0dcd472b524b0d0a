"""The paper's distortions of MNIST, drawn on the device inside jit, one key for each image.

Lengths in pixels are those of a 28-pixel digit and grow with the image:

    none  the image in the middle of the canvas
    R     rotation U(-90, 90) degrees
    RTS   rotation U(-45, 45) degrees, scale U(0.7, 1.2), random place on a canvas of 42
    P     scale U(0.75, 1), then each of the 4 corners moved by N(0, 5)
    E     scale U(0.75, 1), then 16 control points of a thin plate spline moved by N(0, 1.5)
    TC    random place on a canvas of 60, with six 6x6 patches of other images at random places

R, RTS, P and E are one grid from canvas to image, sampled once, bilinearly; outside the image is
black. "none" and TC move by whole pixels. All channels move alike.

Convention:
    A transform maps target (canvas) to source (image): it undoes, last things first, what is done
    to the image. Points are (x, y). Rotations are rotations in pixels, whatever the shapes.

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
"""Side of the digits that the paper's lengths refer to."""

CANVAS = {"none": 28, "R": 28, "RTS": 42, "P": 28, "E": 28, "TC": 60}
"""Each distortion's own canvas, for a digit of 28."""

PATCHES = 6
"""Number of patches of other images in TC, and the side of each, for a digit of 28."""

_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
_KNOTS = np.array([[x, y] for y in (-3, -1, 1, 3) for x in (-3, -1, 1, 3)], np.float32) / 3


def canvas_shape(kind: str, canvas: int, image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the height and width of distorted images.

    Args:
        kind: a key of `CANVAS`.
        canvas: height and width in pixels; 0 is the distortion's own, 28, 42 or 60 for an image
            of 28 and in proportion for others.
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
        raise ValueError(
            f"data.distortion={kind!r} is not known; choose one of {', '.join(CANVAS)}."
        )
    h, w = image_shape[:2]
    own = round(h * CANVAS[kind] / DIGIT), round(w * CANVAS[kind] / DIGIT)
    if canvas and canvas < max(h, w):
        raise ValueError(
            f"data.canvas={canvas} is smaller than the images, {w} x {h}; give --data.canvas 0 "
            f"for {own[1]} x {own[0]}, or smaller images with --data.image-size."
        )
    return (canvas, canvas) if canvas else own


def distort(
    key: Array,
    image: Float[Array, "h w c"],
    kind: str,
    canvas: int = 0,
    clutter: Float[Array, "m h w c"] | None = None,
) -> Float[Array, "H W c"]:
    """Distorts one image; pure, the key decides how.

    Args:
        key: a key of `jax.random`.
        image: ``(h, w, c)``, in [0, 1]; 0 is background.
        kind: a key of `CANVAS`.
        canvas: as in `canvas_shape`.
        clutter: for TC, other images ``(m, h, w, c)``; one patch is cut from each.

    Returns:
        ``(H, W, c)`` in [0, 1].

    Raises:
        ValueError: as `canvas_shape`, or for TC without clutter.
    """
    shape = canvas_shape(kind, canvas, image.shape)
    frame = _Frame(image.shape[:2], shape, image.dtype)
    if kind in _GRIDS:
        return stn.grid_sample(image, _GRIDS[kind](key, frame))
    empty = jnp.zeros((*shape, image.shape[2]), image.dtype)
    room = np.subtract(shape, image.shape[:2])
    if kind == "none":
        return lax.dynamic_update_slice(empty, image, (*(room // 2).tolist(), 0))
    if clutter is None:
        raise ValueError("clutter is None; the distortion TC needs other images, (m, h, w, c).")
    place, cut, scatter = random.split(key, 3)
    placed = lax.dynamic_update_slice(empty, image, (*_places(place, room), jnp.int32(0)))
    patch = round(PATCHES * image.shape[0] / DIGIT), round(PATCHES * image.shape[1] / DIGIT)
    return _scatter(scatter, placed, _cut(cut, clutter, patch))


def distorted_batch(
    key: Array,
    images: UInt8[Array, "n h w c"],
    indices: Int[Array, "b"],
    kind: str,
    canvas: int = 0,
) -> Float[Array, "b H W c"]:
    """Takes images by index and distorts each with a key of its own, ``fold_in(key, index)``.

    So how an image is distorted depends on the key and its index, not on the batch that it is in.

    Args:
        key: a key of `jax.random`, another one for each epoch.
        images: all images, on the device.
        indices: which of them.
        kind: a key of `CANVAS`.
        canvas: as in `canvas_shape`.

    Returns:
        float32 ``(b, H, W, c)`` in [0, 1].
    """

    def one(index: Array) -> Array:
        own, clutter = random.fold_in(key, index), None
        if kind == "TC":
            own, others = random.split(own)
            steps = 1 + _places(others, np.full(PATCHES, len(images) - 2)).astype(index.dtype)
            clutter = _unit(images[(index + steps) % len(images)])
        return distort(own, _unit(images[index]), kind, canvas, clutter)

    return jax.vmap(one)(indices)


def _unit(image: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]:
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
        """A pixel of a 28-pixel digit, in pixels of this image."""
        return self.image / DIGIT

    def grid(self, theta: Float[Array, "2 3"]) -> Float[Array, "H W 2"]:
        """Returns the grid of a matrix between pixels that are counted from the middle."""
        to_image, from_canvas = stn.scaling(2 / self.image), stn.scaling(self.canvas / 2)
        return stn.affine_grid(stn.compose(to_image, theta, from_canvas), self.shape)


def _rotated(key: Array, frame: _Frame) -> Float[Array, "H W 2"]:
    angle = random.uniform(key, (), frame.dtype, -np.pi / 2, np.pi / 2)
    return frame.grid(stn.rotation(angle))


def _rotated_translated_scaled(key: Array, frame: _Frame) -> Float[Array, "H W 2"]:
    """Undoes ``canvas = scale R(angle) image + shift``; the scaled square stays in the canvas."""
    turn, size, *place = random.uniform(key, (4,), frame.dtype, -1, 1)
    angle = turn * np.pi / 4
    scale = 0.95 + 0.25 * size
    room = jnp.maximum(frame.canvas - scale * frame.image, 0) / 2
    shift = room * jnp.stack(place)
    shrink = stn.scaling(jnp.stack([1 / scale, 1 / scale]))
    return frame.grid(stn.compose(shrink, stn.rotation(-angle), stn.translation(-shift)))


def _projected(key: Array, frame: _Frame) -> Float[Array, "H W 2"]:
    """The homography from where the corners have gone to where they were.

    One in 70 draws is no convex quadrilateral; no view of a square looks like that, and half of
    them would be empty images, so the first convex one of four draws is taken.
    """
    size, move = random.split(key)
    scale = random.uniform(size, (), frame.dtype, 0.75, 1)
    noise = random.normal(move, (4, *_CORNERS.shape), frame.dtype)
    draws = scale * _CORNERS * frame.image / 2 + 5 * frame.pixel * noise
    edges = jnp.roll(draws, -1, axis=1) - draws
    turns = jnp.cross(edges, jnp.roll(edges, -1, axis=1))
    corners = draws[jnp.argmax(jnp.all(turns > 0, axis=1))] * (2 / frame.canvas)
    theta = stn.homography_from_points(corners, _CORNERS)
    in_front = jnp.sign(theta[2, :2] @ corners[0] + theta[2, 2])
    return stn.projective_grid(theta * in_front, frame.shape)


def _bent(key: Array, frame: _Frame) -> Float[Array, "H W 2"]:
    """The spline bends the canvas around the 4 x 4 points; the scale is undone after it."""
    size, move = random.split(key)
    scale = random.uniform(size, (), frame.dtype, 0.75, 1)
    noise = random.normal(move, _KNOTS.shape, frame.dtype)
    offsets = 1.5 * frame.pixel * noise * (2 / frame.canvas)
    ratio = frame.canvas / frame.image

    # A spline is linear in its offsets. Its 16 unit responses are the same for every image, and
    # added up one by one, unlike in a matmul, they give the same bits in a batch of any size.
    units = jnp.eye(len(_KNOTS), dtype=frame.dtype)[..., None] * jnp.ones(2, frame.dtype)
    spline = functools.partial(
        stn.thin_plate_spline_grid, shape=frame.shape, control_points=_KNOTS / ratio
    )
    still = stn.identity_grid(frame.shape, dtype=frame.dtype)
    bend = still
    for response, offset in zip(spline(units) - still, offsets, strict=True):
        bend = bend + response * offset
    return bend * (ratio / scale)


_GRIDS: dict[str, Callable[[Array, _Frame], Array]] = {
    "R": _rotated,
    "RTS": _rotated_translated_scaled,
    "P": _projected,
    "E": _bent,
}
"""Distortions that are a grid from canvas to image, normalised."""


def _places(key: Array, room: np.ndarray) -> Int[Array, "*shape"]:
    """Draws integers from 0 to room, inclusive; one draw is half the work of `random.randint`."""
    draws = random.uniform(key, room.shape, jnp.float32)
    return jnp.floor(draws * (room + 1).astype(np.float32)).astype(jnp.int32)


def _cut(
    key: Array, images: Float[Array, "m h w c"], size: tuple[int, int]
) -> Float[Array, "m ph pw c"]:
    """Cuts a patch from each image, at a random place."""
    room = np.subtract(images.shape[1:3], size)

    def one(image: Array, corner: Array) -> Array:
        return lax.dynamic_slice(image, (*corner, jnp.int32(0)), (*size, image.shape[2]))

    return jax.vmap(one)(images, _places(key, np.tile(room, (len(images), 1))))


def _scatter(
    key: Array, image: Float[Array, "H W c"], patches: Float[Array, "m ph pw c"]
) -> Float[Array, "H W c"]:
    """Lays patches on an image at random places; the brighter pixel is seen."""
    m, *size, _ = patches.shape
    room = np.subtract(image.shape[:2], size)
    top, left = _places(key, np.tile(room, (m, 1))).T
    rows = top[:, None, None] + np.arange(size[0], dtype=np.int32)[:, None]
    columns = left[:, None, None] + np.arange(size[1], dtype=np.int32)
    return image.at[rows, columns].max(patches)
