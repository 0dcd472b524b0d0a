"""Thin plate splines: the smoothest map that moves given control points by given offsets."""

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax._jit import jit
from stn_jax._mesh import constant_like
from stn_jax.coordinates import ALIGN_CORNERS, identity_grid
from stn_jax.transforms.base import Transform, evaluate
from stn_jax.transforms.inputs import (
    add_batch,
    align_batches,
    as_coordinates,
    check_shape,
    compiled,
    concrete,
    known_sizes,
)
from stn_jax.transforms.radial_basis import add_spline, bump, product, system, unit

_CONSTANTS = 2**22
"""Pairs of a pixel and a control point of which a program keeps a table."""


def thin_plate_spline_grid(
    offsets: ArrayLike,
    shape: Sequence[int],
    *,
    control_points: tuple[int, int] | ArrayLike = (4, 4),
    regularization: float = 0.0,
    align_corners: bool = ALIGN_CORNERS,
) -> Float[Array, "*b h w 2"]:
    """Returns the grid of a thin plate spline given by the offsets of its control points.

    ``f(p) = p + A (1, p) + sum_i w_i U(|p - c_i|)`` with ``U(r) = r^2 log r^2``, where w and A are
    such that ``f(c_i) = c_i + offset_i`` and the bending energy is least. The linear system
    depends on the control points alone: it is solved once, in float64, outside the traced path,
    unless they are traced or batched; then it is solved in the precision of coordinates for each
    batch member, and has gradients for them too.

    In float32, up to 2^22 pairs of a pixel and a control point, a table made in float64 gives the
    grid to rounding (a few 1e-7). Beyond that, and for `ThinPlateSpline.apply`, large weights of
    opposite signs cancel: a regular grid of 30 x 30 control points is followed to 2e-4, 900
    scattered ones that come as near as 0.001 to each other only to 2e-2. Traced control points are
    followed to 1e-6 for 4 x 4 and 1e-4 for 10 x 10. In float64 all are followed to 1e-10.

    Convention:
        Normalised coordinates, points (x, y), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        offsets: ``(*batch, k, 2)``, how far from control point i the source of target point
            c_i lies, (x, y), normalised.
        shape: spatial shape of the output, ``(h, w)``.
        control_points: ``(rows, columns)`` of a regular grid over [-1, 1] x [-1, 1], row by row,
            or explicit points ``(k, 2)``, at least three that are not on a line, no two of them
            equal. They may be traced, or batched ``(*batch, k, 2)``: a spline between two learnt
            sets of points. Known ones are constants of the program, which is compiled anew for
            others.
        regularization: 0 passes through the offsets; larger values trade that for smoothness.
        align_corners: see the convention.

    Returns:
        ``(*batch, h, w, 2)``.

    Raises:
        ValueError: for offsets, shape or control points that do not fit. Traced control points that
            are on a line or equal give a grid that is infinite or NaN.

    References:
        F. L. Bookstein, "Principal warps: thin-plate splines and the decomposition of
        deformations", 1989.

    Example:
        >>> offsets = jnp.full((16, 2), 0.5)
        >>> thin_plate_spline_grid(offsets, (1, 1)).round(4).tolist()
        [[[0.5, 0.5]]]
    """
    shape = check_shape(shape, 2)
    if isinstance(control_points, jax.core.Tracer) or np.ndim(control_points) > 2:
        return _grid_between(
            offsets, jnp.asarray(control_points), shape, regularization, align_corners
        )
    transform = ThinPlateSpline(_hashable(control_points), regularization)
    [offsets] = as_coordinates(offsets=offsets)
    _check_offsets(offsets, transform.num_params // 2)
    return transform.grid(
        offsets.reshape(*offsets.shape[:-2], transform.num_params),
        shape,
        align_corners=align_corners,
    )


@dataclass(frozen=True)
class ThinPlateSpline(Transform):
    """Thin plate splines; the parameters are the offsets ``(k, 2)`` of the control points, flat.

    Attributes:
        control_points: ``(rows, columns)`` of a regular grid over [-1, 1]^2, or a tuple of points.
        regularization: 0 passes through the offsets.

    Example:
        >>> ThinPlateSpline((4, 4)).num_params
        32
    """

    control_points: tuple[float | int, ...] | tuple[tuple[float | int, ...], ...] = (4, 4)
    regularization: float = 0.0

    def __post_init__(self) -> None:
        """Checks the control points and the regularisation."""
        object.__setattr__(self, "control_points", _hashable(self.control_points))
        _check_regularization(self.regularization)
        if np.ndim(self.control_points) == 1:
            _check_counts(self.control_points)
        _check_points(self.points)

    @property
    def points(self) -> np.ndarray:
        """The control points ``(k, 2)``, (x, y)."""
        points = np.asarray(self.control_points)
        if points.ndim == 1:
            rows, columns = (np.linspace(-1, 1, size) for size in points)
            return np.array([(x, y) for y in rows for x in columns])
        return points.astype(np.float64)

    @property
    def num_params(self) -> int:
        """Two for each control point."""
        return self.points.size

    def identity(self) -> np.ndarray:
        """Returns zero offsets."""
        return np.zeros(self.num_params, np.float32)

    @compiled
    def apply(self, params: ArrayLike, points: ArrayLike) -> Float[Array, "*points 2"]:
        """Maps points by one parameter vector."""
        params, points = self.check_operands(params, points)
        return self._warp(params, points)

    def grid(
        self, params: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
    ) -> Float[Array, "*b_shape n"]:
        """See `Transform.grid`."""
        shape = check_shape(shape, 2)
        [params] = self.check_params(params=params)
        sizes = known_sizes(shape)
        if len(sizes) == 2 and np.prod(sizes) * self.num_params // 2 <= _CONSTANTS:
            return _small_grid(params, self, shape, bool(align_corners))
        return evaluate(self._warp, params, 1, shape, align_corners)

    def _warp(
        self, params: Float[Array, "p"], points: Float[Array, "*points 2"]
    ) -> Float[Array, "*points 2"]:
        offsets = params.reshape(-1, 2)
        centre, size = unit(np, self.points)
        # A spline follows a common shift exactly; what is left rounds the less for its absence.
        shift = jnp.mean(offsets, axis=0)
        solution = jnp.asarray(_solution(self), offsets.dtype)
        coefficients = product(solution, offsets - shift[None])
        centres = jnp.asarray((self.points - centre) / size, points.dtype)
        centre, size = jnp.asarray(centre, points.dtype), jnp.asarray(size, points.dtype)
        return add_spline(points, shift, centres, centre, size, coefficients)


@jit(static_argnums=(1, 2, 3))
def _small_grid(
    params: Float[Array, "*b p"],
    transform: ThinPlateSpline,
    shape: tuple[int, int],
    align_corners: bool,
) -> Float[Array, "*b h w 2"]:
    """The grid as ``p + L offsets``, where no entry of the constant L is large: no cancellation."""
    offsets = params.reshape(*params.shape[:-1], -1, 2)
    cardinal = jnp.asarray(_cardinal(transform, shape, align_corners, params.dtype))
    moved = jnp.matmul(cardinal, offsets, precision="highest")
    points = identity_grid(shape, align_corners=align_corners, dtype=params.dtype)
    return moved.reshape(*params.shape[:-1], *shape, 2) + add_batch(points, params.ndim + 2)


def _grid_between(
    offsets: ArrayLike,
    control_points: ArrayLike,
    shape: tuple[int, int],
    regularization: float,
    align_corners: bool,
) -> Float[Array, "*b h w 2"]:
    """The grid of splines whose control points are traced or batched."""
    _check_regularization(regularization)
    offsets, points = as_coordinates(offsets=offsets, control_points=control_points)
    if points.ndim < 2 or points.shape[-1] != 2:
        raise ValueError(f"control_points has shape {points.shape}; give (*batch, k, 2).")
    _check_offsets(offsets, points.shape[-2])
    if concrete(points):
        for each in np.asarray(jax.device_get(points)).reshape(-1, *points.shape[-2:]):
            _check_points(each)
    offsets, points = align_batches(2, offsets=offsets, control_points=points)
    # Sums, and so of one shape, sharded alike: `concatenate` wants that.
    pair = _pair(offsets, points)
    return evaluate(_SplineBetween(float(regularization)).warp, pair, 2, shape, align_corners)


@compiled
def _pair(offsets: Array, points: Array) -> Float[Array, "*b k 4"]:
    return jnp.concatenate(
        [offsets + constant_like(points, 0), points + constant_like(offsets, 0)], axis=-1
    )


@dataclass(frozen=True)
class _SplineBetween:
    """A spline solved where it is evaluated, for offsets and control points side by side."""

    regularization: float

    def warp(
        self, pair: Float[Array, "k 4"], points: Float[Array, "*points 2"]
    ) -> Float[Array, "*points 2"]:
        offsets, controls = pair[:, :2], pair[:, 2:]
        centre, size = jax.lax.stop_gradient(unit(jnp, controls))  # no spline depends on them
        centres = (controls - centre[None]) / size
        shift = jnp.mean(offsets, axis=0)
        matrix = system(jnp, centres, self.regularization / size**2)
        right = jnp.concatenate([offsets - shift[None], constant_like(offsets[:3], 0)])
        coefficients = jnp.linalg.solve(matrix, right)
        return add_spline(points, shift, centres, centre, size, coefficients)


@functools.lru_cache(maxsize=64)
def _solution(transform: ThinPlateSpline) -> np.ndarray:
    """Returns the matrix ``(k + 3, k)`` from offsets to coefficients (w, then A), in float64."""
    centre, size = unit(np, transform.points)
    points = (transform.points - centre) / size
    matrix = system(np, points, transform.regularization / size**2)
    return np.linalg.inv(matrix)[:, : len(points)]


@functools.lru_cache(maxsize=8)
def _cardinal(
    transform: ThinPlateSpline, shape: tuple[int, int], align_corners: bool, dtype: Any
) -> np.ndarray:
    """Returns the matrix ``(h w, k)`` from offsets to displacements of pixels, made in float64."""
    with jax.ensure_compile_time_eval():
        grid = identity_grid(shape, align_corners=align_corners, dtype=dtype)
    centre, size = unit(np, transform.points)
    points = (np.asarray(jax.device_get(grid), np.float64).reshape(-1, 2) - centre) / size
    centres = (transform.points - centre) / size
    bumps = bump(np, np.sum((points[:, None] - centres) ** 2, axis=-1))
    cardinal: np.ndarray = np.c_[bumps, np.ones(len(points)), points] @ _solution(transform)
    return cardinal.astype(dtype)


def _hashable(control_points: Any) -> tuple[Any, ...]:
    """Makes tuples of whatever nest or array the control points came as."""
    if isinstance(control_points, jax.Array):
        control_points = jax.device_get(control_points)
    return tuple(
        tuple(item) if isinstance(item, list) else item
        for item in np.asarray(control_points).tolist()
    )


def _check_offsets(offsets: Array, k: int) -> None:
    if offsets.shape[-2:] != (k, 2):
        raise ValueError(
            f"offsets has shape {offsets.shape}; {k} control points need (*batch, {k}, 2)."
        )


def _check_regularization(regularization: float) -> None:
    if not regularization >= 0:
        raise ValueError(f"regularization={regularization} must not be negative.")


def _check_counts(control_points: tuple[Any, ...]) -> None:
    try:
        fits = len(control_points) == 2 and all(operator.index(n) > 0 for n in control_points)
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(
            f"control_points={control_points} does not fit; give two whole numbers (rows, columns) "
            "or points (k, 2)."
        )


def _check_points(points: np.ndarray) -> None:
    """Refuses control points that determine no spline."""
    if points.ndim != 2 or points.shape[-1] != 2:
        raise ValueError(
            f"control_points has shape {points.shape}; give (rows, columns) or points (k, 2)."
        )
    if not np.isfinite(points).all():
        raise ValueError("control_points must be finite; there is a NaN or an infinity.")
    unique, counts = np.unique(points, axis=0, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"control_points has the point {unique[counts > 1][0].tolist()} more than once; a "
            "spline has one offset at each point."
        )
    centred = points - points.mean(axis=0)
    if len(points) < 3 or np.linalg.matrix_rank(centred, tol=1e-6 * np.abs(centred).max()) < 2:
        raise ValueError(
            "control_points lie on a line; a thin plate spline needs three points that do not."
        )
