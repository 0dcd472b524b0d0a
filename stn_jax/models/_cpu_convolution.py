"""Convolution and pooling as matrix products and maxima, whose gradients are fast on a CPU.

XLA:CPU takes several times as long for the gradients of its own convolutions and of
`reduce_window`. Other platforms get XLA's own convolutions.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from stn_jax import _mesh
from stn_jax._jit import jit
from stn_jax.nn.localization import split_windows
from stn_jax.sampling.platforms.cpu_fusion import materialize_input

Fn = Callable[[Array, Array], Array]  # (images, kernel) -> images

_MANY_FILTERS = 32  # With as many, a product of single windows is wide enough to be fast.


def max_pool(x: Float[Array, "b *shape c"], size: int = 2) -> Float[Array, "b *out_shape c"]:
    """Takes the maximum of windows of ``size`` pixels; cuts off an incomplete last window.

    Equals ``nnx.max_pool`` with strides, written as choices between slices. At a tie the gradient
    goes to the first.

    Args:
        x: images ``(b, h, w, c)`` or volumes ``(b, d, h, w, c)``.
        size: side of a window, at least 1.

    Returns:
        ``(b, h // size, w // size, c)``; volumes likewise.

    Example:
        >>> max_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).ravel()
        Array([3.], dtype=float32)
    """
    for axis in range(1, x.ndim - 1):
        windows = split_windows(x, size, axis)
        x = functools.reduce(_larger, jnp.unstack(windows, axis=axis + 1))
    return x


def _larger(a: Array, b: Array) -> Array:
    return jnp.where(a >= b, a, b)


def convolve(
    x: Array, kernel: Array, window_strides: Sequence[int], padding: Any, **options: Any
) -> Array:
    """Convolves: a drop-in for the ``conv_general_dilated`` of Flax's convolutions.

    On a CPU one product of all windows with the kernel (of blocks of 2 x 2, if filters are few),
    where the convolution is plain: no padding, strides, dilation or groups, channels last. XLA's
    own convolution otherwise.

    Args:
        x: images ``(b, h, w, c)`` or volumes ``(b, d, h, w, c)``.
        kernel: ``(*sides, c, filters)``.
        window_strides: as for `jax.lax.conv_general_dilated`.
        padding: as for `jax.lax.conv_general_dilated`.
        **options: the others of `jax.lax.conv_general_dilated`.

    Returns:
        ``(b, *(shape - sides + 1), filters)`` of a plain convolution.
    """
    if _is_plain(x.ndim - 2, window_strides, padding, options):
        return _convolve(x, kernel)
    return jax.lax.conv_general_dilated(x, kernel, window_strides, padding, **options)


@jit()
def _convolve(x: Array, kernel: Array) -> Array:
    """A plain convolution; jitted, so that an eager call compiles once."""
    return _by_platform(x, kernel, _window_product, _convolution)


def _by_platform(x: Array, kernel: Array, cpu: Fn, default: Fn) -> Array:
    """Chooses a form by platform; on meshes with explicit axes only the batch may be split."""

    @_mesh.auto_axes(lambda x, _: (_mesh.split_of(x)[0], *(None,) * (x.ndim - 1)))
    def run(x: Array, kernel: Array) -> Array:
        result: Array = jax.lax.platform_dependent(x, kernel, cpu=cpu, default=default)
        return result

    return run(x, kernel)


def _convolution(x: Array, kernel: Array) -> Array:
    """XLA's own."""
    n = x.ndim - 2
    numbers = _channels_last(n)
    return jax.lax.conv_general_dilated(x, kernel, (1,) * n, "VALID", dimension_numbers=numbers)


def _is_plain(n: int, strides: Sequence[int], padding: Any, options: dict[str, Any]) -> bool:
    """Says whether a convolution over ``n`` axes only slides its kernel over the pixels."""
    ones = (1,) * n
    others = {k: value for k, value in options.items() if k != "dimension_numbers"}
    return (
        tuple(strides) == ones
        and padding == "VALID"
        and options.get("dimension_numbers") == _channels_last(n)
        and all(value in (None, 1, ones) for value in others.values())  # each one's default
    )


def _channels_last(n: int) -> jax.lax.ConvDimensionNumbers:
    """Returns the layout ``(b, *sides, c), (*sides, c, filters) -> (b, *sides, filters)``."""
    images, kernels = (0, n + 1, *range(1, n + 1)), (n + 1, n, *range(n))
    return jax.lax.ConvDimensionNumbers(images, kernels, images)


@jit()
def convolve_and_pool(
    x: Float[Array, "b *shape c"], kernel: Float[Array, "*sides c f"]
) -> Float[Array, "b *out_shape f"]:
    """Convolves without padding and takes the maximum of windows of 2: ``max_pool(conv(x))``.

    On a CPU one matrix product gives all outputs of a pooling window, 4 in 2-D, as neighbouring
    columns. The 4 read nearly the same pixels, so that fewer copies of pixels are made than in
    `convolve`, and the maximum is over neighbouring columns.

    Args:
        x: images ``(b, h, w, c)`` or volumes ``(b, d, h, w, c)``.
        kernel: ``(*sides, c, f)``.

    Returns:
        ``(b, *((shape - sides + 1) // 2), f)``.

    Example:
        >>> convolve_and_pool(jnp.ones((5, 28, 28, 1)), jnp.ones((9, 9, 1, 32))).shape
        (5, 10, 10, 32)
    """
    return _by_platform(
        x, kernel, _pooled_product, lambda x, kernel: max_pool(_convolution(x, kernel))
    )


