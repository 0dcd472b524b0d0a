"""The maps as XLA:CPU runs them fast; each takes a whole batch.

On a CPU, allocating memory costs more than arithmetic (about a microsecond for 4 kB), so no form
stores an array of all taps: `read` and `vjp_points` sum over taps inside one loop, and `splat` adds
to the images a chunk of points at a time, so that the updates stay in the cache.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from stn_jax.sampling.gather import product_taps, read_pixels, row_major
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.platforms.cpu_fusion import materialize, sum_channels, without_fusion

_CHUNK = 1 << 18  # Values splatted at a time: what they need fits a core's cache.
_MAX_INT32 = 2**31 - 1  # Places of values, of all images that are splatted together.


def read(
    image: Float[Array, "b *shape c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "b p c"]:
    """Samples a batch of images: ``V = sum_t w_t U[i_t]``.

    Args:
        image: ``(b, *shape, c)``.
        points: ``(b, p, n)``.
        interpolation: what a point reads.
        shape: spatial axes of an image.
    """
    x, nan_mask = interpolation.coordinates(jnp.unstack(points, axis=-1)[::-1], shape)

    def sum_taps(image: Array, nan_mask: Array, *x: Array) -> Array:
        terms = [_tap(image, *taps) for taps in product_taps(x, shape, interpolation)]
        return jnp.where(nan_mask[..., None], jnp.nan, functools.reduce(jnp.add, terms))

    # Materialized, else each tap of each channel recomputes the coordinates.
    operands = (image, nan_mask, *materialize(x))
    if image.shape[-1] == 1:
        return sum_taps(*operands)
    # Fused with a sum over channels that reads them, samples would first store all taps.
    return without_fusion(sum_taps, (*points.shape[:-1], image.shape[-1]), *operands)


def vjp_points(
    image: Float[Array, "b *shape c"],
    values: Float[Array, "b p c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "b p n"]:
    """Returns ``x'_k = sum_t dw_t/dx_k sum_c V'_c U_c[i_t]``: the points' gradient."""
    axes = list(jnp.unstack(points, axis=-1)[::-1])
    ones = [jnp.ones_like(axis) for axis in axes]  # an axis depends on its own coordinate alone
    coordinates = functools.partial(interpolation.coordinates, shape=shape)
    x, dx, nan_mask = jax.jvp(coordinates, (axes,), (ones,), has_aux=True)
    # For one channel, defeat CSE with the forward pass (it would keep all taps alive): materialize
    # the coordinates in reversed order, so that the two reductions differ.
    order = -1 if image.shape[-1] == 1 else 1
    x = materialize(x[::order])[::order]
    indices, weights, slopes = [], [], []  # of each axis, of its taps
    for axis, d_axis, size in zip(x, dx, shape, strict=True):
        taps = functools.partial(_weights_first, interpolation, size)
        weight, slope, index = jax.jvp(taps, (axis,), (d_axis,), has_aux=True)
        indices.append(index)
        weights.append(weight)
        slopes.append(slope)
    every = itertools.product(*indices)
    sums = sum_channels([_project(image, values, index) for index in every])
    # What is not finite and has no weight does not count: see `kernels.weigh`.
    has_weight = itertools.product(*([w != 0 for w in along] for along in weights))
    known = [_where_known(s, along) for s, along in zip(sums, has_weight, strict=True)]
    total = _contract(known, weights, slopes)
    return jnp.stack([jnp.where(nan_mask, 0, d) for d in total[::-1]], axis=-1)


