"""Splines of radial basis functions: their linear system, and their values.

Functions that take ``xp`` serve NumPy, in float64 outside of a program, and jax.numpy inside.
"""

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stn_jax._mesh import constant_like

_PAIRS = 2**20
"""Pairs of a point and a control point that are evaluated at once."""

_BLOCK = 32
"""Terms that are summed before sums are."""


def add_spline(
    points: Float[Array, "*points 2"],
    shift: Float[Array, "2"],
    centres: Float[Array, "k 2"],
    centre: Float[Array, "2"],
    size: Float[Array, ""],
    coefficients: Float[Array, "k_plus_3 2"],
) -> Float[Array, "*points 2"]:
    """Maps points by ``p + shift + A (1, p') + sum_i w_i U(|p' - c_i|)``.

    With ``p' = (p - centre) / size``, the unit in which ``centres`` are.
    """

    def displacement(point: Float[Array, "2"]) -> Float[Array, "2"]:
        point = (point - centre) / size
        delta = point[None] - centres
        bumps = bump(jnp, jnp.sum(delta * delta, axis=-1))
        basis = jnp.concatenate([bumps, constant_like(bumps[:1], 1), point])
        return product(basis, coefficients) + shift

    flat = points.reshape(-1, 2)
    k = centres.shape[0]
    if not isinstance(flat.shape[0], int) or flat.shape[0] * k <= _PAIRS:
        moved = jax.vmap(displacement)(flat)
    else:  # recomputed for the gradient, which would otherwise keep all pairs
        moved = jax.lax.map(jax.checkpoint(displacement), flat, batch_size=max(_PAIRS // k, 1))
    return points + moved.reshape(points.shape)


def product(a: Float[Array, "*rows k"], b: Float[Array, "k c"]) -> Float[Array, "*rows c"]:
    """The matrix product, summed block by block.

    Thousands of large terms of opposite signs cancel; a plain running sum loses four times as much.
    """
    blocks = -(-a.shape[-1] // _BLOCK)
    missing = blocks * _BLOCK - a.shape[-1]
    a = jnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, missing)])
    a = a.reshape(*a.shape[:-1], blocks, _BLOCK)
    b = jnp.pad(b, [(0, missing), (0, 0)]).reshape(blocks, _BLOCK, b.shape[-1])
    return jnp.sum(jnp.einsum("...bi,bic->...bc", a, b, precision="highest"), axis=-2)


def bump(xp: ModuleType, r2: Any) -> Any:
    """``U = r^2 log r^2`` of the squared radius, with value and derivative 0 at 0."""
    positive = r2 > 0
    return xp.where(positive, r2 * xp.log(xp.where(positive, r2, 1)), 0)


def unit(xp: ModuleType, points: Any) -> tuple[Any, Any]:
    """The centre and the extent of control points.

    In units of the extent ``|U|`` is small (0.4 within it), and what rounds is w U.
    """
    return xp.mean(points, axis=0), xp.max(xp.max(points, axis=0) - xp.min(points, axis=0))


def system(xp: ModuleType, points: Any, regularization: Any) -> Any:
    """The matrix ``(k + 3, k + 3)`` of the conditions on w and A, of points in their own unit."""
    k = points.shape[0]
    delta = points[:, None] - points[None]
    kernel = bump(xp, xp.sum(delta**2, axis=-1)) + regularization * xp.eye(k, dtype=points.dtype)
    one = xp.where(xp.isnan(points[:, :1]), 1, 1).astype(points.dtype)  # see `_mesh.constant_like`
    plane = xp.concatenate([one, points], axis=-1)
    corner = xp.zeros_like(plane[:3])
    return xp.concatenate(
        [
            xp.concatenate([kernel, plane], axis=-1),
            xp.concatenate([plane.T, corner], axis=-1),
        ]
    )
