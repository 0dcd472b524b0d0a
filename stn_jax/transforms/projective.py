"""Projective maps (homographies): a matrix on homogeneous points, then a division."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.transforms.base import Transform, check_ndim, check_shape, evaluate

OUTSIDE = 1e6
"""Where points at or behind the horizon are read: outside any image."""

_HORIZON = 1e-6  # Smallest homogeneous weight that is in front of the horizon.


def projective_points(
    theta: Float[Array, "m m"], points: Float[Array, "*points n"]
) -> Float[Array, "*points n"]:
    """Maps points by one matrix; those at or behind the horizon go to `OUTSIDE`, derivative 0."""
    n = theta.shape[0] - 1
    moved = theta[:, n]
    for axis in range(n):
        moved = moved + theta[:, axis] * points[..., axis, None]
    weight = moved[..., n:]
    visible = weight > _HORIZON
    return jnp.where(visible, moved[..., :n] / jnp.where(visible, weight, 1), OUTSIDE)


def projective_grid(
    theta: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
) -> Float[Array, "*b_shape n"]:
    """Returns the grid of a projective map: a matrix on homogeneous points, then a division.

    ``(X, Y, W) = theta (x_t, y_t, 1)`` and ``(x_s, y_s) = (X, Y) / W``.
    Points with ``W <= 1e-6``, at the horizon or behind it, read as outside the image and have
    derivative 0, so no gradient is ever NaN. The scale of theta matters in so far as W must be
    positive in front; ``theta[2, 2] = 1`` sees to it.

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
    theta = jnp.asarray(theta)
    if theta.shape[-2:] not in ((3, 3), (4, 4)):
        raise ValueError(
            f"theta has shape {theta.shape}; projective_grid needs (*batch, 3, 3) with shape "
            "(h, w) or (*batch, 4, 4) with (d, h, w)."
        )
    check_shape(shape, theta.shape[-1] - 1)
    return evaluate(projective_points, theta, 2, shape, align_corners)


def homography_from_points(target: ArrayLike, source: ArrayLike) -> Float[Array, "*b 3 3"]:
    """Returns the homography that takes four target points to four source points.

    ``theta = S T^-1``, where S and T take the projective frame (the three unit vectors and their
    sum) to the homogeneous source and target points: a closed form of cross products, no linear
    solve. It is scaled so that W, the homogeneous weight, is 1 on average over the target points:
    they lie in front of the horizon, wherever the origin is.

    Args:
        target: ``(*batch, 4, 2)`` points (x, y), no three on a line.
        source: ``(*batch, 4, 2)``, where each of them is read; no three on a line. Convex as
            the target is, or else some point has to lie behind the horizon.

    Returns:
        ``(*batch, 3, 3)`` for `projective_grid`.

    Raises:
        ValueError: if either is not ``(*batch, 4, 2)``.

    References:
        Hartley and Zisserman, "Multiple View Geometry", 2nd ed., section 4.1.

    Example:
        >>> square = jnp.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        >>> homography_from_points(square, square * 0.5).round(5) + 0.0
        Array([[0.5, 0. , 0. ],
               [0. , 0.5, 0. ],
               [0. , 0. , 1. ]], dtype=float32)
    """
    target, source = jnp.asarray(target), jnp.asarray(source)
    for name, points in (("target", target), ("source", source)):
        if points.shape[-2:] != (4, 2):
            raise ValueError(f"{name} has shape {points.shape}; four points (*batch, 4, 2) needed.")
    target, source = jnp.broadcast_arrays(target, source)
    frame, image = _frame(target), _frame(source)
    # T^-1 is the transposed matrix of cofactors over the determinant; the scale is set below.
    cofactors = jnp.cross(jnp.roll(frame, -1, axis=-2), jnp.roll(frame, -2, axis=-2))
    theta = jnp.sum(image[..., :, :, None] * cofactors[..., :, None, :], axis=-3)
    weights = jnp.sum(theta[..., 2:, :] * _homogeneous(target), axis=-1)
    return theta / jnp.mean(weights, axis=-1)[..., None, None]


def _frame(points: Float[Array, "*b 4 2"]) -> Float[Array, "*b 3 3"]:
    """Returns, as rows, multiples of the first three points whose sum is one of the fourth."""
    a, b, c, d = jnp.moveaxis(_homogeneous(points), -2, 0)
    pairs = ((a, b, c), (b, c, a), (c, a, b))
    rows = [
        jnp.sum(d * jnp.cross(second, third), axis=-1, keepdims=True) * first
        for first, second, third in pairs
    ]
    return jnp.stack(rows, axis=-2)


def _homogeneous(points: Array) -> Array:
    return jnp.concatenate([points, jnp.ones_like(points[..., :1])], axis=-1)


def _with_corner(entries: Array, size: int) -> Array:
    """Appends the entry 1 and makes the vector a matrix."""
    entries = jnp.concatenate([entries, jnp.ones_like(entries[..., :1])], axis=-1)
    return entries.reshape(*entries.shape[:-1], size, size)


@dataclass(frozen=True)
class Projective(Transform):
    """All projective maps with ``theta[n, n] = 1``; parameters are its other entries by rows.

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

    def matrix(self, params: ArrayLike) -> Float[Array, "*b m m"]:
        """Returns the homogeneous matrix ``(*batch, n + 1, n + 1)``."""
        return _with_corner(jnp.asarray(params), self.ndim + 1)

    def apply(
        self, params: Float[Array, "p"], points: Float[Array, "*points n"]
    ) -> Float[Array, "*points n"]:
        """Maps points by one parameter vector."""
        return projective_points(self.matrix(params), points)

    def compose(self, p: ArrayLike, q: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of ``p`` after ``q``."""
        return self._params(jnp.matmul(self.matrix(p), self.matrix(q), precision="highest"))

    def invert(self, p: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of the inverse map."""
        return self._params(jnp.linalg.inv(self.matrix(p)))

    def _params(self, theta: Array) -> Array:
        theta = theta / theta[..., -1:, -1:]
        return theta.reshape(*theta.shape[:-2], self.num_params + 1)[..., :-1]
