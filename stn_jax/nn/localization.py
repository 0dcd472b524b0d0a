"""Localization networks: U -> theta.

Every network ends in a layer with zero weights whose bias is the transform's identity, so that an
untrained transformer moves nothing (STN paper, section 3.1).
"""

import itertools
import math
import numbers
from collections.abc import Callable, Iterable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stn_jax.transforms.base import Transform


def parameter_head(features: int, transform: Transform, *, rngs: nnx.Rngs) -> nnx.Linear:
    """Returns the last layer of a localization network: zero weights, the identity as bias.

    Args:
        features: number of inputs.
        transform: decides the number of outputs and the bias.
        rngs: random streams of Flax (zeros do not use them, Flax requires them).

    Returns:
        A linear layer ``(*batch, features) -> (*batch, transform.num_params)``.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.1.

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


class FullyConnectedLocalization(nnx.Module):
    """Fully connected localization network on flat pixels.

    Args:
        input_shape: ``(h, w, c)``, or ``(d, h, w, c)``, of the input, without batch.
        transform: what theta parameterises.
        hidden: units of each hidden layer (paper: three of 32).
        shrink: average this many pixels along each axis first.
        rngs: random streams of Flax.

    Raises:
        ValueError: for an input_shape that does not fit the transform, or sizes that are not
            positive; when called, for an input of another shape than ``(b, *input_shape)``.

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
        check_sequences(hidden=hidden)
        *sides, channels = input_shape
        sizes = [math.prod(pooled_shape(sides, shrink)) * channels, *hidden]
        self.input_shape = tuple(map(int, input_shape))
        self.shrink = shrink
        self.hidden = hidden_layers(sizes, rngs=rngs)
        self.head = parameter_head(sizes[-1], transform, rngs=rngs)

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b p"]:
        """Returns theta ``(b, num_params)``."""
        check_input(x, self.input_shape)
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
        ValueError: for an input_shape that does not fit the transform or is too small, or sizes
            that are not positive; when called, for an input of another shape than
            ``(b, *input_shape)``.

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
        check_positive(kernel_size=kernel_size)
        check_sequences(filters=filters, hidden=hidden)
        *sides, channels = input_shape
        shape = convolved_shape(
            pooled_shape(sides, shrink), [kernel_size] * len(filters), pool_last=False
        )
        self.input_shape = tuple(map(int, input_shape))
        self.shrink = shrink
        self.convolutions = nnx.List(
            nnx.Conv(
                before,
                after,
                (kernel_size,) * len(sides),
                padding="VALID",
                kernel_init=nnx.initializers.he_normal(),
                rngs=rngs,
            )
            for before, after in itertools.pairwise((channels, *filters))
        )
        sizes = [math.prod(shape) * (channels, *filters)[-1], *hidden]
        self.hidden = hidden_layers(sizes, rngs=rngs)
        self.head = parameter_head(sizes[-1], transform, rngs=rngs)

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b p"]:
        """Returns theta ``(b, num_params)``."""
        check_input(x, self.input_shape)
        x = average_pool(x, self.shrink)
        pair = (2,) * (x.ndim - 2)
        for index, convolution in enumerate(self.convolutions):
            x = jax.nn.relu(convolution(x))
            if index < len(self.convolutions) - 1:
                x = nnx.max_pool(x, pair, strides=pair)
        x = flatten(x)
        for layer in self.hidden:
            x = jax.nn.relu(layer(x))
        return self.head(x)


# ---- what networks are made of, here, in `stn_jax.linen` and in `stn_jax.models` -----------------


def identity_bias(transform: Transform) -> Callable[..., Array]:
    """Returns Flax's initializer of a bias that is the transform's identity (NNX and Linen)."""

    def identity(key: jax.Array, shape: Sequence[int], dtype: jnp.dtype) -> Array:
        return jnp.asarray(transform.identity(), dtype)

    return identity


def hidden_layers(sizes: Sequence[int], *, rngs: nnx.Rngs) -> "nnx.List[nnx.Linear]":
    """Returns the linear layers between successive sizes, initialised for ReLU."""
    return nnx.List(
        nnx.Linear(a, b, kernel_init=nnx.initializers.he_normal(), rngs=rngs)
        for a, b in itertools.pairwise(sizes)
    )


def flatten(x: Float[Array, "b *shape c"]) -> Float[Array, "b f"]:
    """Makes each image a vector: ``(b, h, w, c) -> (b, h w c)``."""
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


