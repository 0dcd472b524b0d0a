"""Sampling by gathers: every tap of every output is read from the image by its index.

The product of one-dimensional taps over the axes, for one image; batches are `jax.vmap`'s.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from stn_jax.sampling.boundary import Boundary
from stn_jax.sampling.kernels import Kernel


def sample(
    image: Float[Array, "*shape c"],
    coordinates: Sequence[Float[Array, "*points"]],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Float[Array, "*points c"]:
    """Samples one image at pixel coordinates: ``V = sum over taps of prod_k w_k * U[taps]``.

    Args:
        image: ``(*shape, c)``, n spatial axes.
        coordinates: n arrays of pixel coordinates in the order of the image's axes, limited, and
            folded where the kernel does not pad its taps.
        kernel: the one-dimensional taps.
        boundary: what a tap outside the image reads.
        align_corners: where a reflecting boundary has its mirrors.

    Returns:
        Samples ``(*points, c)``.
    """
    if boundary.framed:
        image = jnp.pad(image, [(1, 1)] * len(coordinates) + [(0, 0)])
    rule = (kernel, boundary, align_corners)
    return _sample(rule, (0,) * len(coordinates), image, tuple(coordinates))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _sample(
    rule: tuple[Kernel, Boundary, bool],
    orders: tuple[int, ...],
    image: Float[Array, "*framed c"],
    coordinates: tuple[Float[Array, "*points"], ...],
) -> Float[Array, "*points c"]:
    """The samples' derivative of order ``orders[k]`` along each axis k."""
    *shape, channels = image.shape
    axes = [
        _axis_taps(rule, order, x, size)
        for order, x, size in zip(orders, coordinates, shape, strict=True)
    ]
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    rows = image.reshape(-1, channels)
    total = jnp.zeros((*coordinates[0].shape, channels), image.dtype)
    for taps in itertools.product(*axes):
        row = sum(i * stride for (i, _), stride in zip(taps, strides, strict=True))
        weight = functools.reduce(jnp.multiply, (w for _, w in taps))
        total += weight[..., None] * rows.at[row].get(mode="promise_in_bounds")
    return total


def _axis_taps(
    rule: tuple[Kernel, Boundary, bool], order: int, x: Array, size: int
) -> list[tuple[Array, Array]]:
    """Taps of one axis, as indices into the (framed) image."""
    kernel, boundary, align_corners = rule
    frame = int(boundary.framed)
    return [
        (boundary.index(i, size - 2 * frame, align_corners) + frame, weight)
        for i, weight in kernel.taps(x, order)
    ]


@functools.partial(_sample.defjvp, symbolic_zeros=True)
def _sample_jvp(
    rule: tuple[Kernel, Boundary, bool], orders: tuple[int, ...], primals: Any, tangents: Any
) -> tuple[Array, Array]:
    """``dV = sample(dU) + sum_k dV/dx_k dx_k``, where dV/dx_k has one order more along axis k.

    Written by hand so that reverse mode keeps one derivative for each axis and not every tap,
    that nothing is computed for an image without a tangent, and that the derivative of a
    derivative is again a sample.
    """
    image, coordinates = primals
    image_tangent, coordinate_tangents = tangents
    value = _sample(rule, orders, image, coordinates)
    tangent = jnp.zeros_like(value)
    if not isinstance(image_tangent, SymbolicZero):
        tangent += _sample(rule, orders, image_tangent, coordinates)
    for axis, dx in enumerate(coordinate_tangents):
        if not isinstance(dx, SymbolicZero):
            raised = tuple(order + (axis == k) for k, order in enumerate(orders))
            tangent += _sample(rule, raised, image, coordinates) * dx[..., None]
    return value, tangent
