"""Sampling by one gather: all pixels that a point reads lie side by side, as one row.

The image is continued beyond its edges and laid out again: at each position the window of pixels
that the kernel reads from there, ``k^n c`` numbers in a row. A point then reads one row instead of
``k^n`` pixels: on some hardware a gather's cost is the number of rows, hardly their width.
"""

import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from stn_jax import coordinates as coords
from stn_jax.sampling import gather
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.kernels import weigh

_MIN_ROW = 64  # Narrower rows are laid across lanes and read 13 times more slowly.


def sample(
    image: Float[Array, "*shape c"],
    points: Float[Array, "*points n"],
    interpolation: Interpolation,
) -> Float[Array, "*points c"]:
    """Samples one image; arguments as `stn_jax.sampling.gather.sample`."""
    *shape, channels = image.shape
    kernel, padding = interpolation.kernel, interpolation.padding
    width = kernel.num_taps
    # Each coordinate keeps an axis of one number, the channels' place: read and vjp_points then
    # compute the same indices in the same layout, and the compiler reads the rows once.
    axes = jnp.split(points, len(shape), axis=-1)[::-1]
    x, nan_mask = interpolation.coordinates(axes, tuple(shape))
    starts, counts, weights = [], [], []
    for axis, (coordinate, size) in enumerate(zip(x, shape, strict=True)):
        # Without a period a window further out reads what the first or the last one reads.
        low, count = -width, size + width + 1
        if padding.period is not None:
            low, count = 0, padding.period(size, interpolation.align_corners)
        image = _continue(image, axis, low, count + width - 1, interpolation)
        taps = kernel(coordinate)
        start = taps[0][0]
        last = coords.number_like(count - 1, start)
        if padding.period is not None:
            start = jnp.mod(start, last + 1)
        starts.append(jnp.clip(start - low, 0, last))
        counts.append(count)
        weights.append([weight for _, weight in taps])
    rows = _windows(image, width, len(shape))
    flat = rows.reshape(math.prod(counts), rows.shape[-1])
    total = gather.read_rows(flat, gather.row_major(starts, counts))
    total = lax.slice_in_dim(total, 0, width ** len(shape) * channels, axis=total.ndim - 1)
    for along in weights:  # A row's halves, quarters ... are what lies along one axis.
        parts = jnp.split(total, width, axis=-1)
        total = functools.reduce(
            jnp.add, [weigh(weight, part) for weight, part in zip(along, parts, strict=True)]
        )
    return jnp.where(nan_mask, jnp.nan, total)


def _continue(
    image: Float[Array, "..."], axis: int, low: int, count: Any, interpolation: Interpolation
) -> Float[Array, "..."]:
    """Continues an image along one axis: the pixels at positions ``low ... low + count - 1``."""
    size = image.shape[axis]
    if interpolation.padding.zero_outside:
        ends = (-low, low + count - size)
        return jnp.pad(image, [ends if k == axis else (0, 0) for k in range(image.ndim)])

    def pixel(positions: Array) -> Array:
        number = coords.number_like(size, positions)
        return interpolation.padding.pad_index(positions, number, interpolation.align_corners)

    if not isinstance(size, int):
        positions = jnp.arange(count, dtype=jnp.int32) + low
        return jnp.take(image, pixel(positions), axis=axis, mode="clip")
    with jax.ensure_compile_time_eval():
        index = np.asarray(pixel(jnp.arange(low, low + count, dtype=jnp.int32)))
    # Runs of neighbours are slices, forwards or backwards: no gather.
    steps = np.diff(index)
    turns = np.append(False, steps[1:] != steps[:-1])
    runs = np.split(index, 1 + np.flatnonzero((np.abs(steps) != 1) | turns))
    parts = []
    for run in runs:
        part = lax.slice_in_dim(image, int(min(run)), int(max(run)) + 1, axis=axis)
        parts.append(part if run[0] <= run[-1] else lax.rev(part, (axis,)))
    return jnp.concatenate(parts, axis)


def _windows(
    image: Float[Array, "*continued c"], width: int, axes: int
) -> Float[Array, "*starts row"]:
    """Lays the ``width`` pixels that follow each position, along every axis, side by side."""
    counts = [size - width + 1 for size in image.shape[:axes]]
    shifted = [
        image[tuple(slice(o, o + n) for o, n in zip(offsets, counts, strict=True))]
        for offsets in itertools.product(range(width), repeat=axes)
    ]
    channels = image.shape[-1]
    filler = max(_MIN_ROW - len(shifted) * channels, 0) if isinstance(channels, int) else 0
    shifted.append(jnp.zeros((*counts, filler), image.dtype))
    return jnp.concatenate(shifted, axis=-1)
