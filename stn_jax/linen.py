"""The Spatial Transformer layer for Flax Linen: twins of `stn_jax.nn`, over the same functions.

Linen infers the sizes of its inputs, so these do not ask for them; all else is the same.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY

import jax
from jaxtyping import Array, Float

try:
    import flax.linen as nn
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('stn_jax.linen needs Flax: pip install "stn-jax[nn]"') from error

from stn_jax.nn.localization import (
    average_pool,
    check_positive,
    check_sequences,
    convolved_shape,
    flatten,
    identity_bias,
    pooled_shape,
)
from stn_jax.transforms.base import Transform
from stn_jax.warp import SpatialTransformerBase, Warp

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
        >>> from stn_jax import Affine
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
        ValueError: for sizes that are not positive; when called, for an input that does not fit
            the transform, or the parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from stn_jax import Affine
        >>> net = FullyConnectedLocalization(Affine(), shrink=2)
        >>> net.init_with_output(jax.random.key(0), jnp.ones((5, 28, 28, 1)))[0].shape
        (5, 6)
    """

    transform: Transform
    _: KW_ONLY
    hidden: Sequence[int] = (32, 32, 32)
    shrink: int = 1

    def __post_init__(self) -> None:
        """Checks the sizes."""
        check_positive(shrink=self.shrink)
        check_sequences(hidden=self.hidden)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b p"]:
        """Returns theta ``(b, num_params)``."""
        _check_layout(x, self.transform)
        pooled_shape(x.shape[1:-1], self.shrink)
        features = flatten(average_pool(x, self.shrink))
        return _fully_connected(self, x.shape, features)


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
        ValueError: for sizes that are not positive; when called, for an input that is too small,
            or does not fit the transform or the parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from stn_jax import Affine
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

    def __post_init__(self) -> None:
        """Checks the sizes."""
        check_positive(kernel_size=self.kernel_size, shrink=self.shrink)
        check_sequences(filters=self.filters, hidden=self.hidden)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b p"]:
        """Returns theta ``(b, num_params)``."""
        _check_layout(x, self.transform)
        sizes = [self.kernel_size] * len(self.filters)
        convolved_shape(pooled_shape(x.shape[1:-1], self.shrink), sizes, pool_last=False)
        features = average_pool(x, self.shrink)
        pair = (2,) * self.transform.ndim
        for index, count in enumerate(self.filters):
            name = f"Conv_{index}"
            _check_inputs(self, name, x.shape, features)
            layer = nn.Conv(
                count,
                (self.kernel_size,) * self.transform.ndim,
                padding="VALID",
                kernel_init=nn.initializers.he_normal(),
                name=name,
            )
            features = jax.nn.relu(layer(features))
            if index < len(self.filters) - 1:
                features = nn.max_pool(features, pair, strides=pair)
        return _fully_connected(self, x.shape, flatten(features))


def _fully_connected(
    network: FullyConnectedLocalization | ConvolutionalLocalization,
    input_shape: tuple[int, ...],
    features: Float[Array, "b f"],
) -> Float[Array, "b p"]:
    """Adds the hidden layers and the head to a compact network."""
    names = [f"Dense_{index}" for index in range(len(network.hidden))]
    _check_inputs(network, [*names, "head"][0], input_shape, features)
    for name, size in zip(names, network.hidden, strict=True):
        layer = nn.Dense(size, kernel_init=nn.initializers.he_normal(), name=name)
        features = jax.nn.relu(layer(features))
    return parameter_head(network.transform, name="head")(features)


def _check_layout(x: Array, transform: Transform) -> None:
    """Refuses an input that is not ``(b, h, w, c)``, or ``(b, d, h, w, c)`` in 3-D."""
    if x.ndim != transform.ndim + 2:
        layout = "(b, h, w, c)" if transform.ndim == 2 else "(b, d, h, w, c)"
        raise ValueError(f"x has shape {x.shape}; a network for {transform} needs {layout}.")


def _check_inputs(
    network: nn.Module, layer: str, input_shape: tuple[int, ...], features: Array
) -> None:
    """Refuses an input of another size than the one that the parameters were made for."""
    if not network.has_variable("params", layer):
        return  # about to be made, for this size
    inputs: int = network.get_variable("params", layer)["kernel"].shape[-2]
    if features.shape[-1] != inputs:
        raise ValueError(
            f"x has shape {input_shape}, which gives {layer} {features.shape[-1]} inputs; this "
            f"network was initialised for {inputs}. Channels are last, (b, h, w, c)."
        )


class SpatialTransformer(nn.Module, SpatialTransformerBase):
    """Transforms images as its localization network says: ``V = sample(U, grid(localization(U)))``.

    The twin of `stn_jax.nn.SpatialTransformer`, which describes all options: the same result, bit
    for bit, for the same theta.

    Convention:
        Normalised coordinates, points (x, y[, z]), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        localization: module or function ``U -> theta (b, num_params)``.
        transform: what theta parameterises.
        shape: spatial shape of the output; or
        downsample_factor: the output has ``int(size // factor)`` pixels along each axis.
        mode: as for `grid_sample`; so are padding_mode, fill_value, antialias, max_levels and
            align_corners.

    Raises:
        ValueError: as `stn_jax.nn.SpatialTransformer`.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> from stn_jax import Affine
        >>> layer = SpatialTransformer(FullyConnectedLocalization(Affine()), shape=(14, 14))
        >>> x = jnp.ones((5, 28, 28, 1))
        >>> variables = layer.init(jax.random.key(0), x)
        >>> layer.apply(variables, x).shape
        (5, 14, 14, 1)
        >>> layer.apply(variables, x, method="warp").theta[0].tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """

    def __post_init__(self) -> None:
        """Checks the options."""
        SpatialTransformerBase.__post_init__(self)
        super().__post_init__()

    # Linen gives a method its scope, and so its parameters, only where the module defines it.

    def warp(self, x: Float[Array, "b *shape c"]) -> Warp:
        """Transforms a batch and keeps what was done: features, theta and grid."""
        return SpatialTransformerBase.warp(self, x)

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b *out_shape c"]:
        """Returns the transformed features."""
        return self.warp(x).features
