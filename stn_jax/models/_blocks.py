"""What the networks of this package are built of, in forms whose gradients are fast on a CPU."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax import random
from jaxtyping import Array, Float, Key

from stn_jax.models._cpu_convolution import convolve as convolve
from stn_jax.models._cpu_convolution import convolve_and_pool as convolve_and_pool
from stn_jax.models._cpu_convolution import max_pool as max_pool
from stn_jax.nn.localization import (
    FullyConnectedLocalization,
    average_pool,
    check_input,
    check_sequences,
    convolved_shape,
    pooled_shape,
)
from stn_jax.transforms.base import Transform
from stn_jax.warp import Warp


class Prediction(NamedTuple):
    """What a network says of a batch.

    Attributes:
        logits: ``(b, num_classes)``.
        warps: what each spatial transformer did; empty without one.
    """

    logits: jax.Array
    warps: tuple[Warp, ...]


class ConvolutionalFeatures(nnx.Module):
    """(convolution - relu - max-pool 2) repeated.

    Args:
        input_shape: ``(h, w, c)``, or ``(d, h, w, c)``, of the input, without batch.
        filters: filters of each convolution.
        kernel_sizes: side of each convolution's kernel.
        shrink: average this many pixels along each axis first.
        pool_last: whether the last convolution is pooled too.
        pad: zeros around the input of each convolution.
        rngs: random streams of Flax.

    Attributes:
        output_shape: shape of the feature maps, without batch.

    Raises:
        ValueError: if an image is too small for its convolution, or a size is not positive; when
            called, for an input of another shape than ``(b, *input_shape)``.

    Example:
        >>> net = ConvolutionalFeatures((28, 28, 1), filters=(32, 64), kernel_sizes=(9, 7),
        ...                             rngs=nnx.Rngs(0))
        >>> net(jnp.ones((5, 28, 28, 1))).shape, net.output_shape
        ((5, 2, 2, 64), (2, 2, 64))
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        filters: Sequence[int],
        kernel_sizes: Sequence[int],
        shrink: int = 1,
        pool_last: bool = True,
        pad: int = 0,
        rngs: nnx.Rngs,
    ):
        check_sequences(input_shape=input_shape, filters=filters, kernel_sizes=kernel_sizes)
        if len(filters) != len(kernel_sizes):
            raise ValueError(
                f"filters={tuple(filters)} does not fit; kernel_sizes={tuple(kernel_sizes)} needs "
                "one number for each entry."
            )
        *sides, channels = input_shape
        counts = (channels, *filters)
        pooled = pooled_shape(sides, shrink)
        shape = convolved_shape(pooled, kernel_sizes, pool_last=pool_last, pad=pad)
        self.input_shape = tuple(input_shape)
        self.output_shape = (*shape, counts[-1])
        self.shrink = shrink
        self.pool_last = pool_last
        self.pad = pad
        self.layers = nnx.List(
            nnx.Conv(
                before,
                after,
                (size,) * len(sides),
                padding="VALID",
                kernel_init=nnx.initializers.he_normal(),
                conv_general_dilated=convolve,
                rngs=rngs,
            )
            for (before, after), size in zip(itertools.pairwise(counts), kernel_sizes, strict=True)
        )

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b *out_shape c2"]:
        """Returns the feature maps."""
        return self.activations(x)[-1]

    def activations(self, x: Float[Array, "b *shape c"]) -> list[Array]:
        """Returns the images that the first layer sees, then the feature maps of each layer."""
        check_input(x, self.input_shape)
        x = average_pool(x, self.shrink)
        maps = [x]
        for index, layer in enumerate(self.layers):
            x = pad_pixels(x, self.pad)
            if self.pool_last or index < len(self.layers) - 1:
                x = convolve_pool_relu(layer, x)
            else:
                x = jax.nn.relu(layer(x))
            maps.append(x)
        return maps


def convolve_pool_relu(
    layer: nnx.Conv, x: Float[Array, "b *shape c"]
) -> Float[Array, "b *out_shape c2"]:
    """Applies a convolution without padding, max-pooling by 2, and ReLU.

    Bias and ReLU are monotone, so they commute with max-pooling; applied after it they touch 4x
    fewer values.
    """
    assert layer.bias is not None
    bias = jnp.expand_dims(layer.bias[...], range(x.ndim - 1))
    return jax.nn.relu(convolve_and_pool(x, layer.kernel[...]) + bias)


def pad_pixels(x: Float[Array, "b *shape c"], count: int) -> Float[Array, "b *padded c"]:
    """Adds zeros at each end of the spatial axes."""
    return jnp.pad(x, [(0, 0), *[(count, count)] * (x.ndim - 2), (0, 0)]) if count else x


