"""The one coordinate convention: pixel lattice, normalised <-> pixel, for any number of axes.

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

ALIGN_CORNERS = False
"""The default of every ``align_corners`` argument in this library. Stated here and nowhere else."""


def coordinate_dtype(*arrays: ArrayLike) -> jnp.dtype:
    """Returns the precision of coordinates: float64 if any input has it, else float32.

    A bfloat16 normalised coordinate is off by 0.22 pixel at width 224, so low precision stops at
    the image's values and never reaches coordinates.
    """
    wide = any(jnp.result_type(a) == jnp.float64 for a in arrays)
    return jnp.dtype(jnp.float64 if wide else jnp.float32)


def normalized_to_pixel(
    coordinate: ArrayLike, size: int, *, align_corners: bool = ALIGN_CORNERS
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
        return (coordinate + 1) / 2 * (size - 1)
    return ((coordinate + 1) * size - 1) / 2


def pixel_to_normalized(
    coordinate: ArrayLike, size: int, *, align_corners: bool = ALIGN_CORNERS
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
    return _normalized(jnp.asarray(coordinate), size, align_corners)


def _normalized(coordinate: Any, size: int, align_corners: bool) -> Any:
    if align_corners:
        return 2 * coordinate / (size - 1) - 1 if size > 1 else 0 * coordinate
    return (2 * coordinate + 1) / size - 1


def pixel_pitch(size: int, *, align_corners: bool = ALIGN_CORNERS) -> float:
    """Returns the normalised distance between neighbouring pixels of one axis.

    ``2 / size``, or ``2 / (size - 1)`` with ``align_corners``, where an axis of one pixel has 0.

    Args:
        size: number of pixels of the axis.
        align_corners: see the module's convention.

    Example:
        >>> pixel_pitch(4), pixel_pitch(5, align_corners=True)
        (0.5, 0.5)
    """
    if align_corners:
        return 2 / (size - 1) if size > 1 else 0.0
    return 2 / size


def lattice(
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
        >>> lattice((1, 2)).tolist()
        [[[-0.5, 0.0], [0.5, 0.0]]]
    """
    lines = lattice_lines(shape, align_corners=align_corners, dtype=dtype)
    return jnp.stack([jnp.broadcast_to(line, tuple(shape)) for line in lines], axis=-1)


def lattice_lines(
    shape: Sequence[int],
    *,
    align_corners: bool = ALIGN_CORNERS,
    dtype: DTypeLike = jnp.float32,
) -> list[Float[Array, "..."]]:
    """Returns the lattice's coordinates along each axis, x first, in shapes that broadcast.

    Args:
        shape: spatial shape, ``(h, w)`` or ``(d, h, w)`` (any number of axes).
        align_corners: see the module's convention.
        dtype: floating dtype of the result.

    Returns:
        For an image x as ``(1, w)`` and y as ``(h, 1)``.

    Example:
        >>> [line.shape for line in lattice_lines((4, 5))]
        [(1, 5), (4, 1)]
    """
    lines = []
    for axis, size in reversed(list(enumerate(shape))):
        # Constants, rounded once: compiled, a division becomes a product and misses 1 by a step.
        line = _normalized(np.arange(size, dtype=np.float64), size, align_corners)
        broadcast = [size if k == axis else 1 for k in range(len(shape))]
        lines.append(jnp.asarray(line, dtype).reshape(broadcast))
    return lines


def pixels(
    grid: Float[Array, "*points n"], shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
) -> list[Array]:
    """Splits a normalised grid into pixel coordinates, one array an axis, in image order.

    Args:
        grid: normalised points ``(*points, n)``, last axis ``(x, y[, z])``.
        shape: spatial shape of the image that the points refer to.
        align_corners: see the module's convention.

    Returns:
        ``n`` arrays of shape ``points``: for an image, rows (y) first, then columns (x).

    Example:
        >>> rows, columns = pixels(lattice((2, 3)), (2, 3))
        >>> (columns.round(3) + 0.0)[0].tolist()
        [0.0, 1.0, 2.0]
    """
    return [
        normalized_to_pixel(x, size, align_corners=align_corners)
        for x, size in zip(by_axis(grid), shape, strict=True)
    ]


def by_axis(points: Float[Array, "*points n"]) -> list[Array]:
    """Splits points ``(x, y[, z])`` into one array an axis, in image order.

    Unstacked, for its transpose is a stack, of which a compiler takes the parts again without
    writing it down; that of indexing is a sum of padded arrays.
    """
    return list(jnp.unstack(points, axis=-1)[::-1])
