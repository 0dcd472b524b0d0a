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
    *shape, channels = image.shape
    x, nan_mask = interpolation.coordinates(jnp.unstack(points, axis=-1)[::-1], tuple(shape))
    count = math.prod(nan_mask.shape)
    weight, continued = jnp.ones((count,), image.dtype), image
    for axis, (coordinate, size) in enumerate(zip(x, shape, strict=True)):
        position = jnp.arange(-_MARGIN, 2 * size + _MARGIN, dtype=jnp.int32)
        number = coords.number_like(size, position)
        pixel = padding.pad_index(position, number, align_corners)
        continued = jnp.take(continued, pixel, axis=axis, mode="clip")
        at = (
            coordinate.reshape(count) if kernel.radius else kernel.origin(coordinate.reshape(count))
        )
        if padding.period is not None:
            at = jnp.mod(at, padding.period(coords.number_like(size, at), align_corners))
        k = kernel.weight_at(at[:, None], position[None].astype(at.dtype))
        k = k / jnp.sum(k, axis=1, keepdims=True)
        if padding.zero_outside:
            k = jnp.where(((position >= 0) & (position < number))[None], k, 0)
        weight = weight[..., None] * k.reshape(count, *[1] * axis, k.shape[1])
    terms = weigh(weight[..., None], continued[None])
    values = jnp.sum(terms, axis=tuple(range(1, len(shape) + 1)))
    values = values.reshape(*nan_mask.shape, channels)
    return jnp.where(nan_mask[..., None], jnp.nan, values)
