"""Projective maps (homographies): a matrix on homogeneous points, then a division."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax._mesh import constant_like
from stn_jax.coordinates import ALIGN_CORNERS, open_grid
from stn_jax.transforms import matrix_algebra
from stn_jax.transforms.affine import affine_coordinates
from stn_jax.transforms.base import Transform, evaluate
from stn_jax.transforms.inputs import as_coordinates, check_ndim, check_shape, compiled, concrete

OUTSIDE = 1e6
"""Where points at or behind the horizon are read: outside any image."""

_HORIZON = 1e-6  # Smallest homogeneous weight that is in front of the horizon.


def projective_map(
    theta: Float[Array, "m m"], axes: Sequence[Float[Array, "..."]]
) -> Float[Array, "*shape n"]:
    """Maps points, given as one array for each coordinate, by one matrix.

    Points at or behind the horizon go to `OUTSIDE`, with derivative 0. Coordinates are stacked
    last: taken from an array of all of them, they cost a CPU six times as long in the transpose.
    """
    *moved, weight = affine_coordinates(theta, axes)
    visible = weight > _HORIZON
    divisor = jnp.where(visible, weight, 1)
    return jnp.stack([jnp.where(visible, each / divisor, OUTSIDE) for each in moved], axis=-1)


def projective_grid(
    theta: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
) -> Float[Array, "*b_shape n"]:
    """Returns the grid of a projective map: a matrix on homogeneous points, then a division.

    ``(X, Y, W) = theta (x_t, y_t, 1)`` and ``(x_s, y_s) = (X, Y) / W``.
    Points with ``W <= 1e-6``, at the horizon or behind it, read as outside the image and have
    derivative 0, so no gradient is ever NaN. Of theta's scale the sign matters: W must be positive
    in front. `homography_from_points` sees to that, `compose`, `invert` and `normalize_matrix` keep
    it; a matrix from elsewhere that shows nothing needs its sign changed.

    Convention:
        Normalised coordinates, points (x, y[, z]), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        theta: ``(*batch, 3, 3)``, or ``(*batch, 4, 4)`` for volumes.
        shape: spatial shape of the output, ``(h, w)`` or ``(d, h, w)``.
        align_corners: see the convention.

    Returns:
        ``(*batch, *shape, n)``.

    Raises:
        ValueError: for a theta or shape that does not fit.

    References:
        Hartley and Zisserman, "Multiple View Geometry", 2nd ed., section 2.3.

    Example:
        >>> theta = jnp.eye(3).at[2, 0].set(1.0)
        >>> projective_grid(theta, (1, 2)).tolist()
        [[[-1.0, 0.0], [0.3333333432674408, 0.0]]]
    """
    [theta] = as_coordinates(theta=theta)
    if theta.shape[-2:] not in ((3, 3), (4, 4)):
        raise ValueError(
            f"theta has shape {theta.shape}; projective_grid needs (*batch, 3, 3) with shape "
            "(h, w) or (*batch, 4, 4) with (d, h, w)."
        )
    shape = check_shape(shape, theta.shape[-1] - 1)
    return evaluate(projective_map, theta, 2, shape, align_corners, open_grid)


@dataclass(frozen=True)
class Projective(Transform):
    """All projective maps with ``theta[n, n] = 1``; parameters are its other entries by rows.

    The origin, the middle of the output, is then always in front of the horizon. A product or an
    inverse that has it behind is no member: `compose` and `invert` raise where they know the
    parameters, and give NaN where those are traced. `stn_jax.compose` and `stn_jax.invert` of
    matrices have no such limit, and `grid` takes a matrix too.

    Attributes:
        ndim: number of spatial axes.

    Example:
        >>> Projective().identity().tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    """

    ndim: int = 2

    def __post_init__(self) -> None:
        """Checks the number of axes."""
        check_ndim(self.ndim)

    @property
    def num_params(self) -> int:
        """8 for images, 15 for volumes."""
        return (self.ndim + 1) ** 2 - 1

    def identity(self) -> np.ndarray:
        """Returns the entries of the identity matrix without the last."""
        return np.eye(self.ndim + 1, dtype=np.float32).reshape(-1)[:-1]

    @compiled
    def matrix(self, params: ArrayLike) -> Float[Array, "*b m m"]:
        """Returns the homogeneous matrix ``(*batch, n + 1, n + 1)``."""
        [params] = self.check_params(params=params)
        entries = jnp.concatenate([params, constant_like(params[..., :1], 1)], axis=-1)
        return entries.reshape(*params.shape[:-1], self.ndim + 1, self.ndim + 1)

    @compiled
    def apply(self, params: ArrayLike, points: ArrayLike) -> Float[Array, "*points n"]:
        """Maps points by one parameter vector."""
        params, points = self.check_operands(params, points)
        return projective_map(self.matrix(params), jnp.unstack(points, axis=-1))

    def grid(
        self, params: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
    ) -> Float[Array, "*b_shape n"]:
        """See `Transform.grid`; a matrix ``(*batch, n + 1, n + 1)`` of any scale serves too."""
        shape = check_shape(shape, self.ndim)
        if np.shape(params)[-2:] == (self.ndim + 1, self.ndim + 1):
            return projective_grid(params, shape, align_corners=align_corners)
        [params] = self.check_params(params=params)
        return projective_grid(self.matrix(params), shape, align_corners=align_corners)

    def compose(self, p: ArrayLike, q: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of ``p`` after ``q``.

        Raises:
            ValueError: if known parameters put the origin at or behind the product's horizon.
        """
        p, q = self.check_params(p=p, q=q)
        return self._params("compose", matrix_algebra.compose(self.matrix(p), self.matrix(q)))

    def invert(self, p: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of the inverse map.

        Raises:
            ValueError: if known parameters put the origin at or behind the inverse's horizon.
        """
        [p] = self.check_params(p=p)
        return self._params("invert", matrix_algebra.invert(self.matrix(p)))

    def _params(self, method: str, theta: Array) -> Array:
        if concrete(theta):
            corner = np.asarray(jax.device_get(theta))[..., -1, -1]
            if (corner <= 0).any():
                n = self.ndim
                raise ValueError(
                    f"Projective.{method} gives a map with theta[{n}, {n}] = {corner.min():.3g}: "
                    f"the origin is not in front of its horizon, which theta[{n}, {n}] = 1 cannot "
                    f"express. Use the matrices: stn.{method}(transform.matrix(p), ...), and "
                    "projective_grid."
                )
        return self._divide(theta)

    @compiled
    def _divide(self, theta: Array) -> Array:
        corner = theta[..., -1:, -1:]
        # Dividing by a negative number would turn what is behind the horizon to the front.
        theta = theta / jnp.where(corner > 0, corner, jnp.nan)
        return theta.reshape(*theta.shape[:-2], self.num_params + 1)[..., :-1]