def splat(
    values: Float[Array, "b p c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "b *shape c"]:
    """Adds each value to the pixels that its point reads, by weight: the images' gradient.

    A sequential loop over a sharded axis forces an all-gather; so the batch is split and each
    device loops over its own shard.
    """
    batch, count, channels = values.shape
    x, nan_mask = interpolation.coordinates(jnp.unstack(points, axis=-1)[::-1], shape)
    operands = [values, nan_mask, *x]
    splat_some = functools.partial(_splat_at_once, interpolation=interpolation, shape=shape)
    values_per_image = math.prod(shape) * channels
    if not all(isinstance(size, int) for size in (batch, count, channels, *shape)):
        return splat_some(*operands).reshape(batch, *shape, channels)
    num_shards = math.gcd(batch, jax.device_count())
    num_images = max(_CHUNK // max(count * channels, 1), 1)  # at a time
    if num_images == 1:
        num_images = max(_MAX_INT32 // values_per_image, 1)
        splat_some = functools.partial(_splat_parts, interpolation=interpolation, shape=shape)
    elif num_images < batch // num_shards:  # what a loop reads is materialized anyway
        splat_some = functools.partial(_splat, interpolation=interpolation, shape=shape)
    shard = functools.partial(_map_chunks, splat_some, chunk=num_images)
    if num_shards > 1:
        folded = [a.reshape(num_shards, batch // num_shards, *a.shape[1:]) for a in operands]
        images = jax.vmap(shard)(*folded)
    else:
        images = shard(*operands)
    return images.reshape(batch, *shape, channels)


def _splat_at_once(
    values: Float[Array, "m p c"],
    nan_mask: Bool[Array, "m p"],
    *x: Float[Array, "m p"],
    **static: Any,
) -> Float[Array, "m size"]:
    """`_splat` outside a loop, where each tap would recompute the coordinates."""
    *coordinates, nan_mask = materialize([*x, nan_mask])
    return _splat(values, nan_mask, *coordinates, **static)


def _splat(
    values: Float[Array, "m p c"],
    nan_mask: Bool[Array, "m p"],
    *x: Float[Array, "m p"],
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "m size"]:
    """Splats onto some images, flat."""
    images, _, channels = values.shape
    total = jnp.zeros((images, math.prod(shape) * channels), values.dtype)
    for place, update in _updates(values, nan_mask, x, interpolation, shape):
        total = jax.vmap(_add_rows)(total, place * channels, update)
    return total


def _splat_parts(
    values: Float[Array, "m p c"],
    nan_mask: Bool[Array, "m p"],
    *x: Float[Array, "m p"],
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "m size"]:
    """Splats onto large images, flat, a part of one's points at a time."""
    images, count, channels = values.shape
    pixels = math.prod(shape)
    size = -(-count // -(-count * channels // _CHUNK))  # of as many parts as there have to be
    num_parts = -(-count // size)

    def add(total: Array, part: Sequence[Array]) -> tuple[Array, None]:
        first_pixel, values, nan_mask, *x = part
        for place, update in _updates(values, nan_mask, x, interpolation, shape):
            total = _add_rows(total, (first_pixel + place) * channels, update)
        return total, None

    parts = [_fold(a, 1, size) for a in (values, nan_mask, *x)]
    flat = [jnp.swapaxes(a, 0, 1).reshape(images * num_parts, *a.shape[2:]) for a in parts]
    first_pixel = jnp.repeat(jnp.arange(images, dtype=jnp.int32) * pixels, num_parts)
    zero = jnp.zeros((images * pixels * channels,), values.dtype)
    return lax.scan(add, zero, (first_pixel, *flat))[0].reshape(images, pixels * channels)


def _updates(
    values: Float[Array, "*points c"],
    nan_mask: Bool[Array, "*points"],
    x: Sequence[Float[Array, "*points"]],
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> list[tuple[Int[Array, "*points"], Float[Array, "*points w c"]]]:
    """Lists ``(place, update)``: what is added to the w pixels from each place on."""
    values = jnp.where(nan_mask[..., None], 0, values)[..., None, :]
    updates = []
    for place, weights in _windows(x, shape, interpolation, values.shape[-1]):
        weight = weights[..., None]
        updates.append((place, jnp.where(weight != 0, weight * values, 0)))
    return updates


def _windows(
    x: Sequence[Float[Array, "*points"]],
    shape: Sequence[Any],
    interpolation: Interpolation,
    channels: Any,
) -> list[tuple[Int[Array, "*points"], Float[Array, "*points w"]]]:
    """Lists ``(place, weights)`` of runs of w pixels along the last axis, that a point reads."""
    *above, last = [interpolation.taps(axis, size) for axis, size in zip(x, shape, strict=True)]
    runs = _runs(last, shape[-1], interpolation.padding.wraps)
    places, weights = [], []
    for lead in itertools.product(*above):
        for start, along in runs:
            places.append(row_major([*(index for index, _ in lead), start], shape))
            factor = functools.reduce(jnp.multiply, [weight for _, weight in lead])
            weights += [factor * weight for weight in along]
    if channels != 1:  # else an update would compute them for each channel
        weights = materialize(weights)
    width = len(weights) // len(places)
    return [
        (place, _interleave(weights[k * width : (k + 1) * width])) for k, place in enumerate(places)
    ]


def _runs(
    taps: Sequence[tuple[Array, Array]], size: Any, wraps: bool
) -> list[tuple[Int[Array, "*points"], list[Float[Array, "*points"]]]]:
    """Makes one run of a point's taps on one axis: ``(start, weights)`` of neighbours.

    Where taps may lie on both ends of the axis each stays alone.
    """
    if wraps or len(taps) == 1 or not isinstance(size, int) or size < len(taps):
        return [(index, [weight]) for index, weight in taps]
    lowest = functools.reduce(jnp.minimum, [index for index, _ in taps])
    start = jnp.minimum(lowest, size - len(taps))
    weights = [
        functools.reduce(jnp.add, [jnp.where(index == start + k, w, 0) for index, w in taps])
        for k in range(len(taps))
    ]
    return [(start, weights)]


def _weights_first(
    interpolation: Interpolation, size: Any, x: Array
) -> tuple[list[Array], list[Array]]:
    """The taps of one axis as weights, which are differentiable, and indices."""
    taps = interpolation.taps(x, size)
    return [weight for _, weight in taps], [index for index, _ in taps]


# What is done for each tap is jitted, so that it is traced once for all of them.


@jax.jit
def _tap(
    image: Float[Array, "b *shape c"], indices: Sequence[Array], weights: Sequence[Array]
) -> Float[Array, "b p c"]:
    """What a tap adds to the samples: ``w_t U[i_t]``, see `stn_jax.sampling.kernels.weigh`."""
    weight = functools.reduce(jnp.multiply, weights)[..., None]
    return jnp.where(weight != 0, weight * jax.vmap(read_pixels)(image, indices), 0)


@jax.jit
def _project(
    image: Float[Array, "b *shape c"], values: Float[Array, "b p c"], indices: Sequence[Array]
) -> Float[Array, "b p c"]:
    """What a tap's sum over channels is of: ``V'_c U_c[i_t]``."""
    return values * jax.vmap(read_pixels)(image, indices)


@jax.jit
def _where_known(
    sum_c: Float[Array, "b p"], has_weight: Sequence[Bool[Array, "b p"]]
) -> Float[Array, "b p"]:
    is_read = functools.reduce(jnp.logical_and, has_weight)
    return jnp.where(is_read | jnp.isfinite(sum_c), sum_c, 0)


def _contract(
    values: list[Array], weights: Sequence[Sequence[Array]], slopes: Sequence[Sequence[Array]]
) -> list[Array]:
    """Contracts values of all taps with the weights, for each axis with its slopes instead.

    Axis by axis, the last one first: values are in the order of `itertools.product`.
    """
    changes: list[list[Array]] = []
    for weight, slope in list(zip(weights, slopes, strict=True))[::-1]:
        changes = [_sum_groups(values, slope), *(_sum_groups(c, weight) for c in changes)]
        values = _sum_groups(values, weight)
    return [change for (change,) in changes]


def _sum_groups(values: Sequence[Array], weights: Sequence[Array]) -> list[Array]:
    """Sums each run of as many values as weights, weighted."""
    width = len(weights)
    runs = [values[k : k + width] for k in range(0, len(values), width)]
    return [
        functools.reduce(jnp.add, [w * v for w, v in zip(weights, run, strict=True)])
        for run in runs
    ]


def _interleave(arrays: Sequence[Float[Array, "*points"]]) -> Float[Array, "*points w"]:
    """Stacks arrays on a last axis, by selecting on its index: faster than copies on a CPU."""
    shape = (*arrays[0].shape, len(arrays))
    at = lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
    stacked = jnp.broadcast_to(arrays[-1][..., None], shape)
    for k, array in enumerate(arrays[:-1]):
        stacked = jnp.where(at == k, array[..., None], stacked)
    return stacked


def _add_rows(
    flat: Float[Array, "size"], start: Int[Array, "p"], update: Float[Array, "p w c"]
) -> Float[Array, "size"]:
    """Adds updates to runs of values, each from its start on."""
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=(1,), inserted_window_dims=(), scatter_dims_to_operand_dims=(0,)
    )
    runs = update.reshape(update.shape[0], update.shape[1] * update.shape[2])
    return lax.scatter_add(flat, start[..., None], runs, numbers, mode="promise_in_bounds")


def _map_chunks(function: Callable[..., Array], *operands: Array, chunk: int) -> Array:
    """Calls a function of a batch for ``chunk`` examples at a time, one after the other."""
    batch = operands[0].shape[0]
    if batch <= chunk:
        return function(*operands)
    steps = -(-batch // chunk)
    folded = [_fold(a, 0, -(-batch // steps)) for a in operands]
    out = lax.map(lambda some: function(*some), folded)
    return out.reshape(out.shape[0] * out.shape[1], *out.shape[2:])[:batch]


def _fold(array: Array, axis: int, size: Any) -> Array:
    """Cuts an axis into pieces of ``size``, zeros at the end, and puts their number in front."""
    count = -(-array.shape[axis] // size)
    ends = [(0, 0)] * array.ndim
    ends[axis] = (0, count * size - array.shape[axis])
    padded = jnp.pad(array, ends) if ends[axis][1] else array
    split = padded.reshape(*array.shape[:axis], count, size, *array.shape[axis + 1 :])
    return jnp.moveaxis(split, axis, 0)
