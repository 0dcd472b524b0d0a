"""Sampling without gathers where axes do not mix: a matrix of weights for each axis.

``V = W_y U W_x^T`` with ``W[j, m] = k((x_j - m) / s) / sum_m k((x_j - m) / s)``; with s = 1 this is
eq. 3 of the paper, with s > 1 the kernel covers the pixels that fall onto one output pixel.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax import _checks as checks
from stn_jax import _mesh
from stn_jax import coordinates as coords
from stn_jax._jit import jit
from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.sampling import kernels
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.kernels import weigh
from stn_jax.sampling.nonfinite import finite_product
from stn_jax.sampling.padding import PADDING_MODES, clip

_FAR = 1e7  # A position that no kernel reaches.


def separable_sample(
    image: ArrayLike,
    scale: ArrayLike,
    translation: ArrayLike,
    shape: Sequence[int],
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    fill_value: ArrayLike | Sequence[float] = 0.0,
    cubic_coefficient: float = -0.75,
    antialias: bool | np.bool_ = True,
    align_corners: bool = ALIGN_CORNERS,
) -> jax.Array:
    """Samples an image under ``x_s = scale x_t + translation``: crop, pan, zoom and resize.

    ``V = W_y U W_x^T``, one matrix of weights an axis: no gather, exact for any footprint, and
    fast on matrix units. With ``antialias`` a kernel that shrinks an axis by s is s pixels wide
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
        mode: ``"bilinear"``, ``"bicubic"`` or ``"lanczos3"``; ``"nearest"`` only without antialias.
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
    checks.name("mode", mode, kernels.MODES)
    checks.name("padding_mode", padding_mode, PADDING_MODES)
    checks.antialias(antialias, mode)
    image, scale, translation, shape = checks.separable_sample(image, scale, translation, shape)
    fill = checks.fill(
        fill_value,
        padding_mode,
        image.shape[-1],
        has_fill=PADDING_MODES[padding_mode].fill is not None,
    )
    interpolation = Interpolation(
        kernels.MODES[mode](float(cubic_coefficient)),
        PADDING_MODES[padding_mode],
        bool(align_corners),
    )
    return _sample_batch(image, scale, translation, fill, shape, interpolation, bool(antialias))


def _split(image: jax.Array, scale: jax.Array, translation: jax.Array, *_: Any) -> _mesh.Split:
    """How samples are split over an explicit mesh: as the batch and the channels are."""
    n, of_image = scale.shape[-1], _mesh.split_of(image)
    batch = _mesh.merge_splits(
        of_image[: -n - 1], _mesh.split_of(scale)[:-1], _mesh.split_of(translation)[:-1]
    )
    return (*batch, *[None] * n, of_image[-1])


@jit(static_argnums=(4, 5, 6))  # so that an eager call compiles once
@_mesh.auto_axes(_split)
def _sample_batch(
    image: jax.Array,
    scale: jax.Array,
    translation: jax.Array,
    fill: jax.Array | None,
    shape: tuple[Any, ...],
    interpolation: Interpolation,
    antialias: bool,
) -> jax.Array:
    """Samples every image of a batch."""
    n = len(shape)
    dtype = coords.coordinate_dtype(image, scale, translation)
    if fill is not None:
        fill = jnp.broadcast_to(fill.astype(dtype), image.shape[-1:])
    source, target = ",".join("abd"[:n]), ",".join("hwk"[:n])
    batched: Callable[..., Array] = jnp.vectorize(
        functools.partial(_sample_image, fill, shape, interpolation, antialias),
        signature=f"({source},c),(n),(n)->({target},c)",
    )
    operands = checks.equal_ranks((image, n + 1), (scale, 1), (translation, 1))
    return batched(*(x.astype(dtype) for x in operands)).astype(image.dtype)


def _sample_image(
    fill: Float[Array, " c"] | None,
    shape: tuple[Any, ...],
    interpolation: Interpolation,
    antialias: bool,
    image: Float[Array, "*shape c"],
    scale: Float[Array, " n"],
    translation: Float[Array, " n"],
) -> Float[Array, "*out_shape c"]:
    """Samples one image: a product for each axis."""
    n = len(shape)
    axes = [
        _axis_weights(scale[-1 - k], translation[-1 - k], size, count, interpolation, antialias)
        for k, (size, count) in enumerate(zip(image.shape, shape, strict=False))
    ]

    def product(values: Array) -> Array:
        for k, (weights, _) in enumerate(axes):
            values = jnp.tensordot(weights, values, axes=(1, k), precision="highest")
            values = jnp.moveaxis(values, 0, k)
        return values

    values = finite_product(product)(image)
    if fill is None:
        return values
    fill = fill.reshape(*[1] * n, values.shape[-1])
    inside, outside = jnp.ones((*shape, 1), values.dtype), jnp.zeros((*shape, 1), values.dtype)
    for k, (_, beyond) in enumerate(axes):
        along = beyond.reshape([-1 if axis == k else 1 for axis in range(n + 1)])
        inside, outside = inside * (1 - along), outside + inside * along
    if interpolation.padding.fill == "crisp":
        return jnp.where(outside > 0, fill, values)
    return values + weigh(outside, fill)


