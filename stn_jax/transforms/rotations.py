"""Rotations by their vectors: an angle in 2-D; axis times angle in 3-D.

Convention:
    Radians, right-handed in (x, y, z): a positive angle turns from x towards y. All series are
    taken in the squared angle, so that every derivative is finite at the identity.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from stn_jax._mesh import constant_like
from stn_jax.transforms.inputs import add_batch

_SMALL = {jnp.dtype(jnp.float32): 1e-2, jnp.dtype(jnp.float64): 1e-5}
"""Squared angle below which three terms of a series are exact to rounding."""


def rotation_matrix(vector: Float[Array, "*b k"]) -> Float[Array, "*b n n"]:
    """Returns the rotation matrix: ``exp`` of the skew-symmetric matrix K of the vector.

    ``I + sin(a)/a K + (1 - cos(a))/a^2 K^2`` with ``a`` the vector's length (Rodrigues).

    Args:
        vector: ``(*batch, 1)`` for images, ``(*batch, 3)`` for volumes; float32 or float64.

    Returns:
        ``(*batch, 2, 2)`` or ``(*batch, 3, 3)``.
    """
    if vector.shape[-1] == 1:
        cos, sin = jnp.cos(vector), jnp.sin(vector)
        return jnp.stack(
            [jnp.concatenate([cos, -sin], -1), jnp.concatenate([sin, cos], -1)], axis=-2
        )
    square = jnp.sum(vector * vector, axis=-1)[..., None, None]
    x, y, z = jnp.unstack(vector, axis=-1)
    zero = constant_like(x, 0)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    skew = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
    twice = jnp.matmul(skew, skew, precision="highest")
    identity = add_batch(jnp.eye(3, dtype=skew.dtype), skew.ndim)
    # (1 - cos a) / a^2 = (sin(a/2) / (a/2))^2 / 2, which does not cancel.
    return identity + _sinc(square) * skew + _sinc(square / 4) ** 2 / 2 * twice


def compose_rotations(p: Float[Array, "*b k"], q: Float[Array, "*c k"]) -> Float[Array, "*d k"]:
    """Returns the vector of the rotation ``p`` after the rotation ``q``.

    Angles add in 2-D. In 3-D the product of unit quaternions ``(cos a/2, sin a/2 axis)``, whose
    vector is at most pi long.

    Args:
        p: ``(*batch, 1)`` or ``(*batch, 3)``; float32 or float64.
        q: as ``p``, with as many batch axes, which broadcast.

    Returns:
        As ``p``.
    """
    if p.shape[-1] == 1:
        return p + q
    (a, u), (b, v) = _quaternion(p), _quaternion(q)
    real = a * b - jnp.sum(u * v, axis=-1, keepdims=True)
    imaginary = a * v + b * u + jnp.cross(u, v)
    # A quaternion and its negative are one rotation: take the one of the shorter way round.
    sign = jnp.where(real < 0, -1, 1).astype(real.dtype)
    real, imaginary = sign * real, sign * imaginary
    square = jnp.sum(imaginary**2, axis=-1, keepdims=True)
    small = square < _SMALL[square.dtype]
    length = jnp.sqrt(jnp.where(small, 1, square))
    series = 1 + square / 6 + 3 * square**2 / 40  # arcsin(s) / s
    return 2 * imaginary * jnp.where(small, series, jnp.atan2(length, real) / length)


def _quaternion(vector: Array) -> tuple[Array, Array]:
    square = jnp.sum(vector**2, axis=-1, keepdims=True) / 4
    return _cos(square), _sinc(square) * vector / 2


def _sinc(square: Array) -> Array:
    """``sin(a) / a`` of ``a^2``."""
    small = square < _SMALL[square.dtype]
    a = jnp.sqrt(jnp.where(small, 1, square))
    return jnp.where(small, 1 - square / 6 + square**2 / 120, jnp.sin(a) / a)


def _cos(square: Array) -> Array:
    """``cos(a)`` of ``a^2``."""
    small = square < _SMALL[square.dtype]
    a = jnp.sqrt(jnp.where(small, 1, square))
    return jnp.where(small, 1 - square / 2 + square**2 / 24, jnp.cos(a))
