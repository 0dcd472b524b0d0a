"""Sampling by one gather: all pixels that a point reads lie side by side, as one row.

The image is continued beyond its edges and laid out anew: at each position the window of pixels
that the kernel reads from there, ``k^n c`` numbers in a row. A point then reads one row, and not
``k^n`` pixels: what a gather costs on a TPU is the number of rows, hardly their width.
"""

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from stn_jax.sampling.kernels import Kernel
from stn_jax.sampling.padding import Boundary

_NARROW = 64  # Rows of fewer numbers a TPU lays across its lanes, 13 times as dear to read.


def sample(
    image: Float[Array, "*shape c"],
    coordinates: Sequence[Float[Array, "*points"]],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Float[Array, "*points c"]:
    """Samples one image at pixel coordinates; arguments as `stn_jax.sampling.gather.sample`."""
    *shape, channels = image.shape
    width = len(kernel.offsets)
    row: Array | int = 0
    axes = []
    for axis, (x, size) in enumerate(zip(coordinates, shape, strict=True)):
        low, count = _starts(size, kernel, boundary, align_corners)
        image = _continue(image, axis, low, count + width - 1, boundary, align_corners)
        (start, _), *_ = taps = kernel.taps(x)
        period = None if boundary.period is None else boundary.period(size, align_corners)
        start = start if period is None else jnp.mod(start, period)
        row = row * count + jnp.clip(start - low, 0, count - 1)
        axes.append([weight for _, weight in taps])
    rows = _windows(image, width, len(shape))
    read = rows.reshape(-1, rows.shape[-1]).at[row].get(mode="promise_in_bounds")
    total = read[..., : width ** len(shape) * channels]
    for weights in axes:  # a row's halves, quarters ... are what lies along one axis
        parts = lax.split(total, [total.shape[-1] // width] * width, axis=total.ndim - 1)
        total = functools.reduce(
            jnp.add, [w[..., None] * part for w, part in zip(weights, parts, strict=True)]
        )
    return total


def _starts(size: int, kernel: Kernel, boundary: Boundary, align_corners: bool) -> tuple[int, int]:
    """Where windows begin on one axis: the first position, and how many follow one another."""
    width = len(kernel.offsets)
    if boundary.period is None:  # a window further out reads what the first or the last one reads
        return -width, size + width + 1
    return 0, boundary.period(size, align_corners)


def _continue(
    image: Float[Array, "..."],
    axis: int,
    low: int,
    count: int,
    boundary: Boundary,
    align_corners: bool,
) -> Float[Array, "..."]:
    """Continues an image along one axis: the pixels at positions ``low ... low + count - 1``."""
    size = image.shape[axis]
    if boundary.framed:
        ends = (-low, low + count - size)
        return jnp.pad(image, [ends if k == axis else (0, 0) for k in range(image.ndim)])
    with jax.ensure_compile_time_eval():
        positions = jnp.arange(low, low + count, dtype=jnp.int32)
        index = np.asarray(boundary.index(positions, size, align_corners))
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
    filler = max(_NARROW - len(shifted) * image.shape[-1], 0)
    shifted.append(jnp.zeros((*counts, filler), image.dtype))
    return jnp.concatenate(shifted, axis=-1)
