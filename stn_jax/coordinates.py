"""The one coordinate convention: identity grid, normalised <-> pixel, for any number of axes.

Convention:
    A point is ordered ``(x, y)`` or ``(x, y, z)``: x runs along width, y along height, z along
    depth, so a point's axes are an image's spatial axes in reverse. With ``align_corners=False``
    -1 and 1 are the outer *edges* of the border pixels; with ``align_corners=True`` they are the
    *centres* of the border pixels, and an axis of length 1 has coordinate 0.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from stn_jax._jit import jit

ALIGN_CORNERS = False
"""The default of every ``align_corners`` argument in this library. Stated here and nowhere else."""


def coordinate_dtype(*arrays: ArrayLike) -> jnp.dtype:
    """Returns the precision of coordinates: float64 if any input has it, else float32.

    A bfloat16 normalised coordinate is off by 0.22 pixel at width 224, so low precision stops at
    the image's values and never reaches coordinates.
    """
    is_double = any(jnp.result_type(a) == jnp.float64 for a in arrays)
    return np.dtype(np.float64 if is_double else np.float32)


def normalized_to_pixel(
    coordinate: ArrayLike, size: Any, *, align_corners: bool = ALIGN_CORNERS
) -> Array:
    """Maps normalised coordinates of one axis to pixel coordinates (centre of pixel i = i).

    ``((c + 1) * size - 1) / 2``, or ``(c + 1) / 2 * (size - 1)`` with ``align_corners``.

    Args:
        coordinate: normalised coordinates, any shape.
        size: number of pixels of the axis.
        align_corners: see the module's convention.

    Returns:
        Pixel coordinates, shape of ``coordinate``.

    Example:
        >>> normalized_to_pixel(jnp.array([-1.0, 0.0, 1.0]), 4)
        Array([-0.5,  1.5,  3.5], dtype=float32)
        >>> normalized_to_pixel(jnp.array([-1.0, 0.0, 1.0]), 4, align_corners=True)
        Array([0. , 1.5, 3. ], dtype=float32)
    """
    coordinate = jnp.asarray(coordinate)
    if align_corners:
        pixel = (coordinate + 1) / 2 * number_like(size - 1, coordinate)
        if isinstance(size, int) and size > 1:
            return pixel
        # Every coordinate of an axis of one pixel is its centre: inf too, where the product is NaN.
        return jnp.where(jnp.isinf(coordinate) & (size == 1), 0, pixel)
    return ((coordinate + 1) * number_like(size, coordinate) - 1) / 2


def pixel_to_normalized(
    coordinate: ArrayLike, size: Any, *, align_corners: bool = ALIGN_CORNERS
) -> Array:
    """Maps pixel coordinates of one axis to normalised ones; the inverse of `normalized_to_pixel`.

    Args:
        coordinate: pixel coordinates, any shape.
        size: number of pixels of the axis. With ``align_corners`` an axis of one pixel maps to 0.
        align_corners: see the module's convention.

    Returns:
        Normalised coordinates, shape of ``coordinate``.

    Example:
        >>> pixel_to_normalized(jnp.array([0.0, 3.0]), 4)
        Array([-0.75,  0.75], dtype=float32)
    """
    normalized: Array = _normalized(jnp.asarray(coordinate), size, align_corners)
    return normalized


def _normalized(coordinate: Any, size: Any, align_corners: bool) -> Any:
    if not align_corners:
        return (2 * coordinate + 1) / number_like(size, coordinate) - 1
    if not isinstance(size, int):
        gaps = number_like(size - 1, coordinate)
        spread = 2 * coordinate / jnp.maximum(gaps, 1) - 1
        return jnp.where(gaps > 0, spread, 0 * coordinate)
    return 2 * coordinate / (size - 1) - 1 if size > 1 else 0 * coordinate


def number_like(size: Any, array: Array | np.ndarray) -> int | Array:
    """A size as a factor of coordinates; that of an exported program may be a symbol."""
    return size if isinstance(size, int) else jnp.asarray(size).astype(array.dtype)


def pixel_pitch(size: Any, *, align_corners: bool = ALIGN_CORNERS) -> Any:
    """Returns the normalised distance between neighbouring pixels of one axis.

    ``2 / size``, or ``2 / (size - 1)`` with ``align_corners``, where an axis of one pixel has 0.

    Args:
        size: number of pixels of the axis.
        align_corners: see the module's convention.

    Example:
        >>> pixel_pitch(4), pixel_pitch(5, align_corners=True)
        (0.5, 0.5)
    """
    if not isinstance(size, int):
        gaps = jnp.asarray(size - 1 if align_corners else size).astype(jnp.float32)
        return jnp.where(gaps > 0, 2 / jnp.maximum(gaps, 1), 0)
    if align_corners:
        return 2 / (size - 1) if size > 1 else 0.0
    return 2 / size


def identity_grid(
    shape: Sequence[int],
    *,
    align_corners: bool = ALIGN_CORNERS,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "*shape n"]:
    """Returns the normalised coordinates of every pixel centre of an image: the identity grid.

    Args:
        shape: spatial shape, ``(h, w)`` or ``(d, h, w)`` (any number of axes).
        align_corners: see the module's convention.
        dtype: floating dtype of the result.

    Returns:
        Grid ``(*shape, n)``, last axis ``(x, y[, z])``.

    Example:
        >>> identity_grid((1, 2)).tolist()
        [[[-0.5, 0.0], [0.5, 0.0]]]
    """
    return _identity_grid(tuple(shape), bool(align_corners), jnp.dtype(dtype))


@jit(static_argnums=(0, 1, 2))  # so that an eager call transfers nothing
def _identity_grid(shape: tuple[Any, ...], align_corners: bool, dtype: jnp.dtype) -> Array:
    axes = open_grid(shape, align_corners=align_corners, dtype=dtype)
    return jnp.stack([jnp.broadcast_to(axis, shape) for axis in axes], axis=-1)


def open_grid(
    shape: Sequence[Any],
    *,
    align_corners: bool = ALIGN_CORNERS,
    dtype: DTypeLike = jnp.float32,
) -> list[Float[Array, "..."]]:
    """Returns the identity grid's coordinates along each axis, x first; they broadcast.

    To `identity_grid` as `numpy.ogrid` to `numpy.mgrid`.

    Args:
        shape: spatial shape, ``(h, w)`` or ``(d, h, w)`` (any number of axes).
        align_corners: see the module's convention.
        dtype: floating dtype of the result.

    Returns:
        For an image x as ``(1, w)`` and y as ``(h, 1)``.

    Example:
        >>> [axis.shape for axis in open_grid((4, 5))]
        [(1, 5), (4, 1)]
    """
    axes = []
    for axis, size in reversed(list(enumerate(shape))):
        # Constants, rounded once: compiled, a division becomes a product and misses 1 by a step.
        pixels = np.arange(size, dtype=np.float64) if isinstance(size, int) else jnp.arange(size)
        if not isinstance(size, int):  # a symbolic size of an exported program
            pixels = pixels.astype(dtype)
        line = _normalized(pixels, size, align_corners)
        broadcast = [size if k == axis else 1 for k in range(len(shape))]
        axes.append(jnp.asarray(line, dtype).reshape(broadcast))
    return axes


def denormalize_grid(
    grid: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
) -> Float[Array, "*points n"]:
    """Turns a normalised grid into pixel coordinates, as `stn_jax.sample_pixels` takes them.

    Args:
        grid: normalised points ``(*points, n)``, last axis ``(x, y[, z])``.
        shape: spatial shape of the image that the points refer to, ``(h, w)`` or ``(d, h, w)``.
        align_corners: see the module's convention.

    Returns:
        Pixel coordinates ``(*points, n)``, (x, y[, z]); float32 (float64 for a float64 grid).

    Raises:
        ValueError: if the grid's last axis and the shape have different numbers of axes.

    Example:
        >>> (denormalize_grid(identity_grid((2, 3)), (2, 3)).round(3) + 0.0)[1].tolist()
        [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]
    """
    return _convert_grid("grid", grid, shape, normalized_to_pixel, align_corners)


def normalize_grid(
    points: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
) -> Float[Array, "*points n"]:
    """Turns pixel coordinates into a normalised grid; the inverse of `denormalize_grid`.

    Args:
        points: pixel coordinates ``(*points, n)``, last axis ``(x, y[, z])``.
        shape: spatial shape of the image that the points refer to, ``(h, w)`` or ``(d, h, w)``.
        align_corners: see the module's convention.

    Returns:
        Normalised points ``(*points, n)``; float32 (float64 for float64 points).

    Raises:
        ValueError: if the points' last axis and the shape have different numbers of axes.

    Example:
        >>> normalize_grid(jnp.array([[0.0, 0.0], [1.5, 0.5]]), (2, 4)).tolist()
        [[-0.75, -0.5], [0.0, 0.0]]
    """
    return _convert_grid("points", points, shape, pixel_to_normalized, align_corners)


def _convert_grid(
    name: str, grid: ArrayLike, shape: Sequence[Any], convert: Any, align_corners: bool
) -> Array:
    grid = jnp.asarray(grid)
    if not grid.ndim or grid.shape[-1] != len(tuple(shape)):
        raise ValueError(
            f"{name} has shape {grid.shape}; its last axis must hold {len(tuple(shape))} "
            f"coordinates, (x, y) for images or (x, y, z) for volumes, as shape={tuple(shape)} has."
        )
    axes = jnp.unstack(grid.astype(coordinate_dtype(grid)), axis=-1)
    sizes = reversed(tuple(shape))
    return jnp.stack(
        [
            convert(x, size, align_corners=align_corners)
            for x, size in zip(axes, sizes, strict=True)
        ],
        axis=-1,
    )
