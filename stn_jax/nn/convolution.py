"""Convolution and pooling as matrix products and maxima, whose gradients are quick on a CPU.

XLA:CPU takes several times as long for those of its own convolutions and of `reduce_window`.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stn_jax.sampling.platforms.cpu_fusion import materialize_input


def average_pool(x: Float[Array, "b *shape c"], size: int) -> Float[Array, "b *out_shape c"]:
    """Averages windows of ``size`` pixels along each axis; an unfilled rest is cut.

    Args:
        x: images ``(b, h, w, c)`` or volumes ``(b, d, h, w, c)``.
        size: side of a window, at least 1.

    Returns:
        ``(b, h // size, w // size, c)``; volumes likewise.

    Example:
        >>> average_pool(jnp.arange(4.0).reshape(1, 2, 2, 1), 2).ravel()
        Array([1.5], dtype=float32)
    """
    return x if size == 1 else jnp.mean(_windows(x, size), axis=tuple(range(2, 2 * x.ndim - 3, 2)))


def max_pool(x: Float[Array, "b *shape c"], size: int = 2) -> Float[Array, "b *out_shape c"]:
    """Takes the maximum of windows of ``size`` pixels along each axis; an unfilled rest is cut.

    Written as choices between slices: the gradient of `reduce_window` takes several times as long
    on a CPU. At a tie the gradient goes to the first.

    Args:
        x: images ``(b, h, w, c)`` or volumes ``(b, d, h, w, c)``.
        size: side of a window, at least 1.

    Returns:
        ``(b, h // size, w // size, c)``; volumes likewise.

    Example:
        >>> max_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).ravel()
        Array([3.], dtype=float32)
    """
    values = _windows(x, size)
    for axis in range(2, x.ndim):  # A window's axis goes, and the next one's moves up to its place.
        before = (slice(None),) * axis
        values = functools.reduce(_larger, (values[*before, i] for i in range(size)))
    return values


def _larger(a: Array, b: Array) -> Array:
    return jnp.where(a >= b, a, b)


def _windows(x: Array, size: int) -> Array:
    """Cuts every spatial axis in two: ``(b, h // size, size, w // size, size, c)``."""
    b, *sides, c = x.shape
    counts = [side // size for side in sides]
    whole = x[:, *(slice(count * size) for count in counts)]
    return whole.reshape(b, *itertools.chain(*((count, size) for count in counts)), c)


def convolve(x: Array, kernel: Array, *arguments: Any, **options: Any) -> Array:
    """Convolves without padding, by the form that the platform is quick at.

    Drop-in for the `conv_general_dilated` of Flax's convolutions (NNX and Linen) with
    ``padding="VALID"``, one group, no strides. On a CPU one product of all windows with the kernel:
    XLA's own convolutions have gradients there that take several times as long.

    Args:
        x: images ``(b, h, w, c)`` or volumes ``(b, d, h, w, c)``.
        kernel: ``(*sides, c, filters)``.
        *arguments: the others of `jax.lax.conv_general_dilated`.
        **options: the others of `jax.lax.conv_general_dilated`.

    Returns:
        ``(b, *(shape - sides + 1), filters)``.
    """

    def convolution(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(x, kernel, *arguments, **options)

    return jax.lax.platform_dependent(x, kernel, cpu=_window_product, default=convolution)


def convolve_and_pool(
    x: Float[Array, "b *shape c"], kernel: Float[Array, "*sides c f"]
) -> Float[Array, "b *out_shape f"]:
    """Convolves without padding and takes the maximum of windows of 2: ``max_pool(conv(x))``.

    On a CPU one product of matrices gives all that a window holds, 4 outputs in 2-D, side by side:
    the 4 read nearly the same pixels, so that a fraction of the copies that `convolve` makes will
    do, and the maximum is one of neighbouring columns.

    Args:
        x: images ``(b, h, w, c)`` or volumes ``(b, d, h, w, c)``.
        kernel: ``(*sides, c, f)``.

    Returns:
        ``(b, *((shape - sides + 1) // 2), f)``.

    Example:
        >>> convolve_and_pool(jnp.ones((5, 28, 28, 1)), jnp.ones((9, 9, 1, 32))).shape
        (5, 10, 10, 32)
    """

    def one_by_one(x: Array, kernel: Array) -> Array:
        n = len(kernel.shape) - 2
        axes = (0, n + 1, *range(1, n + 1)), (n + 1, n, *range(n)), (0, n + 1, *range(1, n + 1))
        numbers = jax.lax.ConvDimensionNumbers(*axes)
        return max_pool(
            jax.lax.conv_general_dilated(x, kernel, (1,) * n, "VALID", dimension_numbers=numbers)
        )

    return jax.lax.platform_dependent(x, kernel, cpu=_pooled_product, default=one_by_one)


def _window_product(x: Array, kernel: Array) -> Array:
    *sides, _, filters = kernel.shape
    spans = [have - side + 1 for have, side in zip(x.shape[1:-1], sides, strict=True)]
    product = _patches(x, tuple(sides), tuple(spans)) @ kernel.reshape(-1, filters)
    return product.reshape(x.shape[0], *spans, filters)


def _pooled_product(x: Array, kernel: Array) -> Array:
    """In units of 2 pixels: pixels of a unit become channels, and so do outputs of a unit."""
    *sides, _, filters = kernel.shape
    spans = [(have - side + 1) // 2 for have, side in zip(x.shape[1:-1], sides, strict=True)]
    reach = [side // 2 + 1 for side in sides]  # units that the outputs of a unit read
    units = _units(x, [span + size - 1 for span, size in zip(spans, reach, strict=True)])
    images = jnp.moveaxis(kernel, -1, 0)
    kernels = jnp.concatenate(
        [
            _units(jnp.pad(images, ((0, 0), *((i, 0) for i in corner), (0, 0))), reach)
            for corner in itertools.product((0, 1), repeat=len(sides))
        ]
    )
    matrix = kernels.reshape(len(kernels), -1).T
    product = _patches(units, tuple(reach), tuple(spans)) @ matrix
    outputs = product.reshape(x.shape[0], *spans, -1, filters)
    return _largest(outputs)


def _first_largest(x: Array) -> tuple[Array, Array]:
    """Takes the maximum over the last axis but one, and the place of the first that is as large."""
    value, place = x[..., 0, :], jnp.zeros_like(x[..., 0, :], dtype=jnp.int8)
    for index in range(1, x.shape[-2]):
        place = jnp.where(value >= x[..., index, :], place, jnp.int8(index))
        value = _larger(value, x[..., index, :])
    return value, place


@jax.custom_jvp
def _largest(x: Array) -> Array:
    return _first_largest(x)[0]


@_largest.defjvp
def _largest_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Its transpose is one choice for each element; that of slices would be a sum of pads."""
    (x,), (dx,) = primals, tangents
    value, place = _first_largest(x)
    index = jnp.arange(x.shape[-2], dtype=jnp.int8)[:, None]
    return value, jnp.where(index == place[..., None, :], dx, 0).sum(-2)


def _units(x: Array, counts: Sequence[int]) -> Array:
    """Makes each 2 x 2 (x 2) pixels one with all their channels; cut or padded to ``counts``."""
    b, *sides, c = x.shape
    lacks = [max(0, 2 * count - side) for count, side in zip(counts, sides, strict=True)]
    x = jnp.pad(x, ((0, 0), *((0, lack) for lack in lacks), (0, 0)))
    x = x[:, *(slice(2 * count) for count in counts)]
    n = len(sides)
    x = x.reshape(b, *itertools.chain(*((count, 2) for count in counts)), c)
    x = x.transpose(0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2), 2 * n + 1)
    return x.reshape(b, *counts, -1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _patches(x: Array, sides: tuple[int, ...], spans: tuple[int, ...]) -> Array:
    """Lists what every window sees, ``(b prod(spans), prod(sides) c)``.

    Read pixel by pixel, through constant indices: several times as quick as slices.
    """
    b, *shape, c = x.shape
    pixels = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, sides)
    windows = windows[tuple(slice(span) for span in spans)]
    rows = jnp.take(
        materialize_input(x).reshape(b, -1, c), windows.reshape(-1), axis=1, mode="clip"
    )
    return rows.reshape(b * math.prod(spans), -1)


@_patches.defjvp
def _patches_jvp(
    sides: tuple[int, ...], spans: tuple[int, ...], primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    """The map is linear: its derivative is itself, as slices, whose transpose needs no scatter."""
    (dx,) = tangents
    slices = [
        dx[:, *(slice(i, i + span) for i, span in zip(corner, spans, strict=True))]
        for corner in itertools.product(*map(range, sides))
    ]
    tangent = jnp.concatenate(slices, axis=-1).reshape(dx.shape[0] * math.prod(spans), -1)
    return _patches(*primals, sides, spans), tangent
