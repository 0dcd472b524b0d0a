"""What the paper's networks are built of: linear layers, and convolutions that are pooled."""

import itertools
import math
from collections.abc import Sequence

import jax
from flax import nnx
from jaxtyping import Array, Float

from stn_jax.nn.convolution import convolve, convolve_and_pool


def flatten(x: Float[Array, "b *shape c"]) -> Float[Array, "b f"]:
    """Makes each image a vector.

    Args:
        x: images or volumes.

    Returns:
        ``(b, h w c)``, or ``(b, d h w c)``.

    Example:
        >>> import jax.numpy as jnp
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
        input_shape: ``(h, w, c)``, or ``(d, h, w, c)``, of the input, without batch.
        filters: filters of each convolution.
        kernel_sizes: side of each convolution's kernel.
        pool_last: whether the last convolution is pooled too.
        rngs: random streams of Flax.

    Attributes:
        num_features: number of values that come out for each image.

    Raises:
        ValueError: if an image is too small for its convolution.

    Example:
        >>> import jax.numpy as jnp
        >>> net = ConvolutionalFeatures((28, 28, 1), filters=(32, 64), kernel_sizes=(9, 7),
        ...                             rngs=nnx.Rngs(0))
        >>> net(jnp.ones((5, 28, 28, 1))).shape, net.num_features
        ((5, 2, 2, 64), 256)
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        filters: Sequence[int],
        kernel_sizes: Sequence[int],
        pool_last: bool = True,
        rngs: nnx.Rngs,
    ):
        *sides, channels = input_shape
        shapes = convolved_shapes(sides, kernel_sizes, pool_last=pool_last)
        self.layers = nnx.List(
            nnx.Conv(
                inputs,
                count,
                (size,) * len(sides),
                padding="VALID",
                kernel_init=nnx.initializers.he_normal(),
                conv_general_dilated=convolve,
                rngs=rngs,
            )
            for (inputs, count), size in zip(
                itertools.pairwise((channels, *filters)), kernel_sizes, strict=True
            )
        )
        self.pool_last = pool_last
        self.num_features = math.prod(shapes[-1]) * (channels, *filters)[-1]

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b *out_shape c2"]:
        """Returns the feature maps."""
        for index, layer in enumerate(self.layers):
            if self.pool_last or index < len(self.layers) - 1:
                # Pooled first: bias and rectifier rise with their input, and have less to do so.
                assert layer.bias is not None
                x = convolve_and_pool(x, layer.kernel[...]) + layer.bias[...]
            else:
                x = layer(x)
            x = jax.nn.relu(x)
        return x


def convolved_shapes(
    shape: Sequence[int], kernel_sizes: Sequence[int], *, pool_last: bool
) -> list[tuple[int, ...]]:
    """Lists the spatial shapes before, between and after (convolution - pool 2) repeated.

    Args:
        shape: spatial shape of the input.
        kernel_sizes: side of each convolution's kernel; there is no padding.
        pool_last: whether the last convolution is pooled too.

    Raises:
        ValueError: if an image is too small for its convolution.

    Example:
        >>> convolved_shapes((28, 28), (9, 7), pool_last=True)
        [(28, 28), (10, 10), (2, 2)]
    """
    shapes = [tuple(shape)]
    for index, size in enumerate(kernel_sizes):
        if min(shapes[-1]) < size:
            raise ValueError(
                f"input_shape of {'x'.join(map(str, shape))} pixels is too small: convolution "
                f"{index} has kernel_size {size} and sees {'x'.join(map(str, shapes[-1]))} pixels."
            )
        factor = 2 if pool_last or index < len(kernel_sizes) - 1 else 1
        shapes.append(tuple((side - size + 1) // factor for side in shapes[-1]))
    return shapes
