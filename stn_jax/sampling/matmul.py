"""Sampling by matrix products: each axis has a matrix of weights, mostly zeros, and no gather.

``V[p] = sum_n W_x[n, p] sum_m W_y[m, p] U[m, n]``: the double sum of eq. 3, with a column of
weights for each point. The first sum is a matrix product, the second runs over what it leaves. That
is ``size`` times the work of reading a few pixels, in the form that matrix units are made for: the
compiler computes the weights where they are multiplied and stores none of them.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stn_jax.sampling import nonfinite
from stn_jax.sampling.interpolation import Interpolation

_MAX_INTERMEDIATE = 2**23  # Numbers that the first product may leave; beyond, by chunks of points.


def sample(
    image: Float[Array, "*shape c"],
    points: Float[Array, "*points n"],
    interpolation: Interpolation,
) -> Float[Array, "*points c"]:
    """Samples one image of finite pixels; arguments as `stn_jax.sampling.gather.sample`."""
    *shape, channels = image.shape
    x, nan_mask = interpolation.coordinates(jnp.unstack(points, axis=-1)[::-1], tuple(shape))

    @jax.checkpoint  # Rematerializing what the first product leaves is faster than storing it.
    def read(x: list[Float[Array, "q"]]) -> Float[Array, "c q"]:
        # Points come last throughout: the long axis lies along the lanes of the vector unit.
        total = image[..., None]
        for axis, size in zip(x, shape, strict=True):
            weights = _weights(axis, size, interpolation)
            total = jnp.einsum("m...p,mp->...p", total, weights, precision="highest")
        return total

    count = math.prod(points.shape[:-1])
    static = all(isinstance(size, int) for size in (*image.shape, count))
    chunk = max(_MAX_INTERMEDIATE // max(math.prod(image.shape[1:]), 1), 1) if static else count
    if not static or count <= chunk:
        values = read([axis.reshape(count) for axis in x])
    else:
        flat = [axis.reshape(count) for axis in x]
        padded = [jnp.pad(axis, (0, -count % chunk)).reshape(-1, chunk) for axis in flat]
        chunks = jax.lax.map(read, padded)
        values = jnp.moveaxis(chunks, 0, 1).reshape(channels, -1)[:, :count]
    values = values.T.reshape(*nan_mask.shape, channels)
    return jnp.where(nan_mask[..., None], jnp.nan, values)


def _weights(
    x: Float[Array, "p"], size: Any, interpolation: Interpolation
) -> Float[Array, "size p"]:
    """The weight of every pixel of one axis at every coordinate."""
    kernel, padding = interpolation.kernel, interpolation.padding
    pixel = jnp.arange(size, dtype=jnp.int32)[:, None]
    is_moved = padding.pad_coordinate is None and not padding.zero_outside
    if kernel.radius and not (kernel.pads_each_tap or is_moved):
        # Padding moves no tap that has a weight: no list of taps, which would be stored.
        return kernel.weight_at(x[None], pixel.astype(x.dtype))
    return functools.reduce(
        jnp.add,
        [
            jnp.where(index[None] == pixel, weight[None], 0)
            for index, weight in interpolation.taps(x, size)
        ],
    )


def finite(name: str, function: Callable[..., Array]) -> Callable[..., Array]:
    """Makes a map of `stn_jax.sampling.operator`, as derived from `sample`, right for any pixels.

    Args:
        name: the map's.
        function: ``(*operands) -> array`` for one image, linear in the first operand.
    """

    def guarded(array: Array, *rest: Array) -> Array:
        if name in ("read", "splat"):
            return nonfinite.finite_product(lambda a: function(a, *rest))(array)
        # Changes and cotangents belong to points, not to pixels, so those that are not finite
        # cannot spread. They are scaled to 1, since finite_product tells values apart by size.
        values, exponent, is_bad = nonfinite.normalize(rest[0])

        if name == "jvp_points":
            product = nonfinite.finite_product(lambda u: function(u, values, *rest[1:]))(array)
            return jnp.where(is_bad, jnp.nan, nonfinite.scale(product, exponent))
        # A point's gradient stays an array for each coordinate, as it is computed and used.
        columns = nonfinite.finite_product(
            lambda u: jnp.unstack(function(u, values, *rest[1:]), axis=-1)
        )(array)
        scaled = [nonfinite.scale(column, exponent[:, 0]) for column in columns]
        return jnp.stack([jnp.where(is_bad[:, 0], jnp.nan, x) for x in scaled], axis=-1)

    def on_flat_points(*operands: Array) -> Array:
        # With one axis of points, and above an array for each coordinate, the long axis lies along
        # the lanes of the vector unit.
        images = 0 if name == "splat" else 1
        points = operands[-1].shape[:-1]
        rows = [x.reshape(math.prod(points), x.shape[-1]) for x in operands[images:]]
        out = guarded(*operands[:images], *rows)
        return out.reshape(*points, out.shape[-1]) if images else out

    return on_flat_points
