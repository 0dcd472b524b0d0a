"""The forms of the maps that XLA:CPU is quick at.

On a CPU memory that a call asks for costs more than arithmetic (about a microsecond for 4 kB), so
no form keeps an array of all taps: `read` and `vjp_points` sum over taps inside one loop, and
`splat` adds to the image a chunk of points at a time, whose updates stay in the cache.
"""

import functools
import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from stn_jax.sampling import gather
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.platforms.cpu_fusion import materialize, sum_channels, without_fusion

_CHUNK = 1 << 18  # Values splatted at a time: what they need fits a core's cache.


def read(
    image: Float[Array, "b *shape c"],
    points: Float[Array, "b *points n"],
    *,
    interpolation: Interpolation,
    shape: tuple[int, ...],
) -> Float[Array, "b *points c"]:
    """Samples a batch of images.

    Args:
        image: ``(b, *shape, c)``.
        points: ``(b, *points, n)``.
        interpolation: what a point reads.
        shape: spatial axes of an image.
    """
    x, nan_mask = _coordinates(points, interpolation, shape, image.shape[-1])

    def one(image: Array, nan_mask: Array, *x: Array) -> Array:
        return gather.sample_at(image, x, nan_mask, interpolation)

    every = jax.vmap(one)
    # A sum over channels, fused with the reading, would first store all taps.
    return (without_fusion(every) if image.shape[-1] != 1 else every)(image, nan_mask, *x)


def vjp_points(
    image: Float[Array, "b *shape c"],
    values: Float[Array, "b *points c"],
    points: Float[Array, "b *points n"],
    *,
    interpolation: Interpolation,
    shape: tuple[int, ...],
) -> Float[Array, "b *points n"]:
    """Returns ``x'_k = sum_t dw_t/dx_k sum_c V'_c U_c[i_t]``: the points' gradient.

    First the sums over channels of all taps, in one loop, then the weights' derivatives.
    """
    single = image.shape[-1] == 1
    x, nan_mask = _coordinates(points, interpolation, shape, image.shape[-1], reverse=single)

    def one(image: Array, values: Array, nan_mask: Array, *x: Array) -> list[Array]:
        def weights(*x: Array) -> tuple[list[Array], list[Array]]:
            taps = gather.product_taps(x, shape, interpolation)
            return [weight for _, weight in taps], [place for place, _ in taps]

        weight, pull, places = jax.vjp(weights, *x, has_aux=True)
        sums = sum_channels([values * gather.read_pixels(image, place) for place in places])
        # A pixel without weight has no say: see `kernels.weigh`.
        sums = [
            jnp.where((w != 0) | jnp.isfinite(s), s, 0) for w, s in zip(weight, sums, strict=True)
        ]
        return [jnp.where(nan_mask, 0, d) for d in pull(sums)]

    d_x = jax.vmap(one)(image, values, nan_mask, *x)
    _, pull = jax.vjp(lambda points: interpolation.coordinates(points, shape)[0], points)
    return pull(d_x)[0]


