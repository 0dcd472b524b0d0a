"""Localization networks: U -> theta.

Every network ends in a layer with zero weights whose bias is the transform's identity, so that an
untrained transformer moves nothing (STN paper, section 3.1).
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stn_jax.nn.convolution import average_pool
from stn_jax.nn.layers import ConvolutionalFeatures, flatten, hidden_layers
from stn_jax.transforms import Transform


def parameter_head(features: int, transform: Transform, *, rngs: nnx.Rngs) -> nnx.Linear:
    """Returns the last layer of a localization network: zero weights, the identity as bias.

    Args:
        features: number of inputs.
        transform: decides the number of outputs and the bias.
        rngs: random streams of Flax (unused by zeros, but Flax asks for them).

    Returns:
        A linear layer ``(*batch, features) -> (*batch, transform.num_params)``.

    Example:
        >>> from stn_jax import Affine
        >>> head = parameter_head(8, Affine(), rngs=nnx.Rngs(0))
        >>> head(jnp.ones(8)).tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """
    return nnx.Linear(
        features,
        transform.num_params,
        kernel_init=nnx.initializers.zeros_init(),
        bias_init=identity_bias(transform),
        rngs=rngs,
    )


def identity_bias(transform: Transform) -> Callable[..., Array]:
    """Returns Flax's initializer of a bias that is the transform's identity (NNX and Linen).

    Args:
        transform: the family whose identity it is.

    Example:
        >>> from stn_jax import Attention
        >>> identity_bias(Attention())(jax.random.key(0), (3,), jnp.float32).tolist()
        [1.0, 0.0, 0.0]
    """

    def identity(key: jax.Array, shape: Sequence[int], dtype: jnp.dtype) -> Array:
        return jnp.asarray(transform.identity(), dtype)

    return identity


def check_input_shape(input_shape: Sequence[int], transform: Transform) -> None:
    """Refuses inputs with another number of axes than the transform's.

    Args:
        input_shape: shape of the input, without batch.
        transform: the family that is to be localized.

    Raises:
        ValueError: for an input shape that is not ``(h, w, c)``, or ``(d, h, w, c)`` in 3-D.
    """
    if len(input_shape) != transform.ndim + 1:
        layout = "(h, w, c)" if transform.ndim == 2 else "(d, h, w, c)"
        raise ValueError(
            f"input_shape={tuple(input_shape)} does not fit {transform}; it is {transform.ndim}-D "
            f"and needs {layout}, without batch."
        )


class FullyConnectedLocalization(nnx.Module):
    """Fully connected localization network on flat pixels.

    Args:
        input_shape: ``(h, w, c)``, or ``(d, h, w, c)``, of the input, without batch.
        transform: what theta parameterises.
        hidden: units of each hidden layer (paper: three of 32).
        shrink: average this many pixels along each axis first.
        rngs: random streams of Flax.

    Raises:
        ValueError: if input_shape has not the transform's number of axes.

    Example:
        >>> from stn_jax import Affine
        >>> net = FullyConnectedLocalization((28, 28, 1), Affine(), rngs=nnx.Rngs(0))
        >>> net(jnp.ones((5, 28, 28, 1))).shape
        (5, 6)
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        transform: Transform,
        *,
        hidden: Sequence[int] = (32, 32, 32),
        shrink: int = 1,
        rngs: nnx.Rngs,
    ):
        check_input_shape(input_shape, transform)
        *sides, channels = input_shape
        sizes = [math.prod(side // shrink for side in sides) * channels, *hidden]
        self.shrink = shrink
        self.hidden = hidden_layers(sizes, rngs=rngs)
        self.head = parameter_head(sizes[-1], transform, rngs=rngs)

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b p"]:
        """Returns theta ``(batch, num_params)``."""
        x = flatten(average_pool(x, self.shrink))
        for layer in self.hidden:
            x = jax.nn.relu(layer(x))
        return self.head(x)


class ConvolutionalLocalization(nnx.Module):
    """Convolutional localization network: (convolution - relu - max-pool 2) ... - fully connected.

    The last convolution is not pooled, as in the paper's ``conv20 5x5 - pool - conv20 5x5 - fc20``.

    Args:
        input_shape: ``(h, w, c)``, or ``(d, h, w, c)``, of the input, without batch.
        transform: what theta parameterises.
        filters: filters of each convolution.
        kernel_size: side of the convolutions, without padding.
        hidden: units of each fully connected layer.
        shrink: average this many pixels along each axis first (paper: 2).
        rngs: random streams of Flax.

    Raises:
        ValueError: if input_shape has not the transform's number of axes, or is too small.

    Example:
        >>> from stn_jax import Projective
        >>> net = ConvolutionalLocalization((42, 42, 1), Projective(), shrink=2, rngs=nnx.Rngs(0))
        >>> net(jnp.ones((5, 42, 42, 1))).shape
        (5, 8)
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        transform: Transform,
        *,
        filters: Sequence[int] = (20, 20),
        kernel_size: int = 5,
        hidden: Sequence[int] = (20,),
        shrink: int = 1,
        rngs: nnx.Rngs,
    ):
        check_input_shape(input_shape, transform)
        *sides, channels = input_shape
        self.shrink = shrink
        self.features = ConvolutionalFeatures(
            [*(side // shrink for side in sides), channels],
            filters=filters,
            kernel_sizes=[kernel_size] * len(filters),
            pool_last=False,
            rngs=rngs,
        )
        sizes = [self.features.num_features, *hidden]
        self.hidden = hidden_layers(sizes, rngs=rngs)
        self.head = parameter_head(sizes[-1], transform, rngs=rngs)

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b p"]:
        """Returns theta ``(batch, num_params)``."""
        x = flatten(self.features(average_pool(x, self.shrink)))
        for layer in self.hidden:
            x = jax.nn.relu(layer(x))
        return self.head(x)
