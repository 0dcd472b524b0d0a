"""Sampling as the paper writes it, eq. 3: the double sum over all pixels. Slow and plain.

``V = sum_n sum_m U[n, m] k(y - n) k(x - m)``, taken over the image continued beyond its edges by
the boundary. Every other backend is tested against this one.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from stn_jax.sampling.kernels import Kernel
from stn_jax.sampling.padding import Boundary

_MARGIN = 8  # More than a limited coordinate and its taps reach beyond the image.


def sample(
    image: Float[Array, "*shape c"],
    coordinates: Sequence[Float[Array, "*points"]],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Float[Array, "*points c"]:
    """Samples one image at pixel coordinates; arguments as `stn_jax.sampling.gather.sample`."""
    points = coordinates[0].shape
    # Each pass sums over the leading pixel axis; from the second on, points are an axis too.
    total = image[None]
    for x, size in zip(coordinates, image.shape, strict=False):
        position = jnp.arange(-_MARGIN, 2 * size + _MARGIN)
        pixel = boundary.index(position, size, align_corners)
        continued = jnp.take(total, jnp.clip(pixel, 0, size - 1), axis=1)
        if boundary.framed:
            inside = (position >= 0) & (position < size)
            continued = jnp.where(inside.reshape(1, -1, *[1] * (total.ndim - 2)), continued, 0)
        if boundary.period is not None:
            x = jnp.mod(x, boundary.period(size, align_corners))
        weight = kernel.profile(x.reshape(-1, 1), position.astype(x.dtype))
        total = jnp.sum(weight.reshape(*weight.shape, *[1] * (total.ndim - 2)) * continued, axis=1)
    return total.reshape(*points, image.shape[-1])
