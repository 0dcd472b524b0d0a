"""The paper's networks for distorted MNIST (table 1): FCN and CNN, alone or behind a transformer.

`FCN` and `CNN` say what a classifier is made of, `STN` puts a spatial transformer in front of one.
`PAPER` has the four of table 1; `dataclasses.replace` changes one, say its transform.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
from flax import nnx
from jax import random
from jaxtyping import Array, Float, Key

from stn_jax.models._blocks import Convolutional, ConvolutionalFeatures, Prediction, dropout
from stn_jax.models._blocks import ConvolutionalLocalizer as ConvolutionalLocalizer
from stn_jax.models._parts import Classifier, Localizer
from stn_jax.nn import FullyConnectedLocalization, SpatialTransformer
from stn_jax.nn.localization import (
    check_fraction,
    check_input,
    check_positive,
    check_sequences,
    flatten,
    hidden_layers,
)
from stn_jax.transforms.affine import Affine
from stn_jax.transforms.base import Transform


@dataclass(frozen=True)
class FCN:
    """Fully connected classifier; the default has the paper's sizes.

    Attributes:
        hidden: units of each hidden layer (paper: two of 128 to 256).
        dropout: probability, in training, that a hidden unit is dropped (paper: none).

    Example:
        >>> import jax.numpy as jnp
        >>> FCN().build((42, 42, 1), 10, rngs=nnx.Rngs(0))(jnp.ones((2, 42, 42, 1))).shape
        (2, 10)
    """

    hidden: tuple[int, ...] = (256, 256)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Checks the probability."""
        check_fraction(dropout=self.dropout)

    def build(self, input_shape: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs) -> "Network":
        """Returns the network, freshly initialised.

        Args:
            input_shape: ``(h, w, c)``, without batch.
            num_classes: number of logits.
            rngs: random streams of Flax.
        """
        classifier = FullyConnected(
            input_shape, num_classes, hidden=self.hidden, dropout=self.dropout, rngs=rngs
        )
        return Network(classifier)


@dataclass(frozen=True)
class CNN:
    """Convolutional classifier; the default has the paper's sizes.

    Attributes:
        filters: filters of each convolution (paper: 32 to 64).
        kernel_sizes: side of each convolution's kernel.
        hidden: units of fully connected layers before the logits (paper: none).
        shrink: average this many pixels along each axis first (paper: 2 behind a transformer).
        dropout: probability, in training, that an input of a fully connected layer is dropped
            (paper: none).
        pool_last: whether the last convolution is pooled too.

    Example:
        >>> import jax.numpy as jnp
        >>> CNN().build((42, 42, 1), 10, rngs=nnx.Rngs(0))(jnp.ones((2, 42, 42, 1))).shape
        (2, 10)
    """

    filters: tuple[int, ...] = (32, 64)
    kernel_sizes: tuple[int, ...] = (9, 7)
    hidden: tuple[int, ...] = ()
    shrink: int = 1
    dropout: float = 0.0
    pool_last: bool = True

    def __post_init__(self) -> None:
        """Checks the probability, and that each convolution has a kernel size."""
        check_fraction(dropout=self.dropout)
        check_sequences(filters=self.filters, kernel_sizes=self.kernel_sizes)
        if len(self.filters) != len(self.kernel_sizes):
            raise ValueError(
                f"kernel_sizes={self.kernel_sizes} does not fit; filters={self.filters} needs one "
                "kernel size for each entry."
            )

    def build(self, input_shape: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs) -> "Network":
        """Returns the network, freshly initialised; see `FCN.build`.

        Raises:
            ValueError: for images too small for the convolutions.
        """
        features = ConvolutionalFeatures(
            input_shape,
            filters=self.filters,
            kernel_sizes=self.kernel_sizes,
            shrink=self.shrink,
            pool_last=self.pool_last,
            rngs=rngs,
        )
        classifier = FullyConnected(
            features.output_shape,
            num_classes,
            hidden=self.hidden,
            dropout=self.dropout,
            drop_input=True,
            rngs=rngs,
        )
        return Network(Convolutional(features, classifier))