def average_pool(x: Float[Array, "b *shape c"], size: int) -> Float[Array, "b *out_shape c"]:
    """Averages windows of ``size`` pixels along each axis; cuts off an incomplete last window.

    Equals ``nnx.avg_pool`` with strides, which strict dtype promotion refuses.

    Example:
        >>> average_pool(jnp.arange(4.0).reshape(1, 2, 2, 1), 2).ravel()
        Array([1.5], dtype=float32)
    """
    if size == 1:
        return x
    for axis in range(1, x.ndim - 1):
        x = jnp.mean(split_windows(x, size, axis), axis=axis + 1)
    return x


def split_windows(x: Array, size: int, axis: int) -> Array:
    """Splits an axis in two: ``(..., n, ...) -> (..., n // size, size, ...)``."""
    count = x.shape[axis] // size
    x = jax.lax.slice_in_dim(x, 0, count * size, axis=axis)
    return x.reshape(*x.shape[:axis], count, size, *x.shape[axis + 1 :])


def pooled_shape(sides: Sequence[int], size: int) -> tuple[int, ...]:
    """Returns the spatial shape that `average_pool` leaves; refuses to leave nothing."""
    check_positive(shrink=size)
    if min(sides) < size:
        raise ValueError(f"shrink={size} leaves nothing of an input of {_by(sides)} pixels.")
    return tuple(side // size for side in sides)


def convolved_shape(
    sides: Sequence[int], kernel_sizes: Sequence[int], *, pool_last: bool, pad: int = 0
) -> tuple[int, ...]:
    """Returns the spatial shape after (convolution - pool 2) repeated.

    Each convolution sees ``pad`` more pixels at each end, and adds none itself.

    Raises:
        ValueError: if nothing is left.

    Example:
        >>> convolved_shape((28, 28), (9, 7), pool_last=True)
        (2, 2)
    """
    shape = tuple(sides)
    for index, size in enumerate(kernel_sizes):
        factor = 2 if pool_last or index < len(kernel_sizes) - 1 else 1
        before, shape = shape, tuple((side + 2 * pad - size + 1) // factor for side in shape)
        if min(shape) < 1:
            raise ValueError(
                f"input_shape of {_by(sides)} pixels is too small: convolution {index} has "
                f"kernel_size {size} and sees {_by(before)} pixels"
                f"{', which are pooled by 2' if factor == 2 else ''}."
            )
    return shape


def _by(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))


# ---- checks --------------------------------------------------------------------------------------


def check_positive(**sizes: int | Sequence[int]) -> None:
    """Refuses sizes that are not positive integers, by the argument's name."""
    for argument, value in sizes.items():
        several = value if isinstance(value, Iterable) else (value,)
        if not all(isinstance(size, numbers.Integral) and size >= 1 for size in several):
            raise ValueError(f"{argument}={value!r} does not fit; give positive integers.")


def check_fraction(**values: float) -> None:
    """Refuses what is no number in [0, 1), by the argument's name."""
    for argument, value in values.items():
        if not isinstance(value, numbers.Real) or not 0 <= value < 1:
            raise ValueError(f"{argument}={value!r} does not fit; give a number in [0, 1).")


def check_sequences(**sizes: Sequence[int]) -> None:
    """Refuses what is no sequence of positive integers, by the argument's name."""
    for argument, value in sizes.items():
        if not isinstance(value, Iterable):
            raise ValueError(
                f"{argument}={value!r} does not fit; give a tuple, a number for each layer."
            )
    check_positive(**sizes)


def check_input_shape(input_shape: Sequence[int], transform: Transform) -> None:
    """Refuses an input_shape that is not ``(h, w, c)``, or ``(d, h, w, c)`` in 3-D."""
    if len(input_shape) != transform.ndim + 1:
        layout = "(h, w, c)" if transform.ndim == 2 else "(d, h, w, c)"
        raise ValueError(
            f"input_shape={tuple(input_shape)} does not fit {transform}; it is {transform.ndim}-D "
            f"and needs {layout}, without batch."
        )
    check_positive(input_shape=input_shape)


def check_input(x: Array, input_shape: tuple[int, ...]) -> None:
    """Refuses an input of another shape than ``(b, *input_shape)``, and says how to mend it."""
    if x.shape[1:] == input_shape:
        return
    *sides, channels = input_shape
    hint = "build it for this size, or resize the input"
    if x.shape == input_shape:
        hint = "add a batch axis, x[None]"
    elif x.shape[1:] == (channels, *sides):
        hint = "move channels last, jnp.moveaxis(x, 1, -1)"
    elif (*x.shape[1:], 1) == input_shape:
        hint = "add the channel axis, x[..., None]"
    raise ValueError(
        f"x has shape {x.shape}; this network was built for (b, {', '.join(map(str, input_shape))})"
        f": {hint}."
    )
