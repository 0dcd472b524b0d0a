"""Classifiers as Flax modules: fully connected, convolutional, with or without a transformer."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx
from jax import random
from jaxtyping import Array, Float, Key

from stn_jax.models._blocks import ConvolutionalFeatures, Prediction, dropout
from stn_jax.nn import SpatialTransformer
from stn_jax.nn.localization import (
    check_input,
    check_positive,
    check_sequences,
    flatten,
    hidden_layers,
)


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


class Convolutional(nnx.Module):
    """CNN: convolution - max-pool 2, repeated, then fully connected layers and the logits.

    Args:
        input_shape: ``(h, w, c)``, without batch.
        num_classes: number of logits.
        filters: filters of each convolution (paper: 32 to 64).
        kernel_sizes: side of each convolution's kernel (paper: 9 and 7).
        hidden: units of fully connected layers before the logits (paper: none).
        dropout: probability, in training, that an input of a fully connected layer is dropped.
        **options: as for `ConvolutionalFeatures`: shrink, pool_last.
        rngs: random streams of Flax.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        *,
        filters: Sequence[int] = (32, 64),
        kernel_sizes: Sequence[int] = (9, 7),
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        self.dropout = dropout
        self.features = ConvolutionalFeatures(
            input_shape, filters=filters, kernel_sizes=kernel_sizes, rngs=rngs, **options
        )
        self.classifier = FullyConnected(
            self.features.output_shape,
            num_classes,
            hidden=hidden,
            dropout=dropout,
            drop_input=True,
            rngs=rngs,
        )

    def __call__(
        self, x: Float[Array, "b h w c"], *, keys: Key[Array, "b"] | None = None
    ) -> Float[Array, "b k"]:
        """Returns the logits; see `Network.forward`."""
        return self.classifier(self.features(x), keys=keys)


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