@dataclass(frozen=True)
class FullyConnectedLocalizer:
    """Fully connected localization network; see `stn_jax.nn.FullyConnectedLocalization`.

    Attributes:
        hidden: units of each hidden layer.
        shrink: average this many pixels along each axis first.
    """

    hidden: tuple[int, ...] = (32, 32, 32)
    shrink: int = 1

    def build(
        self, input_shape: tuple[int, ...], transform: Transform, *, rngs: nnx.Rngs
    ) -> Callable[[Array], Array]:
        """Returns the network ``U -> theta``, which starts as the identity.

        Args:
            input_shape: ``(h, w, c)``, without batch.
            transform: what theta parameterises.
            rngs: random streams of Flax.
        """
        return FullyConnectedLocalization(
            input_shape, transform, hidden=self.hidden, shrink=self.shrink, rngs=rngs
        )


@dataclass(frozen=True)
class STN:
    """A spatial transformer in front of a classifier.

    Attributes:
        classifier: the network that sees the transformer's output; any part with
            ``build(input_shape, num_classes, rngs=)``.
        localization: the network that chooses theta; any part with
            ``build(input_shape, transform, rngs=)``.
        transform: what theta parameterises.
        output_shape: spatial shape of the transformer's output; None keeps the input's.
        padding_mode: what the transformer reads outside the image.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 4.1 and appendix A.4.

    Example:
        >>> import jax.numpy as jnp
        >>> net = PAPER["st_fcn"].build((42, 42, 1), 10, rngs=nnx.Rngs(0))
        >>> prediction = net.forward(jnp.ones((2, 42, 42, 1)))
        >>> prediction.logits.shape, prediction.warps[0].theta.shape
        ((2, 10), (2, 6))
    """

    classifier: Classifier = FCN()
    localization: Localizer = FullyConnectedLocalizer()
    transform: Transform = Affine()
    output_shape: tuple[int, ...] | None = None
    padding_mode: Literal["zeros", "border", "reflection", "wrap"] = "zeros"

    def __post_init__(self) -> None:
        """Checks the output's shape, by its name here."""
        shape = self.output_shape
        if shape is None:
            return
        if not isinstance(shape, Sequence) or len(shape) != self.transform.ndim:
            layout = "(h, w)" if self.transform.ndim == 2 else "(d, h, w)"
            raise ValueError(f"output_shape={shape!r} does not fit; it must be {layout}.")
        check_positive(output_shape=shape)

    def build(self, input_shape: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs) -> "Network":
        """Returns the network, freshly initialised; see `FCN.build`.

        Raises:
            ValueError: for images too small for the convolutions.
        """
        transformer = build_transformer(self, input_shape, rngs)
        shape = (*(self.output_shape or input_shape[:-1]), input_shape[-1])
        classifier = build_classifier(self.classifier, shape, num_classes, rngs, passes_keys=True)
        return Network(classifier, transformer)


def build_transformer(
    part: Any, input_shape: tuple[int, ...], rngs: nnx.Rngs
) -> SpatialTransformer:
    """Returns the transformer that the fields of an `STN`, or of a part like it, describe."""
    return SpatialTransformer(
        part.localization.build(input_shape, part.transform, rngs=rngs),
        part.transform,
        shape=part.output_shape,
        padding_mode=part.padding_mode,
    )


