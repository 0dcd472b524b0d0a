"""Sampling as an operator: linear in the image U, differentiable in the points x.

Four maps make it up:

    read(U, x) = V                    the samples
    jvp_points(U, dx, x) = dV         their change as the points move by dx
    splat(V', x) = U'                 the transpose of ``read`` in U: the image's gradient
    vjp_points(U, V', x) = x'         the transpose of ``jvp_points`` in dx: the points' gradient

Forward mode is the product rule, ``dV = read(dU, x) + jvp_points(U, dx, x)``; reverse mode is its
transpose, ``U' = splat(V', x)`` and ``x' = vjp_points(U, V', x)``. So reverse mode stores U and x
alone and recomputes taps, and a gradient that nobody uses is not evaluated.

Why primitives: a platform may have a fast form of each map. `jax.custom_vjp` could name the two
gradients, but has no forward mode, so no `jax.jvp`, `jax.hessian` or `jax.linearize`.
`jax.custom_jvp` has both modes, but JAX derives the transpose itself, from the code of the tangent:
a scatter for each tap where a platform knows something better. `jax.custom_derivatives.linear_call`
lets one choose a transpose, but has no batching rule that keeps a shared image shared, and its own
derivative is not defined in the points. Higher derivatives differentiate the functions below.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stn_jax.sampling import platforms
from stn_jax.sampling._primitive import Map
from stn_jax.sampling.interpolation import Interpolation


def sample(
    image: Float[Array, "*shape c"],
    points: Float[Array, "*points n"],
    interpolation: Interpolation,
    algorithm: str,
) -> Float[Array, "*points c"]:
    """Samples one image; batches are `jax.vmap`'s.

    Args:
        image: ``(*shape, c)``, n spatial axes.
        points: ``(*points, n)``, (x, y[, z]).
        interpolation: what a point reads.
        algorithm: a name of `platforms.BACKENDS`.

    Returns:
        Samples ``(*points, c)``.
    """
    shape = image.shape[:-1]  # Static, as the maps share their static arguments: splat needs it.
    return read(image, points, interpolation=interpolation, algorithm=algorithm, shape=shape)


# Each map for one image of spatial axes ``shape`` and any points, derived from an algorithm.


def _read(image: Array, x: Array, *, interpolation: Any, algorithm: str, shape: Any) -> Array:
    return platforms.ALGORITHMS[algorithm](image, x, interpolation)


def _jvp_points(image: Array, dx: Array, x: Array, **static: Any) -> Array:
    tangent: Array = jax.jvp(functools.partial(_read, image, **static), (x,), (dx,))[1]
    return tangent


def _splat(values: Array, x: Array, *, shape: Any, **static: Any) -> Array:
    zero = jnp.zeros((*shape, values.shape[-1]), values.dtype)
    pull = jax.vjp(lambda image: _read(image, x, shape=shape, **static), zero)[1]
    cotangent: Array = pull(values)[0]
    return cotangent


def _vjp_points(image: Array, values: Array, x: Array, **static: Any) -> Array:
    cotangent: Array = jax.vjp(functools.partial(_read, image, **static), x)[1](values)[0]
    return cotangent


# Below, functions of operands' shapes give the shape of a map's result.


def _map(name: str, function: Any, shape: Any, *, shares_first: bool = True) -> Map:
    return Map(
        name,
        platforms.derived(name, function),
        shape,
        run=platforms.run,
        platforms=platforms.PLATFORMS,
        shares_first=shares_first,
    )


read = _map("read", _read, lambda u, x, **_: (*x[:-1], u[-1]))
jvp_points = _map("jvp_points", _jvp_points, lambda u, d, x, **_: (*x[:-1], u[-1]))
splat = _map("splat", _splat, lambda v, x, *, shape, **_: (*shape, v[-1]), shares_first=False)
vjp_points = _map("vjp_points", _vjp_points, lambda u, v, x, **_: x)

read.change_of_points = jvp_points
read.transposes = {0: splat}
splat.transposes = {0: read}
jvp_points.transposes = {1: lambda v, u, x, **static: vjp_points(u, v, x, **static)}
vjp_points.transposes = {1: lambda d, u, x, **static: jvp_points(u, d, x, **static)}
