"""Affine matrices from what people think in: rotation, scale, shear, translation, crop.

A matrix ``theta`` is ``(*batch, n, n + 1)``, rows and columns in the order x, y[, z], and maps
target to source: it says where each output point is *read*. Scaling by 2 therefore shrinks what
is seen. Matrices compose like functions: ``compose(a, b)`` applies b first. Where it says so, a
homography ``(*batch, n + 1, n + 1)`` serves too.

Convention:
    Coordinates are normalised and points are (x, y[, z]), with y downwards, so that a positive
    angle turns from x towards y, clockwise on the screen. On an image that is not square a
    normalised rotation shears; `normalize_matrix` of a pixel matrix does not.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax.coordinates import ALIGN_CORNERS, pixel_pitch, pixel_to_normalized

_PLANES = {"z": (0, 1), "x": (1, 2), "y": (2, 0)}  # the plane that turns about each axis


def rotation(angle: ArrayLike, *, axis: str | None = None) -> Float[Array, "*b n n_plus_1"]:
    """Returns the matrix of a rotation about the centre.

    ``[[cos a, -sin a, 0], [sin a, cos a, 0]]`` in the plane that turns.

    Args:
        angle: radians, ``(*batch)``.
        axis: None for images; ``"x"``, ``"y"`` or ``"z"`` for a rotation of volumes about it.

    Returns:
        ``(*batch, 2, 3)`` or ``(*batch, 3, 4)``.

    Example:
        >>> rotation(jnp.pi / 2).round(3) + 0.0
        Array([[ 0., -1.,  0.],
               [ 1.,  0.,  0.]], dtype=float32)
    """
    if axis is not None and axis not in _PLANES:
        raise ValueError(f"axis={axis!r} is not known; choose 'x', 'y', 'z', or None for images.")
    angle = _floating(angle)
    n = 2 if axis is None else 3
    i, j = _PLANES["z" if axis is None else axis]
    theta = jnp.broadcast_to(jnp.eye(n, n + 1, dtype=angle.dtype), (*angle.shape, n, n + 1))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    theta = theta.at[..., i, i].set(cos).at[..., j, j].set(cos)
    return theta.at[..., i, j].set(-sin).at[..., j, i].set(sin)


def scaling(scale: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
    """Returns the matrix that scales each axis; above 1 more of the source is seen.

    Args:
        scale: ``(*batch, n)``, factors along x, y[, z].

    Returns:
        ``(*batch, n, n + 1)``.

    Example:
        >>> scaling(jnp.array([2.0, 1.0])).tolist()
        [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    scale = _vector("scale", scale)
    n = scale.shape[-1]
    return jnp.eye(n, n + 1, dtype=scale.dtype) * scale[..., None]


def translation(offset: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
    """Returns the matrix that reads ``offset`` further on; the picture moves against it.

    Args:
        offset: ``(*batch, n)``, normalised units along x, y[, z].

    Returns:
        ``(*batch, n, n + 1)``.

    Example:
        >>> translation(jnp.array([0.5, 0.0])).tolist()
        [[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]
    """
    offset = _vector("offset", offset)
    n = offset.shape[-1]
    eye = jnp.broadcast_to(jnp.eye(n, dtype=offset.dtype), (*offset.shape[:-1], n, n))
    return jnp.concatenate([eye, offset[..., None]], axis=-1)


def shear(amount: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
    """Returns the matrix of a shear: unit diagonal and the given entries off it, row by row.

    Args:
        amount: ``(*batch, n (n - 1))``: 2-D ``(xy, yx)``, 3-D ``(xy, xz, yx, yz, zx, zy)``, where
            ``xy`` is how much x grows with y.

    Returns:
        ``(*batch, n, n + 1)``.

    Example:
        >>> shear(jnp.array([0.5, 0.0])).tolist()
        [[1.0, 0.5, 0.0], [0.0, 1.0, 0.0]]
    """
    amount = _floating(amount)
    n = {2: 2, 6: 3}.get(amount.shape[-1] if amount.ndim else 0)
    if n is None:
        raise ValueError(
            f"amount has shape {amount.shape}; its last axis must be 2 (xy, yx) for images or 6 "
            "(xy, xz, yx, yz, zx, zy) for volumes."
        )
    theta = jnp.broadcast_to(jnp.eye(n, n + 1, dtype=amount.dtype), (*amount.shape[:-1], n, n + 1))
    places = [(i, j) for i in range(n) for j in range(n) if i != j]
    for k, (i, j) in enumerate(places):
        theta = theta.at[..., i, j].set(amount[..., k])
    return theta


def crop(box: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
    """Returns the matrix that reads a box: output edges -1 and 1 land on the box's edges.

    Args:
        box: ``(*batch, 2 n)``, the box's lowest corner then its highest, ``(x0, y0, x1, y1)`` or
            ``(x0, y0, z0, x1, y1, z1)``, normalised.

    Returns:
        ``(*batch, n, n + 1)``.

    Example:
        >>> crop(jnp.array([0.0, 0.0, 1.0, 1.0])).tolist()
        [[0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    """
    box = _floating(box)
    if not box.ndim or box.shape[-1] not in (4, 6):
        raise ValueError(
            f"box has shape {box.shape}; its last axis must be (x0, y0, x1, y1) or "
            "(x0, y0, z0, x1, y1, z1)."
        )
    low, high = jnp.split(box, 2, axis=-1)
    return compose(translation((low + high) / 2), scaling((high - low) / 2))


def compose(first: ArrayLike, *others: ArrayLike) -> Float[Array, "*b r n_plus_1"]:
    """Returns the matrix of matrices applied one after the other, the last one first.

    ``compose(a, b)(x) = a(b(x))``. Batch axes broadcast.

    Args:
        first: ``(*batch, n, n + 1)``, or a homography ``(*batch, n + 1, n + 1)``.
        *others: more of the same n, of either kind.

    Returns:
        ``(*batch, n, n + 1)`` if all are affine, else ``(*batch, n + 1, n + 1)``.

    Raises:
        ValueError: if one is 2-D and another 3-D, or is no matrix of either kind.

    Example:
        >>> step = translation(jnp.array([1.0, 0.0]))
        >>> compose(scaling(jnp.array([2.0, 2.0])), step)[0].tolist()
        [2.0, 0.0, 2.0]
    """
    theta = _matrix("first", first)
    for other in others:
        a, b = theta, _matrix("others", other)
        if a.shape[-1] != b.shape[-1]:
            raise ValueError(
                f"matrices {a.shape} and {b.shape} do not compose: one is 2-D and one is 3-D."
            )
        if _is_square(b):
            a = _homogeneous(a)
        theta = jnp.matmul(a, _homogeneous(b), precision="highest")
    return theta


def invert(theta: ArrayLike) -> Float[Array, "*b r n_plus_1"]:
    """Returns the matrix of the inverse map: ``[A | t]`` becomes ``[A^-1 | -A^-1 t]``.

    Args:
        theta: ``(*batch, n, n + 1)``, or a homography ``(*batch, n + 1, n + 1)``, invertible.

    Returns:
        As ``theta``.

    Raises:
        ValueError: if theta is no matrix of either kind.

    Example:
        >>> invert(scaling(jnp.array([2.0, 4.0]))).tolist()
        [[0.5, 0.0, -0.0], [0.0, 0.25, -0.0]]
    """
    theta = _matrix("theta", theta)
    if _is_square(theta):
        return jnp.linalg.inv(theta)
    inverse = jnp.linalg.inv(theta[..., :-1])
    shift = -jnp.matmul(inverse, theta[..., -1:], precision="highest")
    return jnp.concatenate([inverse, shift], axis=-1)


def normalize_matrix(
    matrix: ArrayLike,
    source_shape: Sequence[int],
    target_shape: Sequence[int],
    *,
    align_corners: bool = ALIGN_CORNERS,
) -> Float[Array, "*b r n_plus_1"]:
    """Turns a matrix in pixels into theta.

    ``theta = N_source o matrix o N_target^-1`` with N from pixels to normalised coordinates.
    OpenCV's and kornia's ``warpAffine`` matrices map source to target: `invert` them first.

    Args:
        matrix: ``(*batch, n, n + 1)``, or a homography ``(*batch, n + 1, n + 1)``; maps target
            pixels to source pixels, (x, y[, z]).
        source_shape: spatial shape of the image that is read, ``(h, w)`` or ``(d, h, w)``.
        target_shape: spatial shape of the output.
        align_corners: see `stn_jax.coordinates`.

    Returns:
        As ``matrix``, for `affine_grid` or `projective_grid` of ``target_shape``.

    Raises:
        ValueError: if matrix is none, or an axis of one pixel has no scale (``align_corners``).

    Example:
        >>> pixel = translation(jnp.array([1.0, 0.0]))
        >>> normalize_matrix(pixel, (4, 4), (4, 4))[0].tolist()
        [1.0, 0.0, 0.5]
    """
    matrix = _matrix("matrix", matrix)
    to_source = _pixels_to_normalized(source_shape, align_corners, matrix.dtype)
    to_target = _pixels_to_normalized(target_shape, align_corners, matrix.dtype)
    return compose(to_source, matrix, invert(to_target))


def denormalize_matrix(
    theta: ArrayLike,
    source_shape: Sequence[int],
    target_shape: Sequence[int],
    *,
    align_corners: bool = ALIGN_CORNERS,
) -> Float[Array, "*b r n_plus_1"]:
    """Turns theta into a matrix in pixels: the inverse of `normalize_matrix`.

    Args:
        theta: ``(*batch, n, n + 1)`` or ``(*batch, n + 1, n + 1)``.
        source_shape: spatial shape of the image that is read.
        target_shape: spatial shape of the output.
        align_corners: see `stn_jax.coordinates`.

    Returns:
        As ``theta``, maps target pixels to source pixels.

    Raises:
        ValueError: as `normalize_matrix`.

    Example:
        >>> half = scaling(jnp.array([0.5, 0.5]))
        >>> denormalize_matrix(half, (4, 4), (2, 2)).tolist()
        [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    theta = _matrix("theta", theta)
    to_source = _pixels_to_normalized(source_shape, align_corners, theta.dtype)
    to_target = _pixels_to_normalized(target_shape, align_corners, theta.dtype)
    return compose(invert(to_source), theta, to_target)


def _pixels_to_normalized(shape: Sequence[int], align_corners: bool, dtype: jnp.dtype) -> Array:
    """The diagonal matrix from pixels to normalised coordinates, read off the one convention."""
    if align_corners and 1 in shape:
        raise ValueError(
            f"shape {tuple(shape)} has an axis of one pixel, on which align_corners=True gives "
            "pixels no scale; use align_corners=False."
        )
    sizes = list(shape)[::-1]
    zero = jnp.zeros((), dtype)
    origin = [pixel_to_normalized(zero, size, align_corners=align_corners) for size in sizes]
    pitch = [pixel_pitch(size, align_corners=align_corners) for size in sizes]
    return compose(translation(jnp.stack(origin)), scaling(jnp.array(pitch, dtype)))


def _floating(array: ArrayLike) -> Array:
    array = jnp.asarray(array)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.float32)


def _vector(name: str, array: ArrayLike) -> Array:
    vector = _floating(array)
    if not vector.ndim or vector.shape[-1] not in (2, 3):
        raise ValueError(
            f"{name} has shape {vector.shape}; its last axis must be (x, y) or (x, y, z)."
        )
    return vector


def _matrix(name: str, array: ArrayLike) -> Array:
    matrix = _floating(array)
    if matrix.shape[-2:] not in ((2, 3), (3, 3), (3, 4), (4, 4)):
        raise ValueError(
            f"{name} has shape {matrix.shape}; a matrix is (*batch, 2, 3) or (*batch, 3, 4), a "
            "homography (*batch, 3, 3) or (*batch, 4, 4)."
        )
    return matrix


def _is_square(matrix: Array) -> bool:
    return matrix.shape[-1] == matrix.shape[-2]


def _homogeneous(matrix: Array) -> Array:
    """Adds the row (0 ... 0 1) of an affine matrix."""
    if _is_square(matrix):
        return matrix
    size = matrix.shape[-1]
    row = jnp.broadcast_to(jnp.eye(size, dtype=matrix.dtype)[-1:], (*matrix.shape[:-2], 1, size))
    return jnp.concatenate([matrix, row], axis=-2)
