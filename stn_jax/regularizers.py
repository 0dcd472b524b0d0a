"""Penalties for the grid of a localization network: against folding, wandering, zooming, bending.

Each gives one number per grid, ``(*batch)``, float32 (float64 for a float64 grid), and is 0 for the
identity; add their means to a loss.

Convention:
    Grids are ``(*batch, *shape, n)``, normalised, points (x, y[, z]), target to source.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax.coordinates import ALIGN_CORNERS, identity_grid, pixel_pitch
from stn_jax.transforms.inputs import add_batch, as_coordinates, compiled, known_sizes

__all__ = [
    "folding_penalty",
    "identity_penalty",
    "jacobian_determinant",
    "outside_penalty",
    "smoothness_penalty",
]


@compiled
def outside_penalty(grid: ArrayLike) -> Float[Array, "*b"]:
    """Measures how far a grid reaches outside the image: against zooming out.

    The mean over all points of ``sum_k max(0, |x_k| - 1)``, in normalised units.

    Args:
        grid: ``(*batch, *shape, n)``.

    Returns:
        ``(*batch)``.

    Raises:
        ValueError: if grid does not have the shape of a grid.

    Example:
        >>> from stn_jax import affine_grid, scaling
        >>> outside_penalty(affine_grid(scaling(jnp.array([3.0, 1.0])), (2, 2))).tolist()
        0.5
    """
    grid = _checked(grid)
    beyond = jnp.maximum(jnp.abs(grid) - 1, 0)
    return _mean(jnp.sum(beyond, axis=-1), grid.shape[-1])


@compiled
def identity_penalty(grid: ArrayLike, *, align_corners: bool = ALIGN_CORNERS) -> Float[Array, "*b"]:
    """Measures how far a grid is from moving nothing: against wandering.

    The mean over all points of ``|x_s - x_t|^2``. Unlike a distance of parameters it means the
    same for every family of transforms.

    Args:
        grid: ``(*batch, *shape, n)``.
        align_corners: that of the grid.

    Returns:
        ``(*batch)``.

    Raises:
        ValueError: if grid does not have the shape of a grid.

    Example:
        >>> from stn_jax import affine_grid, translation
        >>> identity_penalty(affine_grid(translation(jnp.array([0.5, 0.0])), (2, 2))).tolist()
        0.25
    """
    grid = _checked(grid)
    n = grid.shape[-1]
    still = identity_grid(grid.shape[-n - 1 : -1], align_corners=align_corners, dtype=grid.dtype)
    return _mean(jnp.sum((grid - add_batch(still, grid.ndim)) ** 2, axis=-1), n)


@compiled
def folding_penalty(
    grid: ArrayLike, *, margin: float = 0.0, align_corners: bool = ALIGN_CORNERS
) -> Float[Array, "*b"]:
    """Measures how much a grid folds over itself: against maps that are not invertible.

    The mean over all cells of ``max(0, margin - det J)``.

    Args:
        grid: ``(*batch, *shape, n)``, at least 2 points an axis.
        margin: a number, the smallest determinant that costs nothing: 0 forbids folds alone.
        align_corners: that of the grid.

    Returns:
        ``(*batch)``.

    Raises:
        ValueError: if grid does not have the shape of a grid, or an axis of one point.

    Example:
        >>> from stn_jax import affine_grid, scaling
        >>> folding_penalty(affine_grid(scaling(jnp.array([-1.0, 2.0])), (3, 3))).round(3).tolist()
        2.0
    """
    determinant = jacobian_determinant(grid, align_corners=align_corners)
    return _mean(jnp.maximum(margin - determinant, 0), jnp.shape(grid)[-1])


@compiled
def smoothness_penalty(
    grid: ArrayLike, *, align_corners: bool = ALIGN_CORNERS
) -> Float[Array, "*b"]:
    """Measures how much displacements differ between neighbours: against rough deformations.

    The mean over all points of ``|J - I|^2``, with the derivatives ``J = dx_s/dx_t`` by differences
    of neighbours: the diffusion regulariser of registration. A translation costs nothing. For a
    flow or velocity field give its grid, `flow_grid`.

    Args:
        grid: ``(*batch, *shape, n)``, at least 2 points an axis.
        align_corners: that of the grid.

    Returns:
        ``(*batch)``.

    Raises:
        ValueError: if grid does not have the shape of a grid, or an axis of one point.

    Example:
        >>> from stn_jax import affine_grid, scaling
        >>> grid = affine_grid(scaling(jnp.array([1.5, 1.0])), (4, 4))
        >>> smoothness_penalty(grid).round(3).tolist()
        0.25
    """
    grid = _checked(grid)
    n = grid.shape[-1]
    total = jnp.zeros((), grid.dtype)
    for axis, derivative in enumerate(_derivatives(grid, align_corners=align_corners)):
        unit = jnp.asarray(np.eye(n)[axis], grid.dtype)
        strain = derivative - add_batch(unit, grid.ndim)
        total = total + _mean(jnp.sum(strain**2, axis=-1), n)
    return total


@compiled
def jacobian_determinant(
    grid: ArrayLike, *, align_corners: bool = ALIGN_CORNERS
) -> Float[Array, "*b_cells"]:
    """Returns the change of area, or volume, in every cell of a grid; negative where it folds.

    ``det dx_s/dx_t`` by differences of neighbouring points: 1 for the identity, 4 where twice as
    much of the source is seen along both axes.

    Args:
        grid: ``(*batch, *shape, n)``, at least 2 points an axis.
        align_corners: that of the grid.

    Returns:
        ``(*batch, h - 1, w - 1)`` or ``(*batch, d - 1, h - 1, w - 1)``.

    Raises:
        ValueError: if grid does not have the shape of a grid, or an axis of one point.

    Example:
        >>> from stn_jax import affine_grid, scaling
        >>> grid = affine_grid(scaling(jnp.array([2.0, 2.0])), (3, 3))
        >>> jacobian_determinant(grid).round(3).tolist()
        [[4.0, 4.0], [4.0, 4.0]]
    """
    grid = _checked(grid)
    n = grid.shape[-1]
    corner = [slice(0, size - 1) for size in grid.shape[-n - 1 : -1]]
    derivatives = _derivatives(grid, align_corners=align_corners)
    edges = [derivative[(..., *corner, slice(None))] for derivative in derivatives]
    if n == 2:
        (a, b), (c, d) = (jnp.unstack(edge, axis=-1) for edge in edges)
        return a * d - b * c
    return jnp.sum(jnp.cross(edges[0], edges[1]) * edges[2], axis=-1)


def _derivatives(grid: Array, *, align_corners: bool) -> list[Array]:
    """Returns ``dx_s/dx_t`` along x, y[, z] by differences, each shorter by 1 along its axis."""
    n = grid.shape[-1]
    shape = grid.shape[-n - 1 : -1]
    if min(known_sizes(shape), default=2) < 2:
        raise ValueError(f"grid has shape {grid.shape}; a Jacobian needs 2 points along each axis.")
    derivatives = []
    for axis in reversed(range(n)):  # x, then y ...: the order of a point's own coordinates
        pitch = jnp.asarray(pixel_pitch(shape[axis], align_corners=align_corners), grid.dtype)
        derivatives.append(jnp.diff(grid, axis=axis - n - 1) / pitch)
    return derivatives


def _checked(grid: ArrayLike) -> Array:
    [grid] = as_coordinates(grid=grid)
    n = grid.shape[-1] if grid.ndim else 0
    if n not in (2, 3) or grid.ndim < n + 1 or 0 in known_sizes(grid.shape[-n - 1 : -1]):
        raise ValueError(
            f"grid has shape {grid.shape}; it must be (*batch, h, w, 2) or (*batch, d, h, w, 3)."
        )
    return grid


def _mean(values: Array, n: int) -> Array:
    """Averages over the last n axes."""
    return jnp.mean(values, axis=tuple(range(-n, 0)))