def splat(
    values: Float[Array, "b *points c"],
    points: Float[Array, "b *points n"],
    *,
    interpolation: Interpolation,
    shape: tuple[int, ...],
) -> Float[Array, "b *shape c"]:
    """Adds each value to the pixels that its point reads, by weight: the images' gradient.

    A sequential loop over a sharded axis forces an all-gather; so the batch is split and each
    device loops over its own shard.
    """
    batch, channels, count = values.shape[0], values.shape[-1], math.prod(values.shape[1:-1])
    values, points = (a.reshape(batch, count, a.shape[-1]) for a in (values, points))
    x, nan_mask = interpolation.coordinates(points, shape)
    *x, nan_mask = materialize([*x, nan_mask])

    def one(operands: tuple[Array, ...]) -> Array:
        return _splat_image(*operands, interpolation=interpolation, shape=shape)

    def shard(*operands: Array) -> Array:
        if isinstance(count, int) and 0 < count * channels <= _CHUNK:
            return lax.map(one, operands, batch_size=_CHUNK // (count * channels))
        return lax.map(one, operands)

    operands = (values, nan_mask, *x)
    if not all(isinstance(size, int) for size in (*values.shape, *shape)):
        images = jax.vmap(lambda *operands: one(operands))(*operands)
    else:
        num_shards = math.gcd(batch, jax.device_count()) or 1
        folded = [a.reshape(num_shards, batch // num_shards, *a.shape[1:]) for a in operands]
        images = jax.vmap(shard)(*folded)
    return images.reshape(batch, *shape, channels)


def _splat_image(
    values: Float[Array, "p c"],
    nan_mask: Bool[Array, "p"],
    *x: Float[Array, "p"],
    interpolation: Interpolation,
    shape: tuple[int, ...],
) -> Float[Array, "size"]:
    """Splats onto one image, flat, a chunk of points at a time."""
    count, channels = values.shape
    flat = jnp.zeros((math.prod(shape) * channels,), values.dtype)

    def add(total: Array, operands: tuple[Array, ...]) -> tuple[Array, None]:
        for place, update in _updates(*operands, interpolation=interpolation, shape=shape):
            total = _add_rows(total, place * channels, update)
        return total, None

    static = isinstance(count, int) and isinstance(channels, int)
    chunks = -(-count * channels // _CHUNK) if static else 1
    if chunks <= 1:
        return add(flat, (values, nan_mask, *x))[0]
    size = -(-count // chunks)
    operands = [
        jnp.pad(a, [(0, chunks * size - count)] + [(0, 0)] * (a.ndim - 1)).reshape(
            chunks, size, *a.shape[1:]
        )
        for a in (values, nan_mask, *x)
    ]
    return lax.scan(add, flat, tuple(operands))[0]


def _updates(
    values: Float[Array, "p c"],
    nan_mask: Bool[Array, "p"],
    *x: Float[Array, "p"],
    interpolation: Interpolation,
    shape: tuple[int, ...],
) -> list[tuple[Int[Array, "p"], Float[Array, "p w c"]]]:
    """Lists ``(place, update)``: what is added to the w pixels of a row from each place on."""
    *above, last = [interpolation.taps(axis, size) for axis, size in zip(x, shape, strict=True)]
    windows = _windows(last, shape[-1], interpolation.padding.wraps)
    places, weights = [], []
    for lead in itertools.product(*above):
        factor = functools.reduce(jnp.multiply, [weight for _, weight in lead])
        for start, window in windows:
            places.append(gather.row_major([*(index for index, _ in lead), start], shape))
            weights += [factor * weight for weight in window]
    if values.shape[-1] != 1:  # else an update would compute them for each channel
        weights = materialize(weights)
    values = jnp.where(nan_mask[:, None], 0, values)
    width = len(weights) // len(places)
    updates = []
    for k, place in enumerate(places):
        weight = _interleave(weights[k * width : (k + 1) * width])[..., None]
        updates.append((place, jnp.where(weight != 0, weight * values[:, None, :], 0)))
    return updates


def _coordinates(
    points: Float[Array, "b *points n"],
    interpolation: Interpolation,
    shape: Sequence[int],
    channels: int,
    reverse: bool = False,
) -> tuple[list[Float[Array, "b *points"]], Bool[Array, "b *points"]]:
    """Materializes `Interpolation.coordinates`, else each tap of each channel recomputes them.

    With ``reverse`` in reversed order: for one channel this defeats CSE with the forward pass,
    which would keep all taps alive.
    """
    x, nan_mask = interpolation.coordinates(points, shape)
    if channels != 1:
        *x, nan_mask = materialize([*x, nan_mask])
        return x, nan_mask
    order = -1 if reverse else 1
    return materialize(x[::order])[::order], nan_mask


def _interleave(arrays: Sequence[Float[Array, "p"]]) -> Float[Array, "p w"]:
    """Stacks arrays on a last axis, by selecting on its index: faster than copies on a CPU."""
    shape = (*arrays[0].shape, len(arrays))
    at = lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
    stacked = jnp.broadcast_to(arrays[-1][..., None], shape)
    for k, array in enumerate(arrays[:-1]):
        stacked = jnp.where(at == k, array[..., None], stacked)
    return stacked


def _windows(
    taps: Sequence[tuple[Array, Array]], size: int, wraps: bool
) -> list[tuple[Int[Array, "p"], list[Float[Array, "p"]]]]:
    """Gathers a point's taps on one axis into one window of neighbours: ``(start, weights)``.

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


def _add_rows(
    flat: Float[Array, "size"], start: Int[Array, "p"], update: Float[Array, "p w c"]
) -> Float[Array, "size"]:
    """Adds updates to runs of values, each from its start on."""
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=(1,), inserted_window_dims=(), scatter_dims_to_operand_dims=(0,)
    )
    runs = update.reshape(update.shape[0], update.shape[1] * update.shape[2])
    return lax.scatter_add(flat, start[..., None], runs, numbers, mode="promise_in_bounds")
