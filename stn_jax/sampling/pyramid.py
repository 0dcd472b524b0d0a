"""Anti-aliased sampling: a pyramid of halved images; each point reads the level of its footprint.

Where neighbouring output pixels are read s pixels apart, s > 1, a kernel one pixel wide skips
pixels between them and the output aliases. Here a point is read, by the same kernel, from images
that were averaged down by ``2^l`` with ``l = log2 s``, between two levels linearly (the GPU's
"trilinear mipmap"). Of the ways to do this, summing the kernel over each footprint has no static
cost, and supersampling has to know s when it is compiled; a pyramid adapts to every point at a
fixed cost: one sampling a level, and a third (a seventh of a volume) more memory.

The error left: footprints are taken as round, as wide as their longest side, so a map that shrinks
one axis alone blurs the other too. `separable_sample` has none of that where axes do not mix.

References:
    L. Williams, "Pyramidal parametrics", 1983.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stn_jax import _mesh
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.kernels import weigh
from stn_jax.sampling.padding import clip

_FAR = 1e9  # Stands for infinity, whose differences are no numbers; the square fits a float32.


def sample(
    image: Float[Array, "*shape c"],
    points: Float[Array, "*points n"],
    read: Callable[..., Array],
    interpolation: Interpolation,
    max_levels: int | None,
) -> Float[Array, "*points c"]:
    """Samples one image, each point from the level that it asks for.

    Args:
        image: ``(*shape, c)``.
        points: ``(*points, n)``; neighbours along an axis are neighbours in the output.
        read: plain sampling ``(image=, points=, interpolation=) -> samples``.
        interpolation: what a point reads.
        max_levels: the most halvings to use; None halves down to one pixel.

    Returns:
        Samples ``(*points, c)``.
    """
    shape, padding = image.shape[:-1], interpolation.padding
    levels = [image]
    while max(levels[-1].shape[:-1]) > 1 and (max_levels is None or len(levels) <= max_levels):
        levels.append(halve(levels[-1]))
    x = interpolation.pixels(jnp.unstack(points, axis=-1)[::-1], shape)
    nan_mask = functools.reduce(jnp.logical_or, map(jnp.isnan, x))
    x = [clip(jnp.where(nan_mask, 0, axis), -_FAR, _FAR) for axis in x]
    shares = _shares(_square_stretch(x), len(levels))

    total = jnp.zeros((), image.dtype)
    for level, (share, small) in enumerate(zip(shares, levels, strict=True)):
        # Mirrors stay where the image itself has them: at its pixels' edges, for a smaller level.
        align_corners = interpolation.align_corners and level == 0
        if level == 1 and padding.period is not None and padding.pad_coordinate is not None:
            x = [
                padding.pad_coordinate(axis, size, interpolation.align_corners)
                for axis, size in zip(x, shape, strict=True)
            ]
        scaled = [
            (axis + 0.5) * (low / high) - 0.5 if level else axis
            for axis, high, low in zip(x, shape, small.shape, strict=False)
        ]
        how = dataclasses.replace(interpolation, normalized=False, align_corners=align_corners)
        values = read(image=small, points=jnp.stack(scaled[::-1], axis=-1), interpolation=how)
        total = total + weigh(share[..., None], values)
    return jnp.where(nan_mask[..., None], jnp.nan, total)


def halve(image: Float[Array, "*shape c"]) -> Float[Array, "*half c"]:
    """Averages an image down to ``ceil(size / 2)`` pixels an axis, each over its exact share.

    A pixel of the result covers ``size / ceil(size / 2)`` of the old ones, two if ``size`` is even,
    and weighs those that it covers in part by that part.
    """
    for axis, size in enumerate(image.shape[:-1]):
        total = jnp.zeros((), image.dtype)
        for index, weight in _covered(size):
            column = weight.reshape([-1 if k == axis else 1 for k in range(image.ndim)])
            pixels = jnp.take(image, index, axis=axis)
            total += weigh(_mesh.constant_like(pixels, column), pixels)
        image = total
    return image


@functools.cache
def _covered(size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Lists ``(old pixels, weights)``, both ``(half,)``: what each new pixel takes from where.

    The pixels are int32 whatever the precision: JAX knows an array that it has met by its identity,
    and one of int64, kept here, would reach a 32-bit program as what it was in a 64-bit one.
    """
    half = (size + 1) // 2
    edges = np.arange(half + 1) * size / half
    shares = []
    for offset in range(3):
        pixel = np.floor(edges[:-1]).astype(np.int32) + offset
        covered = np.minimum(pixel + 1, edges[1:]) - np.maximum(pixel, edges[:-1])
        weight = np.clip(covered, 0, None) * half / size
        if weight.any():
            shares.append((np.minimum(pixel, size - 1), weight))
    return shares


def _shares(square: Array, count: int) -> list[Array]:
    """How much each of ``count`` levels contributes, for footprints of ``square`` = s^2.

    Level l, interpolated, is a box 2^l wide and on average a hat of the same width: variance
    ``(4^l + 2 4^l - 1) / 12``. A footprint s wide has ``(s^2 - 1) / 12`` and the kernel's own hat
    2 / 12. Both are equal at ``4^l = 1 + (s^2 - 1) / 3``; in ``4^l`` two levels mix linearly.
    """
    wanted = 1 + (square - 1) / 3
    wanted = jnp.where(wanted < 4.0 ** (count - 1), wanted, 4.0 ** (count - 1))
    shares = []
    for level in range(count):
        low, knot, high = (4.0**k for k in (level - 1, level, level + 1))
        rising, falling = (wanted - low) / (knot - low), (high - wanted) / (high - knot)
        shares.append(jnp.where(wanted < knot, jnp.maximum(rising, 0), jnp.maximum(falling, 0)))
    return shares


def _square_stretch(coordinates: Sequence[Float[Array, "*points"]]) -> Float[Array, "*points"]:
    """The squared distance, at least 1, to the output's neighbours, in pixels of the image.

    Along each output axis the nearer of both neighbours, so that a point at a rift of the map (a
    horizon, the edge of a moving object) is not taken for a large one; the largest axis counts.
    """
    stacked = jnp.stack(coordinates, axis=-1)
    stretch = jnp.ones(stacked.shape[:-1], stacked.dtype)
    for axis, size in enumerate(stretch.shape):
        if size > 1:
            square = jnp.sum(jnp.diff(stacked, axis=axis) ** 2, axis=-1)
            first = [(0, 0)] * axis + [(1, 0)] + [(0, 0)] * (square.ndim - axis - 1)
            last = [(b, a) for a, b in first]
            before, after = (jnp.pad(square, ends, mode="edge") for ends in (first, last))
            nearer = jnp.minimum(before, after)
            stretch = jnp.where(nearer > stretch, nearer, stretch)
    return stretch
