"""Sampling without gathers where axes do not mix: a matrix of weights for each axis.

``V = W_y U W_x^T`` with ``W[j, m] = k((x_j - m) / s) / sum_m k((x_j - m) / s)``; with s = 1 this is
eq. 3 of the paper, with s > 1 the kernel covers the pixels that fall onto one output pixel.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax import _checks as checks
from stn_jax import coordinates as coords
from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.sampling import kernels
from stn_jax.sampling.kernels import Kernel
from stn_jax.sampling.padding import PADDING_MODES, Boundary


def separable_sample(
    image: ArrayLike,
    scale: ArrayLike,
    translation: ArrayLike,
    shape: Sequence[int],
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    fill_value: ArrayLike = 0.0,
    cubic_coefficient: float = -0.75,
    antialias: bool = True,
    align_corners: bool = ALIGN_CORNERS,
) -> jax.Array:
    """Samples an image under ``x_s = scale x_t + translation``: crop, pan, zoom and resize.

    ``V = W_y U W_x^T``, one matrix of weights an axis: no gather, exact for any footprint, and
    what a TPU is quick at. With ``antialias`` a kernel that shrinks an axis by s is s pixels wide
    there, as in ``jax.image.resize(antialias=True)``; without it, and wherever nothing shrinks,
    the result is that of `grid_sample` on the same grid. Cost: ``h_out h w c + h_out w_out w c``
    multiplications.

    Convention:
        Normalised coordinates, points (x, y[, z]), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        image: ``(*batch, h, w, c)`` or ``(*batch, d, h, w, c)``, floating.
        scale: ``(*batch, n)``, along x, y[, z]; negative mirrors.
        translation: ``(*batch, n)``.
        shape: spatial shape of the output.
        mode: ``"bilinear"`` or ``"bicubic"``; ``"nearest"`` only without antialias.
        padding_mode: as for `grid_sample`. Unlike ``jax.image``, weights outside the image count:
            zeros darken the edge.
        fill_value: as for `grid_sample`.
        cubic_coefficient: as for `grid_sample`.
        antialias: whether to widen the kernel where the map shrinks; up to the image's own size.
        align_corners: see the convention.

    Returns:
        ``(*batch, *shape, c)`` in the image's dtype; coordinates as in `grid_sample`.

    Raises:
        ValueError: for shapes or names that do not fit.
        TypeError: for an image that is not floating.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.2 (attention) and eq. 3.

    Example:
        >>> image = jnp.arange(16.0).reshape(4, 4, 1)
        >>> one, zero = jnp.ones(2), jnp.zeros(2)
        >>> separable_sample(image, one, zero, (1, 1), padding_mode="border").tolist()
        [[[7.5]]]
    """
    image, scale, translation = jnp.asarray(image), jnp.asarray(scale), jnp.asarray(translation)
    checks.name("mode", mode, kernels.MODES)
    checks.name("padding_mode", padding_mode, PADDING_MODES)
    checks.antialias(antialias, mode)
    checks.separable_sample(image, scale, translation, shape)
    fill = checks.fill(fill_value, padding_mode, image.shape[-1])

    values = _sample_batch(
        image if fill is None else image - fill,
        *jnp.broadcast_arrays(scale, translation),
        shape=tuple(map(int, shape)),
        mode=mode,
        padding_mode=padding_mode,
        cubic_coefficient=float(cubic_coefficient),
        antialias=bool(antialias),
        align_corners=bool(align_corners),
    )
    return values if fill is None else values + fill


@functools.partial(
    jax.jit,
    static_argnames=(
        "shape",
        "mode",
        "padding_mode",
        "cubic_coefficient",
        "antialias",
        "align_corners",
    ),
)
def _sample_batch(
    image: jax.Array,
    scale: jax.Array,
    translation: jax.Array,
    *,
    shape: tuple[int, ...],
    mode: str,
    padding_mode: str,
    cubic_coefficient: float,
    antialias: bool,
    align_corners: bool,
) -> jax.Array:
    kernel = kernels.named(mode, cubic_coefficient)
    boundary = PADDING_MODES[padding_mode]
    dtype = coords.coordinate_dtype(image, scale, translation)

    def sample_one(image: jax.Array, scale: jax.Array, translation: jax.Array) -> jax.Array:
        for axis, (size, count) in enumerate(zip(image.shape, shape, strict=False)):
            s, t = scale[-1 - axis], translation[-1 - axis]
            points = coords.identity_grid((count,), align_corners=align_corners, dtype=dtype)[:, 0]
            x = coords.normalized_to_pixel(s * points + t, size, align_corners=align_corners)
            pitches = [coords.pixel_pitch(k, align_corners=align_corners) for k in (count, size)]
            step = jnp.abs(s) * (pitches[0] / pitches[1]) if all(pitches) else jnp.ones_like(s)
            most = size if antialias else 1
            width = jnp.where(step > 1, jnp.where(step < most, step, most), 1)
            weights = _weights(x, width, most, size, kernel, boundary, align_corners)
            image = jnp.moveaxis(
                jnp.tensordot(weights, image, axes=(1, axis), precision="highest"), 0, axis
            )
        return image

    n = len(shape)
    source = ",".join("abd"[:n])
    target = ",".join("hwk"[:n])
    batched = jnp.vectorize(sample_one, signature=f"({source},c),(n),(n)->({target},c)")
    values = batched(image.astype(dtype), scale.astype(dtype), translation.astype(dtype))
    return values.astype(image.dtype)


def _weights(
    x: Float[Array, "m"],
    width: Array,
    most: int,
    size: int,
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Float[Array, "m size"]:
    """The weight of every pixel at every coordinate, the kernel ``width <= most`` pixels wide."""
    if not kernel.pads_taps:
        x = jnp.where(width > 1, x, boundary.fold(x, size, align_corners))
    reach = max(map(abs, kernel.offsets)) * most + 1
    if boundary.period is None:  # from further away no kernel touches the image
        x = jnp.where(x <= -reach, -reach, jnp.where(x >= size + reach, size + reach, x))
        position = jnp.arange(-2 * reach, size + 2 * reach)
    else:
        period = boundary.period(size, align_corners)
        x = jnp.mod(boundary.limit(x, size, align_corners), period)
        position = jnp.arange(-reach, period + reach)

    def profile(x: Array, position: Array) -> Array:
        return kernel.profile(x[:, None] / width, position.astype(x.dtype) / width)

    whole = jnp.sum(profile(x - jnp.floor(x), jnp.arange(-reach, reach + 1)), axis=1)
    if boundary.framed:
        return profile(x, jnp.arange(size)) / whole[:, None]
    # Each position is a pixel of the continued image: add up what falls onto the same pixel.
    pixel = boundary.index(position, size, align_corners)
    onto = (pixel[:, None] == jnp.arange(size)).astype(x.dtype)
    return jnp.matmul(profile(x, position) / whole[:, None], onto, precision="highest")