def convolutional_localization(
    input_shape: Sequence[int],
    transform: Transform,
    *,
    filters: Sequence[int],
    kernel_sizes: Sequence[int],
    hidden: Sequence[int],
    shrink: int = 1,
    pool_last: bool,
    pad: int = 0,
    rngs: nnx.Rngs,
) -> nnx.Sequential:
    """Returns a localization network: convolutional features, then fully connected layers.

    As `stn_jax.nn.ConvolutionalLocalization` (with ``pool_last=False``), in the forms of this file.

    Args:
        input_shape: ``(h, w, c)``, or ``(d, h, w, c)``, of the input, without batch.
        transform: what theta parameterises.
        filters: filters of each convolution.
        kernel_sizes: side of each convolution's kernel.
        hidden: units of each fully connected layer.
        shrink: average this many pixels along each axis first.
        pool_last: whether the last convolution is pooled too.
        pad: zeros around the input of each convolution.
        rngs: random streams of Flax.
    """
    features = ConvolutionalFeatures(
        input_shape,
        filters=filters,
        kernel_sizes=kernel_sizes,
        shrink=shrink,
        pool_last=pool_last,
        pad=pad,
        rngs=rngs,
    )
    head = FullyConnectedLocalization(features.output_shape, transform, hidden=hidden, rngs=rngs)
    return nnx.Sequential(features, head)


def dropout(
    keys: Key[Array, "b"], x: Float[Array, "b *shape"], shared: int = 0, *, rate: float = 0.5
) -> Float[Array, "b *shape"]:
    """Sets a part of the values to 0 and scales the others up; each image has a key of its own.

    Args:
        keys: one for each image, so that what is dropped does not depend on the batch.
        x: values.
        shared: how many axes after the batch's are dropped as one.
        rate: probability that a value is dropped; the others are divided by ``1 - rate``.

    Example:
        >>> values = dropout(random.split(random.key(0), 5), jnp.ones((5, 3, 3, 8)), shared=2)
        >>> sorted(set(values.ravel().tolist()))
        [0.0, 2.0]
    """
    shape = (*(1,) * shared, *x.shape[1 + shared :])
    kept = jax.vmap(lambda key: random.bernoulli(key, 1 - rate, shape))(keys)
    return jnp.where(kept, x / (1 - rate), 0)


class FeatureClassifier(Protocol):
    """Features -> logits, with dropout where it has keys."""

    dropout: float

    def __call__(self, x: Array, *, keys: Array | None = None) -> Array: ...


class Convolutional(nnx.Module):
    """CNN: convolution - max-pool 2, repeated, then a fully connected classifier.

    Args:
        features: images -> features.
        classifier: features -> logits; its dropout is the network's.
    """

    def __init__(self, features: ConvolutionalFeatures, classifier: FeatureClassifier):
        self.dropout: float = classifier.dropout
        self.features = features
        self.classifier = classifier

    def __call__(
        self, x: Float[Array, "b h w c"], *, keys: Key[Array, "b"] | None = None
    ) -> Float[Array, "b k"]:
        """Returns the logits; ``keys`` as for the classifier."""
        return self.classifier(self.features(x), keys=keys)

    def activations(self, x: Float[Array, "b h w c"]) -> list[Array]:
        """Returns the feature maps of each convolution, then the logits."""
        _, *maps = self.features.activations(x)
        return [*maps, self.classifier(maps[-1])]


@dataclass(frozen=True)
class ConvolutionalLocalizer:
    """Convolutional localization network: downsample by 2, conv20 5x5 - pool - conv20 5x5 - fc20.

    Attributes:
        filters: filters of each convolution.
        kernel_sizes: side of each convolution's kernel.
        hidden: units of each fully connected layer.
        shrink: average this many pixels along each axis first.
        pool_last: whether the last convolution is pooled too.
        pad: zeros around the input of each convolution.
    """

    filters: tuple[int, ...] = (20, 20)
    kernel_sizes: tuple[int, ...] = (5, 5)
    hidden: tuple[int, ...] = (20,)
    shrink: int = 2
    pool_last: bool = False
    pad: int = 0

    def build(
        self, input_shape: tuple[int, ...], transform: Transform, *, rngs: nnx.Rngs
    ) -> Callable[[Array], Array]:
        """Returns the network ``U -> theta``; see ``FullyConnectedLocalizer.build``."""
        return convolutional_localization(
            input_shape,
            transform,
            filters=self.filters,
            kernel_sizes=self.kernel_sizes,
            hidden=self.hidden,
            shrink=self.shrink,
            pool_last=self.pool_last,
            pad=self.pad,
            rngs=rngs,
        )