def build_classifier(
    part: Classifier,
    input_shape: tuple[int, ...],
    num_classes: int,
    rngs: nnx.Rngs,
    *,
    passes_keys: bool = False,
) -> Callable[[Array], Array]:
    """Returns a classifier alone, images -> logits, where a part builds a `Network` around it.

    Args:
        part: any part with ``build(input_shape, num_classes, rngs=)``.
        input_shape: ``(h, w, c)``, without batch.
        num_classes: number of logits.
        rngs: random streams of Flax.
        passes_keys: whether the network around it passes the keys of dropout on.

    Raises:
        ValueError: for dropout that would do nothing.
    """
    network = part.build(input_shape, num_classes, rngs=rngs)
    classifier = network.classifier if isinstance(network, Network) else network
    rate = getattr(classifier, "dropout", 0.0)
    if rate and not passes_keys:
        raise ValueError(
            f"classifier.dropout={rate} has nothing to do; the network around it has no dropout."
        )
    return classifier


PAPER: dict[str, FCN | CNN | STN] = {
    "fcn": FCN(),
    "cnn": CNN(),
    "st_fcn": STN(FCN(), FullyConnectedLocalizer()),
    "st_cnn": STN(CNN(), ConvolutionalLocalizer()),
}
"""The four networks of table 1, with its sizes and an affine transformer."""


class FullyConnected(nnx.Module):
    """FCN: hidden fully connected layers, then the logits.

    Args:
        input_shape: ``(h, w, c)``, without batch.
        num_classes: number of logits.
        hidden: units of each hidden layer (paper: two of 128 to 256).
        dropout: probability, in training, that a hidden unit is dropped.
        drop_input: whether inputs are dropped too.
        rngs: random streams of Flax.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        *,
        hidden: Sequence[int] = (256, 256),
        dropout: float = 0.0,
        drop_input: bool = False,
        rngs: nnx.Rngs,
    ):
        check_positive(num_classes=num_classes)
        check_sequences(input_shape=input_shape, hidden=hidden)
        sizes = [math.prod(input_shape), *hidden]
        self.input_shape = tuple(input_shape)
        self.dropout = dropout
        self.drop_input = drop_input
        self.hidden = hidden_layers(sizes, rngs=rngs)
        self.logits = nnx.Linear(sizes[-1], num_classes, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b h w c"], *, keys: Key[Array, "b"] | None = None
    ) -> Float[Array, "b k"]:
        """Returns the logits; see `Network.forward`."""
        check_input(x, self.input_shape)
        x = flatten(x)
        if self.drop_input:
            x = self._drop(x, keys, 0)
        for index, layer in enumerate(self.hidden, 1):
            x = self._drop(jax.nn.relu(layer(x)), keys, index)
        return self.logits(x)

    def _drop(self, x: Array, keys: Key[Array, "b"] | None, layer: int) -> Array:
        if keys is None or not self.dropout:
            return x
        return dropout(jax.vmap(random.fold_in, (0, None))(keys, layer), x, rate=self.dropout)


class Network(nnx.Module):
    """A classifier, with or without a spatial transformer in front of it.

    Args:
        classifier: images -> logits; ``FullyConnected`` and ``Convolutional`` take keys too.
        transformer: applied first, where given.
    """

    def __init__(
        self, classifier: Callable[[Array], Array], transformer: SpatialTransformer | None = None
    ):
        self.transformer = transformer
        self.classifier = classifier

    def forward(
        self, x: Float[Array, "b h w c"], *, keys: Key[Array, "b"] | None = None
    ) -> Prediction:
        """Returns the logits and what the transformer did.

        Args:
            x: images.
            keys: a key for each image, which decides what dropout drops; None drops nothing.
        """
        warps = () if self.transformer is None else (self.transformer.warp(x),)
        with jax.named_scope("classifier"):
            logits = classify(self.classifier, warps[-1].features if warps else x, keys)
        return Prediction(logits, warps)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        return self.forward(x).logits


def classify(
    classifier: Callable[..., Array], x: Array, keys: Key[Array, "b"] | None
) -> Float[Array, "b k"]:
    """Returns the logits of a classifier, which takes keys only where it has dropout."""
    if keys is None or not getattr(classifier, "dropout", 0.0):
        return classifier(x)
    return classifier(x, keys=keys)
