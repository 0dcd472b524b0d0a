"""Convolution and pooling as the paper's networks need them, in the forms that are quick.

XLA:CPU has slow gradients for convolutions and for `reduce_window`; the forms here are plain
matrix products and maxima, several times quicker there (docs of each function).
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


def average_pool(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b h2 w2 c"]:
    """Averages windows of ``size`` x ``size`` pixels; an unfilled rest is cut.

    Args:
        x: images.
        size: side of a window, at least 1.

    Returns:
        ``(b, h // size, w // size, c)``.

    Example:
        >>> average_pool(jnp.arange(4.0).reshape(1, 2, 2, 1), 2).ravel()
        Array([1.5], dtype=float32)
    """
    return x if size == 1 else jnp.mean(_windows(x, size), axis=(2, 4))


def max_pool(x: Float[Array, "b h w c"], size: int = 2) -> Float[Array, "b h2 w2 c"]:
    """Takes the maximum of windows of ``size`` x ``size`` pixels; an unfilled rest is cut.

    Written as choices between slices: the gradient of `reduce_window` takes several times as long
    on a CPU. At a tie the gradient goes to the first.

    Args:
        x: images.
        size: side of a window, at least 1.

    Returns:
        ``(b, h // size, w // size, c)``.

    Example:
        >>> max_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).ravel()
        Array([3.], dtype=float32)
    """
    windows = _windows(x, size)
    rows = functools.reduce(_larger, (windows[:, :, i] for i in range(size)))
    return functools.reduce(_larger, (rows[:, :, :, i] for i in range(size)))


def _larger(a: Array, b: Array) -> Array:
    return jnp.where(a >= b, a, b)


def _windows(x: Array, size: int) -> Array:
    b, height, width, c = x.shape
    height, width = height // size, width // size
    return x[:, : height * size, : width * size].reshape(b, height, size, width, size, c)


def flatten(x: Float[Array, "b h w c"]) -> Float[Array, "b f"]:
    """Makes each image a vector.

    Args:
        x: images.

    Returns:
        ``(b, h w c)``.

    Example:
        >>> flatten(jnp.ones((2, 3, 3, 1))).shape
        (2, 9)
    """
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


def hidden_layers(sizes: Sequence[int], *, rngs: nnx.Rngs) -> nnx.List:
    """Returns the linear layers between successive sizes, initialised for rectifiers.

    Args:
        sizes: number of inputs, then units of each layer.
        rngs: random streams of Flax.

    Example:
        >>> [layer.out_features for layer in hidden_layers((8, 4, 2), rngs=nnx.Rngs(0))]
        [4, 2]
    """
    return nnx.List(
        nnx.Linear(a, b, kernel_init=nnx.initializers.he_normal(), rngs=rngs)
        for a, b in itertools.pairwise(sizes)
    )


class ConvolutionalFeatures(nnx.Module):
    """(convolution - relu - max-pool 2) repeated; convolutions have no padding.

    Args:
        input_shape: ``(h, w, c)`` of the input, without batch.
        filters: filters of each convolution.
        kernel_sizes: side of each convolution's kernel.
        pool_last: whether the last convolution is pooled too.
        rngs: random streams of Flax.

    Attributes:
        num_features: number of values that come out for each image.

    Raises:
        ValueError: if an image is too small for its convolution.

    Example:
        >>> net = ConvolutionalFeatures((28, 28, 1), filters=(32, 64), kernel_sizes=(9, 7),
        ...                             rngs=nnx.Rngs(0))
        >>> net(jnp.ones((5, 28, 28, 1))).shape, net.num_features
        ((5, 2, 2, 64), 256)
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        *,
        filters: Sequence[int],
        kernel_sizes: Sequence[int],
        pool_last: bool = True,
        rngs: nnx.Rngs,
    ):
        height, width, channels = input_shape
        layers = []
        for index, (count, size) in enumerate(zip(filters, kernel_sizes, strict=True)):
            if min(height, width) < size:
                raise ValueError(
                    f"input_shape={tuple(input_shape)} is too small: convolution {index} has "
                    f"kernel_size {size} and sees {height}x{width} pixels."
                )
            layers.append(
                nnx.Conv(
                    channels,
                    count,
                    (size, size),
                    padding="VALID",
                    kernel_init=nnx.initializers.he_normal(),
                    conv_general_dilated=_convolve,
                    rngs=rngs,
                )
            )
            pooled = pool_last or index < len(filters) - 1
            height, width = ((side - size + 1) // (2 if pooled else 1) for side in (height, width))
            channels = count
        self.layers = nnx.List(layers)
        self.pool_last = pool_last
        self.num_features = height * width * channels

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """Returns the feature maps."""
        for index, layer in enumerate(self.layers):
            x = jax.nn.relu(layer(x))
            if self.pool_last or index < len(self.layers) - 1:
                x = max_pool(x)
        return x


def _convolve(x: Array, kernel: Array, *arguments: Any, **options: Any) -> Array:
    """Convolves without padding, by the form that the platform is quick at.

    Drop-in for the `conv_general_dilated` of `nnx.Conv` with ``padding="VALID"``, one group, no
    strides. On a CPU one product of all windows with the kernel: XLA's own convolutions have
    gradients there that take several times as long.
    """

    def convolution(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(x, kernel, *arguments, **options)

    return jax.lax.platform_dependent(x, kernel, cpu=_window_product, default=convolution)


def _window_product(x: Array, kernel: Array) -> Array:
    height, width, channels, filters = kernel.shape
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    windows = jnp.concatenate(
        [x[:, i : i + rows, j : j + columns] for i in range(height) for j in range(width)], axis=-1
    )
    product = windows.reshape(-1, height * width * channels) @ kernel.reshape(-1, filters)
    return product.reshape(x.shape[0], rows, columns, filters)