def _axis_weights(
    scale: Float[Array, ""],
    translation: Float[Array, ""],
    size: Any,
    count: Any,
    interpolation: Interpolation,
    antialias: bool,
) -> tuple[Float[Array, "count size"], Float[Array, " count"]]:
    """Returns one axis' matrix of weights, and how much of each row the fill value replaces."""
    kernel, padding, align_corners = (
        interpolation.kernel,
        interpolation.padding,
        interpolation.align_corners,
    )
    (points,) = coords.open_grid((count,), align_corners=align_corners, dtype=scale.dtype)
    points = _mesh.constant_like(scale, points)
    (x,) = interpolation.pixels([scale * points + translation], (size,))
    number = coords.number_like(size, x)
    width = clip(jnp.abs(scale) * _pitch_ratio(count, size, align_corners), 1, number)
    width = width if antialias else jnp.ones_like(width)
    is_outside = (x < 0) | (x > number - 1)
    if padding.pad_coordinate is not None and not kernel.pads_each_tap:
        x = jnp.where(width > 1, x, padding.pad_coordinate(x, number, align_corners))
    x = x if kernel.radius else kernel.origin(x)

    reach = max(kernel.radius, 1) * (size if antialias else 1) + 1
    if padding.period is None:  # from further away no kernel touches the image
        x = clip(x, -coords.number_like(reach, x), number + coords.number_like(reach, x))
    else:
        period = padding.period(number, align_corners)
        x = jnp.mod(padding.clamp(x, number), period)
    first = jnp.floor(x)[:, None]
    step = jnp.arange(2 * reach + 1, dtype=jnp.int32)[None].astype(x.dtype) - reach
    near = kernel.weight_at(x[:, None] - first, step, width)
    whole = jnp.sum(near, axis=1, keepdims=True)
    below = jnp.sum(jnp.where(first + step < 0, near, 0), axis=1, keepdims=True) / whole
    above = jnp.sum(jnp.where(first + step > number - 1, near, 0), axis=1, keepdims=True) / whole

    pixel = jnp.arange(size, dtype=jnp.int32)[None].astype(x.dtype)
    weights = jnp.zeros((x.shape[0], size), x.dtype)
    for copy in _copies(pixel, number, kernel.radius, interpolation):
        weights += kernel.weight_at(x[:, None], copy, width) / whole
    if padding.zero_outside:
        return weights, (below + above)[:, 0]
    if padding.period is None:
        weights += jnp.where(pixel == 0, below, 0) + jnp.where(pixel == number - 1, above, 0)
    return weights, is_outside.astype(x.dtype)


def _copies(
    pixel: Float[Array, "1 size"], size: Any, radius: int, interpolation: Interpolation
) -> list[Float[Array, "1 size"]]:
    """Lists the positions at which padding shows every pixel, as far as a wide kernel reaches."""
    padding, align_corners = interpolation.padding, interpolation.align_corners
    if padding.period is None:
        return [pixel]
    period = padding.period(size, align_corners)
    shown = [pixel]
    if not padding.wraps:  # mirrored; with mirrors on centres the border pixels are not repeated
        mirrored = period - pixel if align_corners else period - 1 - pixel
        is_border = (pixel == 0) | (pixel == size - 1)
        shown.append(jnp.where(is_border, _FAR, mirrored) if align_corners else mirrored)
    periods = range(-radius - 2, radius + 3)
    return [position + k * period for k in periods for position in shown]


def _pitch_ratio(count: Any, size: Any, align_corners: bool) -> Any:
    """Distance between neighbouring outputs, in pixels of the image, at scale 1."""
    out, source = (coords.pixel_pitch(k, align_corners=align_corners) for k in (count, size))
    if isinstance(out, float) and isinstance(source, float):
        return out / source if out and source else 0.0
    return jnp.where(source > 0, out / jnp.where(source > 0, source, 1), 0)
