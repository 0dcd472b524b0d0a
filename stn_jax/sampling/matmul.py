"""Sampling by matrix products: each axis has a matrix of weights, mostly zeros, and no gather.

``V[p] = sum_n W_x[n, p] sum_m W_y[m, p] U[m, n]``: the double sum of eq. 3, with a column of
weights for each point. The first sum is a matrix product, the second runs over what it leaves. That
is ``size`` times the work of reading a few pixels, in the one form that a TPU is quick at: the
compiler makes the weights where they are multiplied and stores none of them.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stn_jax.sampling.kernels import Kernel
from stn_jax.sampling.padding import Boundary

_MOST = 2**23  # Numbers that the first product may leave; beyond, points are read in chunks.


def sample(
    image: Float[Array, "*shape c"],
    coordinates: Sequence[Float[Array, "*points"]],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Float[Array, "*points c"]:
    """Samples one image at pixel coordinates; arguments as `stn_jax.sampling.gather.sample`."""
    *shape, channels = image.shape
    points = coordinates[0].shape
    count, chunk = math.prod(points), max(_MOST // math.prod(image.shape[1:]), 1)

    @jax.checkpoint  # What the first product leaves is made anew sooner than it is written down.
    def read(coordinates: Sequence[Float[Array, "p"]]) -> Float[Array, "c p"]:
        # Points come last throughout: the long axis lies along the lanes of the vector unit.
        total = image[..., None]
        for x, size in zip(coordinates, shape, strict=True):
            weights = _weights(x, size, kernel, boundary, align_corners)
            total = jnp.einsum("m...p,mp->...p", total, weights, precision="highest")
        return total

    flat = [x.reshape(-1) for x in coordinates]
    if not isinstance(count, int) or count <= chunk:  # a program for any size is not cut
        values = read(flat)
    else:
        padded = [jnp.pad(x, (0, -count % chunk)).reshape(-1, chunk) for x in flat]
        chunks = jax.lax.map(read, padded)
        values = jnp.moveaxis(chunks, 0, 1).reshape(channels, -1)[:, :count]
    return values.T.reshape(*points, channels)


def _weights(
    x: Float[Array, "p"], size: int, kernel: Kernel, boundary: Boundary, align_corners: bool
) -> Float[Array, "size p"]:
    """The weight of every pixel of one axis at every coordinate; taps in the frame have no row."""
    if boundary.framed or not (kernel.pads_taps or boundary.wraps):  # no tap that weighs is moved
        return kernel.profile(x, jnp.arange(size, dtype=x.dtype)[:, None])
    pixel = jnp.arange(size, dtype=jnp.int32)[:, None]
    return functools.reduce(
        jnp.add,
        [
            jnp.where(boundary.index(index, size, align_corners) == pixel, weight, 0)
            for index, weight in kernel.taps(x)
        ],
    )
