"""Sampling by gathers: every tap of every output is read from the image by its index.

The product of one-dimensional taps over the axes. `slope` and `splat` are the gradients as a CPU is
quick at them: memory that is asked for anew costs more there than arithmetic (about a microsecond
for 4 kB), so neither keeps an array of all taps.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from stn_jax.sampling.kernels import Kernel
from stn_jax.sampling.padding import Boundary, split_nan
from stn_jax.sampling.platforms import cpu_fusion

_CHUNK = 1 << 18  # Values splatted at a time: what they need fits a core's cache.

Taps = list[tuple[Int[Array, "*points"], Array | None, Float[Array, "*points"]]]


def sample(
    image: Float[Array, "*shape c"],
    coordinates: Sequence[Float[Array, "*points"]],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Float[Array, "*points c"]:
    """Samples one image at pixel coordinates: ``V = sum over taps of prod_k w_k * U[taps]``.

    Args:
        image: ``(*shape, c)``, n spatial axes.
        coordinates: n arrays of pixel coordinates in the order of the image's axes, limited, and
            folded where the kernel does not pad its taps.
        kernel: the one-dimensional taps.
        boundary: what a tap outside the image reads.
        align_corners: where a reflecting boundary has its mirrors.

    Returns:
        Samples ``(*points, c)``.
    """
    *shape, channels = image.shape
    total = jnp.zeros((*coordinates[0].shape, channels), image.dtype)
    for place, inside, weight in _taps(coordinates, shape, kernel, boundary, align_corners):
        total += _where(inside, weight[..., None] * _rows(image, place))
    return total


def slope(
    image: Float[Array, "*shape c"],
    values: Float[Array, "*points c"],
    coordinates: Sequence[Float[Array, "*points"]],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Sequence[Float[Array, "*points"]]:
    """Returns ``sum_c V'_c dV_c / dx_k`` for each axis k: the points' gradient.

    First ``s_t = sum_c V'_c U_tc`` of all taps t in one loop, then the weights' derivatives.
    """
    taps = functools.partial(
        _taps,
        shape=image.shape[:-1],
        kernel=kernel,
        boundary=boundary,
        align_corners=align_corners,
    )
    known = taps(coordinates)
    products = [values * _rows(image, place) for place, _, _ in known]
    sums = cpu_fusion.sum_channels(products)
    sums = [_zeroed(inside, total) for (_, inside, _), total in zip(known, sums, strict=True)]
    _, pull = jax.vjp(lambda *x: [weight for _, _, weight in taps(x)], *coordinates)
    return list(pull(sums))


def splat(
    values: Float[Array, "b *points c"],
    coordinates: Sequence[Float[Array, "b *points"]],
    shape: tuple[int, ...],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Float[Array, "b *shape c"]:
    """Adds each value to the pixels that its taps read: the images' gradient.

    A loop over the batch would gather one that is sharded; so each device has a lane of its own.
    """
    batch = values.shape[0]
    lanes = math.gcd(batch, jax.device_count()) if isinstance(batch, int) else 1
    rule = shape, kernel, boundary, align_corners
    if lanes <= 1:
        return _splat(values, coordinates, *rule)
    folded = [x.reshape(lanes, batch // lanes, *x.shape[1:]) for x in (values, *coordinates)]
    images = jax.vmap(lambda values, *x: _splat(values, x, *rule))(*folded)
    return images.reshape(batch, *images.shape[2:])


def _splat(
    values: Float[Array, "b *points c"],
    coordinates: Sequence[Float[Array, "b *points"]],
    shape: tuple[int, ...],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Float[Array, "b *shape c"]:
    """Some images at a time, or a part of a large one, so that what is added stays in the cache."""
    batch, channels, pixels = values.shape[0], values.shape[-1], math.prod(shape)
    count = math.prod(values.shape[1:-1])
    coordinates = [x.reshape(batch, count) for x in coordinates]
    operands = [values.reshape(batch, count, channels), *coordinates]

    def add(total: Array, values: Array, *x: Array, start: Array | int = 0) -> Array:
        for place, update in _updates(values, x, shape, kernel, boundary, align_corners):
            total = _add_rows(total, (start + place) * channels, update)
        return total

    def images(k: Array, total: Array) -> Array:
        none = jnp.zeros_like(values, shape=(size, pixels * channels))
        some = jax.vmap(add)(none, *_chunk(operands, k, size))
        return lax.dynamic_update_slice_in_dim(total, some, k * size, 0)

    def part(k: Array, total: Array) -> Array:
        return add(total, *_chunk(operands, k, size), start=k // (count // size) * pixels)

    if not (isinstance(batch, int) and isinstance(count, int)):  # a program for any size
        total = jax.vmap(add)(jnp.zeros_like(values, shape=(batch, pixels * channels)), *operands)
        return total.reshape(batch, *shape, channels)
    if values.size == 0:
        return jnp.zeros_like(values, shape=(batch, *shape, channels))
    if count * channels <= _CHUNK:
        size = _divisor(batch, _CHUNK // (count * channels))
        step, total = images, jnp.zeros_like(values, shape=(batch, pixels * channels))
    else:
        size = _divisor(count, _CHUNK // channels)
        operands = [x.reshape(batch * count, *x.shape[2:]) for x in operands]
        step, total = part, jnp.zeros_like(values, shape=(batch * pixels * channels,))
    steps = operands[0].shape[0] // size
    total = lax.fori_loop(np.int32(0), np.int32(steps), step, total)
    return total.reshape(batch, *shape, channels)


def _divisor(size: int, most: int) -> int:
    """The largest divisor of a size that is not larger than ``most``."""
    return next((k for k in range(min(size, most), 0, -1) if size % k == 0), 1)


def _chunk(operands: Sequence[Array], k: Array, size: int) -> list[Array]:
    return [lax.dynamic_slice_in_dim(x, k * size, size) for x in operands]


def _taps(
    coordinates: Sequence[Array],
    shape: Sequence[int],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Taps:
    """Lists ``(place, inside, weight)`` of every tap; a place counts pixels row by row."""
    axes = [
        _axis_taps(x, size, kernel, boundary, align_corners)
        for x, size in zip(coordinates, shape, strict=True)
    ]
    taps = []
    for combination in itertools.product(*axes):
        insides = [inside for _, inside, _ in combination if inside is not None]
        taps.append(
            (
                _place([index for index, _, _ in combination], shape),
                functools.reduce(jnp.logical_and, insides) if insides else None,
                functools.reduce(jnp.multiply, [weight for _, _, weight in combination]),
            )
        )
    return taps


def _axis_taps(
    x: Array, size: int, kernel: Kernel, boundary: Boundary, align_corners: bool
) -> Taps:
    """Lists ``(index, inside, weight)`` of the taps of one axis; all indices are in the image."""
    taps: Taps = []
    for position, weight in kernel.taps(x):
        index, inside = boundary.index(position, size, align_corners), None
        if boundary.framed:
            index, inside = jnp.clip(index, 0, size - 1), (index >= 0) & (index < size)
        taps.append((index, inside, weight))
    return taps


def _updates(
    values: Float[Array, "*points c"],
    coordinates: Sequence[Float[Array, "*points"]],
    shape: Sequence[int],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Iterator[tuple[Int[Array, "*points"], Float[Array, "*points w c"]]]:
    """Lists ``(place, update)``: what is added to the w pixels of a row from each place on.

    A point's weights are materialize, for an update of many channels would make them for each anew.
    """
    lost, coordinates = split_nan(coordinates)
    axes = [
        [
            (index, _zeroed(inside, weight))
            for index, inside, weight in _axis_taps(x, size, kernel, boundary, align_corners)
        ]
        for x, size in zip(coordinates, shape, strict=True)
    ]
    *above, last = axes
    windows = _windows(last, shape[-1], boundary)
    places, weights = [], []
    for lead in itertools.product(*above):
        factor = functools.reduce(jnp.multiply, [weight for _, weight in lead])
        for start, window in windows:
            places.append(_place([*(index for index, _ in lead), start], shape))
            weights += [factor * weight for weight in window]
    if values.shape[-1] > 1:
        *weights, lost = cpu_fusion.materialize([*weights, lost])
    values = jnp.where(lost[..., None], 0, values)
    width = len(weights) // len(places)
    for k, place in enumerate(places):
        update = _side_by_side(weights[k * width : (k + 1) * width])[..., None]
        yield place, update * values[..., None, :]


def _side_by_side(arrays: Sequence[Float[Array, "*points"]]) -> Float[Array, "*points w"]:
    """Stacks arrays on a last axis; chosen by its index: a CPU does that quicker than copying."""
    points, width = arrays[0].shape, len(arrays)
    at = lax.broadcasted_iota(jnp.int32, (*points, width), len(points))
    stacked = jnp.broadcast_to(arrays[-1][..., None], at.shape)
    for k, array in enumerate(arrays[:-1]):
        stacked = jnp.where(at == k, array[..., None], stacked)
    return stacked


def _windows(
    taps: Sequence[tuple[Array, Array]], size: int, boundary: Boundary
) -> list[tuple[Int[Array, "*points"], list[Float[Array, "*points"]]]]:
    """Gathers a point's taps on one axis into one window of neighbours: ``(start, weights)``.

    Where taps may lie on both ends of the axis each stays alone.
    """
    width = min(size, len(taps))
    if width == 1 or boundary.wraps:
        return [(index, [weight]) for index, weight in taps]
    lowest = functools.reduce(jnp.minimum, [index for index, _ in taps])
    start = jnp.minimum(lowest, size - width)
    weights = [
        functools.reduce(jnp.add, [jnp.where(index == start + k, w, 0) for index, w in taps])
        for k in range(width)
    ]
    return [(start, weights)]


def _place(indices: Sequence[Array], shape: Sequence[int]) -> Array:
    """Counts pixels row by row."""
    place = indices[0]
    for index, size in zip(indices[1:], shape[1:], strict=True):
        place = place * size + index
    return place


def _where(inside: Array | None, values: Array) -> Array:
    """What lies outside is zero, whatever the pixel that stands in for it."""
    return values if inside is None else jnp.where(inside[..., None], values, 0)


def _zeroed(inside: Array | None, weight: Array) -> Array:
    return weight if inside is None else jnp.where(inside, weight, 0)


def _rows(
    image: Float[Array, "*shape c"], place: Int[Array, "*points"]
) -> Float[Array, "*points c"]:
    """Reads whole pixels."""
    channels = image.shape[-1]
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(place.ndim,), collapsed_slice_dims=(0,), start_index_map=(0,)
    )
    return lax.gather(
        image.reshape(-1, channels),
        place[..., None],
        numbers,
        (1, channels),
        mode="promise_in_bounds",
    )


def _add_rows(
    flat: Float[Array, "size"], start: Int[Array, "*points"], update: Float[Array, "*points w c"]
) -> Float[Array, "size"]:
    """Adds updates to runs of values, each from its start on."""
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=(start.ndim,),
        inserted_window_dims=(),
        scatter_dims_to_operand_dims=(0,),
    )
    runs = update.reshape(*start.shape, -1)
    return lax.scatter_add(flat, start[..., None], runs, numbers, mode="promise_in_bounds")
