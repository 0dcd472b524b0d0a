"""Sampling as the paper writes it, eq. 3: the double sum over all pixels. Slow and plain.

``V = sum_n sum_m U[n, m] k(y - n) k(x - m)``, taken over the image continued beyond its edges by
the padding. Every other algorithm is tested against this one.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from stn_jax import coordinates as coords
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.kernels import weigh

_MARGIN = 8  # More than a clamped coordinate and its taps reach beyond the image.


def sample(
    image: Float[Array, "*shape c"],
    points: Float[Array, "*points n"],
    interpolation: Interpolation,
) -> Float[Array, "*points c"]:
    """Samples one image; arguments as `stn_jax.sampling.gather.sample`."""
    kernel, padding, align_corners = (
        interpolation.kernel,
        interpolation.padding,
        interpolation.align_corners,
    )
    x, nan_mask = interpolation.coordinates(jnp.unstack(points, axis=-1)[::-1], image.shape[:-1])
    count = math.prod(nan_mask.shape)
    # Each pass sums over the leading pixel axis; from the second on, points are an axis too.
    total = image[None]
    for axis, size in zip(x, image.shape, strict=False):
        axis = axis.reshape(count) if kernel.radius else kernel.origin(axis.reshape(count))
        position = jnp.arange(-_MARGIN, 2 * size + _MARGIN, dtype=jnp.int32)
        number = coords.number_like(size, position)
        pixel = padding.pad_index(position, number, align_corners)
        continued = jnp.take(total, pixel, axis=1)
        if padding.period is not None:
            axis = jnp.mod(axis, padding.period(coords.number_like(size, axis), align_corners))
        weight = kernel.weight_at(axis[:, None], position[None].astype(axis.dtype))
        weight = weight / jnp.sum(weight, axis=1, keepdims=True)
        if padding.constant:
            weight = jnp.where((position >= 0) & (position < number), weight, 0)
        product = weigh(weight.reshape(*weight.shape, *[1] * (total.ndim - 2)), continued)
        total = jnp.sum(product, axis=1)
    values = total.reshape(*nan_mask.shape, image.shape[-1])
    return jnp.where(nan_mask[..., None], jnp.nan, values)
