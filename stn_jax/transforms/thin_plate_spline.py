"""Thin plate splines: the smoothest map that moves given control points by given offsets."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.transforms.base import Transform, check_shape, evaluate


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
    depends on the control points alone: it is solved once, in float64, outside the traced path.

    Convention:
        Normalised coordinates, points (x, y), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        offsets: ``(*batch, k, 2)``, how far from control point i the source of target point
            c_i lies, (x, y), normalised.
        shape: spatial shape of the output, ``(h, w)``.
        control_points: ``(rows, columns)`` of a regular grid over [-1, 1] x [-1, 1], row by row,
            or explicit points ``(k, 2)``, at least three that are not on a line.
        regularization: 0 passes through the offsets; larger values trade that for smoothness.
        align_corners: see the convention.

    Returns:
        ``(*batch, h, w, 2)``.

    Raises:
        ValueError: for offsets, shape or control points that do not fit.

    References:
        F. L. Bookstein, "Principal warps: thin-plate splines and the decomposition of
        deformations", 1989.

    Example:
        >>> offsets = jnp.full((16, 2), 0.5)
        >>> thin_plate_spline_grid(offsets, (1, 1)).round(4).tolist()
        [[[0.5, 0.5]]]
    """
    transform = ThinPlateSpline(_hashable(control_points), regularization)
    offsets = jnp.asarray(offsets)
    k = transform.num_params // 2
    if offsets.shape[-2:] != (k, 2):
        raise ValueError(
            f"offsets has shape {offsets.shape}; {k} control points need (*batch, {k}, 2)."
        )
    check_shape(shape, 2)
    return evaluate(transform.warp, offsets, 2, shape, align_corners)


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

    control_points: tuple[Any, ...] = (4, 4)
    regularization: float = 0.0

    def __post_init__(self) -> None:
        """Checks the control points and the regularisation."""
        object.__setattr__(self, "control_points", _hashable(self.control_points))
        if self.regularization < 0:
            raise ValueError(f"regularization={self.regularization} must not be negative.")
        points = self.points
        if points.ndim != 2 or points.shape[-1] != 2:
            raise ValueError(
                f"control_points has shape {points.shape}; give (rows, columns) or points (k, 2)."
            )
        if np.linalg.matrix_rank(np.c_[np.ones(len(points)), points]) < 3:
            raise ValueError(
                f"control_points {self.control_points} lie on a line; a thin plate spline needs "
                "three points that do not."
            )

    @property
    def ndim(self) -> int:
        """Thin plate splines are for images."""
        return 2

    @property
    def points(self) -> np.ndarray:
        """The control points ``(k, 2)``, (x, y)."""
        if np.ndim(self.control_points) == 1:
            rows, columns = (np.linspace(-1, 1, int(size)) for size in self.control_points)
            return np.array([(x, y) for y in rows for x in columns])
        return np.asarray(self.control_points, np.float64)

    @property
    def num_params(self) -> int:
        """Two for each control point."""
        return self.points.size

    def identity(self) -> np.ndarray:
        """Returns zero offsets."""
        return np.zeros(self.num_params, np.float32)

    def apply(
        self, params: Float[Array, "p"], points: Float[Array, "*points 2"]
    ) -> Float[Array, "*points 2"]:
        """Maps points by one parameter vector."""
        return self.warp(params.reshape(-1, 2), points)

    def warp(
        self, offsets: Float[Array, "k 2"], points: Float[Array, "*points 2"]
    ) -> Float[Array, "*points 2"]:
        """Maps points by the offsets of the control points."""
        solution = jnp.asarray(_solve(self), offsets.dtype)
        # A spline follows a common shift exactly; what is left rounds the less for its absence.
        shift = jnp.mean(offsets, axis=0)
        coefficients = jnp.matmul(solution, offsets - shift, precision="highest")
        centres = jnp.asarray(self.points, points.dtype)
        delta = points[..., None, :] - centres
        bumps = _bump(jnp.sum(delta * delta, axis=-1))
        basis = jnp.concatenate([bumps, jnp.ones_like(bumps[..., :1]), points], axis=-1)
        return points + shift + jnp.matmul(basis, coefficients, precision="highest")


def _hashable(control_points: Any) -> tuple[Any, ...]:
    """Makes tuples of whatever nest or array the control points came as."""
    return tuple(
        tuple(item) if isinstance(item, list) else item
        for item in np.asarray(control_points).tolist()
    )


def _bump(r2: Array) -> Array:
    """``U = r^2 log r^2`` of the squared radius, with value and derivative 0 at 0."""
    positive = r2 > 0
    return jnp.where(positive, r2 * jnp.log(jnp.where(positive, r2, 1)), 0)


@functools.lru_cache(maxsize=64)
def _solve(transform: ThinPlateSpline) -> np.ndarray:
    """Returns the matrix ``(k + 3, k)`` from offsets to coefficients (w, then A)."""
    points = transform.points
    k = len(points)
    r2 = np.sum((points[:, None] - points) ** 2, axis=-1)
    kernel = r2 * np.log(np.where(r2 > 0, r2, 1)) + transform.regularization * np.eye(k)
    plane = np.c_[np.ones(k), points]
    system = np.block([[kernel, plane], [plane.T, np.zeros((3, 3))]])
    return np.linalg.inv(system)[:, :k]
