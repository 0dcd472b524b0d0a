"""The homography that takes four points to four points."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax._mesh import constant_like
from stn_jax.transforms.inputs import align_batches, as_coordinates, compiled, concrete


def homography_from_points(target: ArrayLike, source: ArrayLike) -> Float[Array, "*b 3 3"]:
    """Returns the homography that takes four target points to four source points.

    ``theta = S T^-1``, where S and T take the projective frame (the three unit vectors and their
    sum) to the homogeneous source and target points: a closed form of cross products, no linear
    solve. Both sets are moved to the origin and scaled to its surroundings first, so points may be
    normalised, pixels, metres or places on a slide. theta is scaled so that W, the homogeneous
    weight, is 1 on average over the target points: they lie in front of the horizon, wherever the
    origin is.

    Args:
        target: ``(*batch, 4, 2)`` points (x, y), no three on a line.
        source: ``(*batch, 4, 2)``, where each of them is read; no three on a line. Convex as
            the target is, or else some point has to lie behind the horizon.

    Returns:
        ``(*batch, 3, 3)`` for `projective_grid`; float32 (float64 for float64 points).

    Raises:
        ValueError: if either is not ``(*batch, 4, 2)``, or has three points on a line (where points
            are traced: theta is then singular, or not finite).

    References:
        Hartley, "In defense of the eight-point algorithm", 1997. Hartley and Zisserman, "Multiple
        View Geometry", 2nd ed., section 4.1.

    Example:
        >>> square = jnp.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        >>> homography_from_points(square, square * 0.5).round(5) + 0.0
        Array([[0.5, 0. , 0. ],
               [0. , 0.5, 0. ],
               [0. , 0. , 1. ]], dtype=float32)
    """
    target, source = as_coordinates(target=target, source=source)
    for name, points in (("target", target), ("source", source)):
        if points.shape[-2:] != (4, 2):
            raise ValueError(f"{name} has shape {points.shape}; four points (*batch, 4, 2) needed.")
    for name, points in (("target", target), ("source", source)):
        if concrete(points):
            _check_lines(name, np.asarray(jax.device_get(points)))
    target, source = align_batches(2, target=target, source=source)
    return _homography(target, source)


def _check_lines(name: str, points: np.ndarray) -> None:
    """Refuses points of which three lie on a line, as far as their dtype can tell."""
    rounding = np.finfo(points.dtype).eps * np.abs(points).max(axis=(-2, -1), initial=0)
    points = points.astype(np.float64)
    extent = np.ptp(points, axis=-2).max(axis=-1)
    for left_out in range(4):
        a, b, c = np.moveaxis(np.delete(points, left_out, axis=-2), -2, 0)
        (ux, uy), (vx, vy) = np.moveaxis(b - a, -1, 0), np.moveaxis(c - a, -1, 0)
        if (np.abs(ux * vy - uy * vx) <= 4 * rounding * extent).any():
            three = [k for k in range(4) if k != left_out]
            raise ValueError(
                f"{name} has points {three} on one line (or two of them in one place); four points "
                "determine a homography where no three are on a line."
            )


@compiled
def _homography(target: Float[Array, "*b 4 2"], source: Float[Array, "*c 4 2"]) -> Array:
    target, target_centre, target_size = _normalized(target)
    source, source_centre, source_size = _normalized(source)
    frame, image = _frame(target), _frame(source)
    # T^-1 is the transposed matrix of cofactors over the determinant; the scale is set below.
    cofactors = jnp.cross(jnp.roll(frame, -1, axis=-2), jnp.roll(frame, -2, axis=-2))
    theta = jnp.sum(image[..., :, :, None] * cofactors[..., :, None, :], axis=-3)
    weights = jnp.sum(theta[..., 2:, :] * _homogeneous(target), axis=-1)
    theta = theta / jnp.mean(weights, axis=-1, keepdims=True)[..., None]
    # (x - centre) / size of the target comes before theta, size x + centre of the source after it.
    linear = theta[..., :2] / target_size
    shift = theta[..., 2:] - jnp.sum(linear * target_centre, axis=-1, keepdims=True)
    theta = jnp.concatenate([linear, shift], axis=-1)
    last = theta[..., 2:, :]
    points = theta[..., :2, :] * source_size + jnp.swapaxes(source_centre, -1, -2) * last
    return jnp.concatenate([points, last], axis=-2)


def _normalized(points: Float[Array, "*b 4 2"]) -> tuple[Array, Array, Array]:
    """Returns points about the origin, at a mean distance of about 1, their centre and size."""
    centre = jnp.mean(points, axis=-2, keepdims=True)
    size = jnp.mean(jnp.abs(points - centre), axis=(-2, -1), keepdims=True)
    centre, size = jax.lax.stop_gradient((centre, size))  # theta does not depend on them
    return (points - centre) / size, centre, size


def _frame(points: Float[Array, "*b 4 2"]) -> Float[Array, "*b 3 3"]:
    """Returns, as rows, multiples of the first three points whose sum is one of the fourth."""
    a, b, c, d = jnp.unstack(_homogeneous(points), axis=-2)
    pairs = ((a, b, c), (b, c, a), (c, a, b))
    rows = [
        jnp.sum(d * jnp.cross(second, third), axis=-1, keepdims=True) * first
        for first, second, third in pairs
    ]
    return jnp.stack(rows, axis=-2)


def _homogeneous(points: Array) -> Array:
    return jnp.concatenate([points, constant_like(points[..., :1], 1)], axis=-1)
