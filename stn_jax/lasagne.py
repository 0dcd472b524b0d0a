"""What Lasagne's transformer layers computed, for those who port Theano/Lasagne models.

Images are channels-last here, Lasagne's were channels-first; parameters are as they were there, so
trained localization networks keep their last layer.

Convention:
    Normalised coordinates, points (x, y), target to source; -1 and 1 are the *centres* of the
    border pixels (``align_corners=True``, unlike the rest of this library).

References:
    Lasagne 0.2, ``lasagne/layers/special.py``: ``TransformerLayer``, ``TPSTransformerLayer``.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from stn_jax import _checks as checks
from stn_jax.sampling.grid_sample import grid_sample
from stn_jax.transforms import affine_grid, thin_plate_spline_grid

__all__ = ["BORDER_MODES", "tps_transformer", "transformer"]

BORDER_MODES = {"nearest": "border", "mirror": "reflection", "wrap": "wrap"}
"""Lasagne's border modes, and the ``padding_mode`` of `stn_jax.grid_sample` that each one is."""


def transformer(
    image: ArrayLike,
    theta: ArrayLike,
    *,
    downsample_factor: float | Sequence[float] = 1,
    border_mode: str = "nearest",
) -> jax.Array:
    """Transforms images by affine maps: Lasagne's ``TransformerLayer``.

    ``(x_s, y_s) = theta (x_t, y_t, 1)``, then bilinear sampling. Values are Lasagne's, and
    so are gradients, except exactly at the border pixels' centres: there ``"nearest"`` and
    ``"mirror"`` have coordinate gradient 0 here, and the right-sided difference in Lasagne.

    Convention:
        Normalised coordinates, points (x, y), target to source; -1 and 1 are the centres of the
        border pixels.

    Args:
        image: ``(*batch, h, w, c)``, floating.
        theta: ``(*batch, 6)`` or ``(*batch, 2, 3)``, rows for x and y. A layer that starts as the
            identity has zero weights and the bias ``[1, 0, 0, 0, 1, 0]``.
        downsample_factor: the output has ``int(size // factor)`` pixels along each axis; one number
            or ``(rows, columns)``. Below 1 it enlarges.
        border_mode: what lies outside: ``"nearest"`` (the border pixel), ``"mirror"`` (period
            ``2 (w - 1)``) or ``"wrap"`` (period ``w``).

    Returns:
        ``(*batch, int(h // factor), int(w // factor), c)`` in the image's dtype.

    Raises:
        ValueError: for a theta, image, factor or border mode that does not fit.

    References:
        Lasagne 0.2, ``TransformerLayer``. Jaderberg et al., "Spatial Transformer Networks", 2015.

    Example:
        >>> image = jnp.arange(4.0).reshape(1, 4, 1)
        >>> theta = jnp.array([2.0, 0, 0, 0, 1, 0])
        >>> transformer(image, theta).ravel().round(4).tolist()
        [0.0, 0.5, 2.5, 3.0]
        >>> transformer(image, theta, border_mode="mirror").ravel().round(4).tolist()
        [1.5, 0.5, 2.5, 1.5]
    """
    image, theta = jnp.asarray(image), jnp.asarray(theta)
    if theta.shape[-1:] == (6,):
        theta = theta.reshape(*theta.shape[:-1], 2, 3)
    if theta.shape[-2:] != (2, 3):
        raise ValueError(f"theta has shape {theta.shape}; give (*batch, 6) or (*batch, 2, 3).")
    shape = _shape(image, downsample_factor)
    return _sample(image, affine_grid(theta, shape, align_corners=True), border_mode)


def tps_transformer(
    image: ArrayLike,
    offsets: ArrayLike,
    *,
    downsample_factor: float | Sequence[float] = 1,
    control_points: int = 16,
    border_mode: str = "nearest",
) -> jax.Array:
    """Transforms images by thin plate splines: Lasagne's ``TPSTransformerLayer``.

    The spline moves each control point by its offset. Where Lasagne could not compute the grid
    beforehand (``precompute_grid=False``, or images of unknown size) an inverted test for NaN drops
    the radial part there and leaves an affine map; this is the mathematics, and so equal to its
    ``precompute_grid=True``.

    Convention:
        Normalised coordinates, points (x, y), target to source; -1 and 1 are the centres of the
        border pixels.

    Args:
        image: ``(*batch, h, w, c)``, floating.
        offsets: ``(*batch, 2 * control_points)``: of all control points x, then of all y; points
            go row by row over a square grid on [-1, 1]^2, x fastest. All 0 is the identity.
        downsample_factor: the output has ``int(size // factor)`` pixels along each axis; one number
            or ``(rows, columns)``. Below 1 it enlarges.
        control_points: number of control points, a square: 4, 9, 16, ...
        border_mode: as for `transformer`.

    Returns:
        ``(*batch, int(h // factor), int(w // factor), c)`` in the image's dtype.

    Raises:
        ValueError: for offsets, an image, a factor, a number of control points or a border mode
            that does not fit.

    References:
        Lasagne 0.2, ``TPSTransformerLayer``. F. L. Bookstein, "Principal warps: thin-plate splines
        and the decomposition of deformations", 1989.

    Example:
        >>> image = jnp.arange(4.0).reshape(1, 4, 1)
        >>> right = jnp.repeat(jnp.array([2 / 3, 0.0]), 4)
        >>> tps_transformer(image, right, control_points=4).ravel().round(4).tolist()
        [1.0, 2.0, 3.0, 3.0]
    """
    image, offsets = jnp.asarray(image), jnp.asarray(offsets)
    side = math.isqrt(max(control_points, 0))
    if side < 2 or side**2 != control_points:
        raise ValueError(
            f"control_points={control_points} does not fill a square grid; give 4, 9, 16, 25, ..."
        )
    if offsets.shape[-1:] != (2 * control_points,):
        raise ValueError(
            f"offsets has shape {offsets.shape}; control_points={control_points} needs "
            f"(*batch, {2 * control_points}): all x, then all y."
        )
    by_axis = offsets.reshape(*offsets.shape[:-1], 2, control_points)
    points = jnp.swapaxes(by_axis, -1, -2)
    grid = thin_plate_spline_grid(
        points,
        _shape(image, downsample_factor),
        control_points=(side, side),
        align_corners=True,
    )
    return _sample(image, grid, border_mode)


def _shape(image: jax.Array, downsample_factor: float | Sequence[float]) -> tuple[int, int]:
    """Returns the output's spatial shape."""
    if image.ndim < 3:
        raise ValueError(f"image has shape {image.shape}; it must be (*batch, h, w, c).")
    factors = np.asarray(downsample_factor, float)
    if factors.shape not in ((), (2,)) or not (factors > 0).all():
        raise ValueError(
            f"downsample_factor={downsample_factor!r} does not fit; give a positive number or two, "
            "(rows, columns)."
        )
    rows, columns = np.broadcast_to(factors, 2).tolist()
    return int(image.shape[-3] // rows), int(image.shape[-2] // columns)


def _sample(image: jax.Array, grid: jax.Array, border_mode: str) -> jax.Array:
    checks.name("border_mode", border_mode, BORDER_MODES)
    return grid_sample(image, grid, padding_mode=BORDER_MODES[border_mode], align_corners=True)
