"""The Spatial Transformer layer for Flax Linen: twins of `stn_jax.nn`, over the same functions.

Linen infers the sizes of its inputs, so these do not ask for them; all else is the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY

import flax.linen as nn
import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.nn.convolution import average_pool, convolve, max_pool
from stn_jax.nn.layers import convolved_shapes, flatten
from stn_jax.nn.localization import check_input_shape, identity_bias
from stn_jax.nn.spatial_transformer import Warp, check_size, warp
from stn_jax.transforms import Affine, Transform

__all__ = [
    "ConvolutionalLocalization",
    "FullyConnectedLocalization",
    "SpatialTransformer",
    "Warp",
    "parameter_head",
]


def parameter_head(transform: Transform, *, name: str | None = None) -> nn.Dense:
    """Returns the last layer of a localization network: zero weights, the identity as bias.

    Args:
        transform: decides the number of outputs and the bias.
        name: the layer's name in Linen's tree of parameters.

    Returns:
        A dense layer ``(*batch, features) -> (*batch, transform.num_params)``.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.1.

    Example:
        >>> import jax.numpy as jnp
        >>> parameter_head(Affine()).init_with_output(jax.random.key(0), jnp.ones(8))[0].tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """
    return nn.Dense(
        transform.num_params,
        kernel_init=nn.initializers.zeros_init(),
        bias_init=identity_bias(transform),
        name=name,
    )


class FullyConnectedLocalization(nn.Module):
    """Fully connected localization network on flat pixels.

    Args:
        transform: what theta parameterises.
        hidden: units of each hidden layer (paper: three of 32).
        shrink: average this many pixels along each axis first.

    Raises:
        ValueError: when called, if the input has not the transform's number of axes.

    Example:
        >>> import jax.numpy as jnp
        >>> net = FullyConnectedLocalization(Affine(), shrink=2)
        >>> net.init_with_output(jax.random.key(0), jnp.ones((5, 28, 28, 1)))[0].shape
        (5, 6)
    """

    transform: Transform
    _: KW_ONLY
    hidden: Sequence[int] = (32, 32, 32)
    shrink: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b p"]:
        """Returns theta ``(batch, num_params)``."""
        check_input_shape(x.shape[1:], self.transform)
        x = _hidden_layers(flatten(average_pool(x, self.shrink)), self.hidden)
        return parameter_head(self.transform, name="head")(x)


class ConvolutionalLocalization(nn.Module):
    """Convolutional localization network: (convolution - relu - max-pool 2) ... - fully connected.

    The last convolution is not pooled, as in the paper's ``conv20 5x5 - pool - conv20 5x5 - fc20``.

    Args:
        transform: what theta parameterises.
        filters: filters of each convolution.
        kernel_size: side of the convolutions, without padding.
        hidden: units of each fully connected layer.
        shrink: average this many pixels along each axis first (paper: 2).

    Raises:
        ValueError: when called, if the input has not the transform's number of axes, or is too
            small.

    Example:
        >>> import jax.numpy as jnp
        >>> net = ConvolutionalLocalization(Affine(), filters=(4, 4), shrink=2)
        >>> net.init_with_output(jax.random.key(0), jnp.ones((5, 42, 42, 1)))[0].shape
        (5, 6)
    """

    transform: Transform
    _: KW_ONLY
    filters: Sequence[int] = (20, 20)
    kernel_size: int = 5
    hidden: Sequence[int] = (20,)
    shrink: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b p"]:
        """Returns theta ``(batch, num_params)``."""
        check_input_shape(x.shape[1:], self.transform)
        x = average_pool(x, self.shrink)
        sizes = [self.kernel_size] * len(self.filters)
        convolved_shapes(x.shape[1:-1], sizes, pool_last=False)
        for index, count in enumerate(self.filters):
            layer = nn.Conv(
                count,
                (self.kernel_size,) * self.transform.ndim,
                padding="VALID",
                kernel_init=nn.initializers.he_normal(),
                conv_general_dilated=convolve,
            )
            x = jax.nn.relu(layer(x))
            if index < len(self.filters) - 1:
                x = max_pool(x)
        x = _hidden_layers(flatten(x), self.hidden)
        return parameter_head(self.transform, name="head")(x)


def _hidden_layers(x: Array, sizes: Sequence[int]) -> Array:
    for size in sizes:
        x = jax.nn.relu(nn.Dense(size, kernel_init=nn.initializers.he_normal())(x))
    return x


class SpatialTransformer(nn.Module):
    """Transforms images as its localization network says: ``V = sample(U, grid(localization(U)))``.

    The twin of `stn_jax.nn.SpatialTransformer`: bit for bit the same for the same theta.

    Convention:
        Normalised coordinates, points (x, y[, z]), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        localization: module or function ``U -> theta (b, num_params)``.
        transform: what theta parameterises.
        shape: spatial shape of the output; or
        downsample_factor: the output has ``int(size // factor)`` pixels along each axis. With
            neither the output has the input's shape.
        mode: as for `grid_sample`.
        padding_mode: as for `grid_sample`. Zeros around mean-normalised inputs make transformers
            zoom out; choose ``"border"`` then.
        fill_value: as for `grid_sample`, with ``padding_mode="fill"``.
        antialias: as for `spatial_transform`: for transformers that zoom out.
        align_corners: see the convention; for the grid and the sampler alike.

    Raises:
        ValueError: if both shape and downsample_factor are given, or the factor is not positive;
            when called, if the input or theta do not fit the transform.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> layer = SpatialTransformer(FullyConnectedLocalization(Affine()), shape=(14, 14))
        >>> x = jnp.ones((5, 28, 28, 1))
        >>> variables = layer.init(jax.random.key(0), x)
        >>> layer.apply(variables, x).shape
        (5, 14, 14, 1)
        >>> layer.apply(variables, x, method="warp").theta[0].tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """

    localization: Callable[[Array], Array]
    transform: Transform = Affine()
    _: KW_ONLY
    shape: Sequence[int] | None = None
    downsample_factor: float | None = None
    mode: str = "bilinear"
    padding_mode: str = "zeros"
    fill_value: ArrayLike = 0.0
    antialias: bool | int = False
    align_corners: bool = ALIGN_CORNERS

    def __post_init__(self) -> None:
        """Checks the output's size."""
        check_size(self.shape, self.downsample_factor)
        super().__post_init__()

    def warp(self, x: Float[Array, "b *shape c"]) -> Warp:
        """Transforms a batch and keeps what was done: features, theta and grid."""
        return warp(
            x,
            self.localization(x),
            self.transform,
            shape=self.shape,
            downsample_factor=self.downsample_factor,
            mode=self.mode,
            padding_mode=self.padding_mode,
            fill_value=self.fill_value,
            antialias=self.antialias,
            align_corners=self.align_corners,
        )

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b *out_shape c"]:
        """Returns the transformed features."""
        return self.warp(x).features
