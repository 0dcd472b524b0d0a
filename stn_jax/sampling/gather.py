"""Sampling by gathers: every tap of every output is read from the image by its index."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.kernels import weigh


def sample(
    image: Float[Array, "*shape c"],
    points: Float[Array, "*points n"],
    interpolation: Interpolation,
) -> Float[Array, "*points c"]:
    """Samples one image: ``V = sum over taps of prod_k w_k * U[taps]``.

    Args:
        image: ``(*shape, c)``, n spatial axes.
        points: ``(*points, n)``, (x, y[, z]); NaN points give NaN.
        interpolation: what a point reads.

    Returns:
        Samples ``(*points, c)``.
    """
    shape = image.shape[:-1]
    x, nan_mask = interpolation.coordinates(jnp.unstack(points, axis=-1)[::-1], shape)
    read = [
        weigh(functools.reduce(jnp.multiply, weights)[..., None], read_pixels(image, indices))
        for indices, weights in product_taps(x, shape, interpolation)
    ]
    return jnp.where(nan_mask[..., None], jnp.nan, functools.reduce(jnp.add, read))


def product_taps(
    x: Sequence[Float[Array, "*points"]], shape: Sequence[Any], interpolation: Interpolation
) -> list[tuple[list[Int[Array, "*points"]], list[Float[Array, "*points"]]]]:
    """Lists ``(indices, weights)`` of every tap, with one of each an axis."""
    axes = [interpolation.taps(axis, size) for axis, size in zip(x, shape, strict=True)]
    return [
        ([index for index, _ in taps], [weight for _, weight in taps])
        for taps in itertools.product(*axes)
    ]


def row_major(
    indices: Sequence[Int[Array, "*points"]], shape: Sequence[Any]
) -> Int[Array, "*points"]:
    """Counts pixels row by row."""
    place = indices[0]
    for index, size in zip(indices[1:], shape[1:], strict=True):
        place = place * size + index
    return place


def read_pixels(
    image: Float[Array, "*shape c"], indices: Sequence[Int[Array, "*points"]]
) -> Float[Array, "*points c"]:
    """Reads whole pixels, all channels of each."""
    *shape, channels = image.shape
    rows = image.reshape(math.prod(shape), channels)
    return read_rows(rows, row_major(indices, shape)[..., None])


def read_rows(
    rows: Float[Array, "n c"], index: Int[Array, "*points 1"]
) -> Float[Array, "*points c"]:
    """Reads the rows of a matrix at indices that lie in it."""
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(index.ndim - 1,), collapsed_slice_dims=(0,), start_index_map=(0,)
    )
    sizes = (1, rows.shape[-1])
    return lax.gather(rows, index, numbers, sizes, mode="promise_in_bounds")