def _window_product(x: Array, kernel: Array) -> Array:
    *sides, _, filters = kernel.shape
    if filters < _MANY_FILTERS:
        return _block_convolution(x, kernel)
    spans = _spans(x, kernel)
    product = _patches(x, tuple(sides), tuple(spans)) @ kernel.reshape(-1, filters)
    return product.reshape(x.shape[0], *spans, filters)


def _block_convolution(x: Array, kernel: Array) -> Array:
    """A plain convolution by blocks: a quarter of the patches, and a product 4 times as wide."""
    n, filters = x.ndim - 2, kernel.shape[-1]
    spans = _spans(x, kernel)
    outputs = _block_product(x, kernel, [(span + 1) // 2 for span in spans])
    b, *counts = outputs.shape[: n + 1]
    outputs = outputs.reshape(b, *counts, *(2,) * n, filters)
    axes = itertools.chain(*((1 + i, 1 + n + i) for i in range(n)))
    pixels = outputs.transpose(0, *axes, 2 * n + 1).reshape(b, *(2 * c for c in counts), filters)
    return pixels[:, *map(slice, spans)]


def _pooled_product(x: Array, kernel: Array) -> Array:
    return _max(_block_product(x, kernel, [span // 2 for span in _spans(x, kernel)]))


def _spans(x: Array, kernel: Array) -> list[int]:
    """Returns the sides of a plain convolution's output."""
    return [have - side + 1 for have, side in zip(x.shape[1:-1], kernel.shape[:-2], strict=True)]


def _block_product(x: Array, kernel: Array, spans: Sequence[int]) -> Array:
    """Convolves in blocks of 2 x 2 (x 2) pixels: a block's pixels, and outputs, are channels.

    Returns:
        ``(b, *spans, 4, f)``, ``(b, *spans, 8, f)`` of volumes: the outputs of each block.
    """
    *sides, _, filters = kernel.shape
    reach = [side // 2 + 1 for side in sides]  # blocks that the outputs of one block read
    blocks = _blocks(x, [span + size - 1 for span, size in zip(spans, reach, strict=True)])
    images = jnp.moveaxis(kernel, -1, 0)
    kernels = jnp.concatenate(
        [
            _blocks(jnp.pad(images, ((0, 0), *((i, 0) for i in corner), (0, 0))), reach)
            for corner in itertools.product((0, 1), repeat=len(sides))
        ]
    )
    matrix = kernels.reshape(len(kernels), -1).T
    product = _patches(blocks, tuple(reach), tuple(spans)) @ matrix
    return product.reshape(x.shape[0], *spans, -1, filters)


def _max_and_argmax(
    x: Float[Array, "*b k f"],
) -> tuple[Float[Array, "*b f"], Int32[Array, "*b f"]]:
    """Takes the maximum over the last axis but one, and the index of the first that attains it.

    One reduction of two operands, which XLA:CPU does once and not again in each loop that reads it.
    """
    axis = x.ndim - 2

    def larger(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        keep = a[0] >= b[0]
        return jnp.where(keep, a[0], b[0]), jnp.where(keep, a[1], b[1])

    start = jnp.array(-jnp.inf, x.dtype), jnp.int32(0)
    indices = jax.lax.broadcasted_iota(jnp.int32, x.shape, axis)
    value, argmax = jax.lax.reduce((x, indices), start, larger, (axis,))
    return value, argmax


@jax.custom_jvp
def _max(x: Float[Array, "*b k f"]) -> Float[Array, "*b f"]:
    return _max_and_argmax(x)[0]


@_max.defjvp
def _max_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Transposes to ``k`` selections, joined: XLA:CPU needs two thirds of the time of one."""
    (x,), (dx,) = primals, tangents
    value, argmax = _max_and_argmax(x)
    parts = jax.lax.split(dx, (1,) * dx.shape[-2], axis=dx.ndim - 2)
    chosen = [jnp.where(argmax == i, part[..., 0, :], 0) for i, part in enumerate(parts)]
    return value, functools.reduce(jnp.add, chosen)


def _blocks(x: Array, counts: Sequence[int]) -> Array:
    """Makes each 2 x 2 (x 2) pixels one with all their channels; cut or padded to ``counts``."""
    b, *sides, c = x.shape
    missing = [max(0, 2 * count - side) for count, side in zip(counts, sides, strict=True)]
    x = jnp.pad(x, ((0, 0), *((0, count) for count in missing), (0, 0)))
    x = x[:, *(slice(2 * count) for count in counts)]
    n = len(sides)
    x = x.reshape(b, *itertools.chain(*((count, 2) for count in counts)), c)
    x = x.transpose(0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2), 2 * n + 1)
    return x.reshape(b, *counts, -1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _patches(x: Array, sides: tuple[int, ...], spans: tuple[int, ...]) -> Array:
    """Lists the pixels of every window, ``(b prod(spans), prod(sides) c)``.

    One gather through constant indices: several times as fast as slices.
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
    """The map is linear: its derivative is itself, as slices, whose transpose is no scatter."""
    (dx,) = tangents
    slices = [
        dx[:, *(slice(i, i + span) for i, span in zip(corner, spans, strict=True))]
        for corner in itertools.product(*map(range, sides))
    ]
    tangent = jnp.concatenate(slices, axis=-1).reshape(dx.shape[0] * math.prod(spans), -1)
    return _patches(*primals, sides, spans), tangent
