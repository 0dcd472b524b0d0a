"""Sampling by gathers: every tap of every output is read from the image by its index."""

import functools
import itertools
import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

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
    x, nan_mask = interpolation.coordinates(points, image.shape[:-1])
    return sample_at(image, x, nan_mask, interpolation)


def sample_at(
    image: Float[Array, "*shape c"],
    x: Sequence[Float[Array, "*points"]],
    nan_mask: Bool[Array, "*points"],
    interpolation: Interpolation,
) -> Float[Array, "*points c"]:
    """Samples one image at the coordinates of `Interpolation.coordinates`."""
    read = [
        weigh(weight[..., None], read_pixels(image, place))
        for place, weight in product_taps(x, image.shape[:-1], interpolation)
    ]
    return jnp.where(nan_mask[..., None], jnp.nan, functools.reduce(jnp.add, read))


def product_taps(
    x: Sequence[Float[Array, "*points"]], shape: Sequence[int], interpolation: Interpolation
) -> list[tuple[Int[Array, "*points"], Float[Array, "*points"]]]:
    """Lists ``(place, weight)`` of every tap; a place counts pixels row by row."""
    axes = [interpolation.taps(axis, size) for axis, size in zip(x, shape, strict=True)]
    return [
        (
            row_major([index for index, _ in combination], shape),
            functools.reduce(jnp.multiply, [weight for _, weight in combination]),
        )
        for combination in itertools.product(*axes)
    ]


def row_major(
    indices: Sequence[Int[Array, "*points"]], shape: Sequence[int]
) -> Int[Array, "*points"]:
    """Counts pixels row by row."""
    place = indices[0]
    for index, size in zip(indices[1:], shape[1:], strict=True):
        place = place * size + index
    return place


def read_pixels(
    image: Float[Array, "*shape c"], place: Int[Array, "*points"]
) -> Float[Array, "*points c"]:
    """Reads whole pixels, all channels of each."""
    channels = image.shape[-1]
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(place.ndim,), collapsed_slice_dims=(0,), start_index_map=(0,)
    )
    return lax.gather(
        image.reshape(math.prod(image.shape[:-1]), channels),
        place[..., None],
        numbers,
        (1, channels),
        mode="promise_in_bounds",
    )
