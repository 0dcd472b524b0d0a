"""Matrices in pixels, as OpenCV and kornia have them, and theta: from one to the other.

Convention:
    Points are (x, y[, z]); matrices map target to source. Pixel i has its centre at i. Normalised
    -1 and 1 are the outer edges of the border pixels, or their centres with ``align_corners=True``.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from stn_jax._jit import jit
from stn_jax.coordinates import ALIGN_CORNERS, pixel_pitch, pixel_to_normalized
from stn_jax.transforms.inputs import check_shape, known_sizes
from stn_jax.transforms.matrices import scaling, translation
from stn_jax.transforms.matrix_algebra import as_matrices, compose, invert


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
        ValueError: if matrix is not affine or projective, or an axis of one pixel has no scale
            (``align_corners``).

    Example:
        >>> pixel = translation(jnp.array([1.0, 0.0]))
        >>> normalize_matrix(pixel, (4, 4), (4, 4))[0].tolist()
        [1.0, 0.0, 0.5]
    """
    return _change_units("matrix", matrix, source_shape, target_shape, align_corners, False)


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
    return _change_units("theta", theta, source_shape, target_shape, align_corners, True)


def _change_units(
    name: str,
    array: ArrayLike,
    source_shape: Sequence[int],
    target_shape: Sequence[int],
    align_corners: bool,
    to_pixels: bool,
) -> Array:
    """Turns a pixel matrix into theta, or theta into a pixel matrix."""
    [matrix] = as_matrices(**{name: array})
    n = matrix.shape[-1] - 1
    shapes = []
    for label, shape in (("source_shape", source_shape), ("target_shape", target_shape)):
        shapes.append(check_shape(shape, n, label))
        if 0 in known_sizes(shapes[-1]):
            raise ValueError(f"{label}={shape!r} has an empty axis, on which pixels have no scale.")
        if align_corners and 1 in known_sizes(shapes[-1]):
            raise ValueError(
                f"{label}={shape!r} has an axis of one pixel, on which align_corners=True gives "
                "pixels no scale; use align_corners=False."
            )
    source, target = shapes
    return _change_units_of(matrix, source, target, bool(align_corners), to_pixels)


@jit(static_argnums=(1, 2, 3, 4))
def _change_units_of(
    matrix: Array,
    source_shape: tuple[Any, ...],
    target_shape: tuple[Any, ...],
    align_corners: bool,
    to_pixels: bool,
) -> Array:
    source = _pixels_to_normalized(source_shape, align_corners, matrix.dtype)
    target = _pixels_to_normalized(target_shape, align_corners, matrix.dtype)
    if to_pixels:
        return compose(invert(source), matrix, target)
    return compose(source, matrix, invert(target))


def _pixels_to_normalized(shape: tuple[Any, ...], align_corners: bool, dtype: DTypeLike) -> Array:
    """The diagonal matrix from pixels to normalised coordinates, read off the one convention."""
    sizes = list(shape)[::-1]
    zero = jnp.zeros((), dtype)
    origin = [pixel_to_normalized(zero, size, align_corners=align_corners) for size in sizes]
    pitch = [jnp.asarray(pixel_pitch(size, align_corners=align_corners), dtype) for size in sizes]
    return compose(translation(jnp.stack(origin)), scaling(jnp.stack(pitch)))
