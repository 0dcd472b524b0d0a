"""The paper's networks for distorted MNIST (table 1): FCN and CNN, alone or behind a transformer.

A network is a classifier, and where its name begins with ``st_`` a spatial transformer in front.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from flax import nnx
from jaxtyping import Array, Float

from stn_jax.nn import (
    ConvolutionalFeatures,
    ConvolutionalLocalization,
    FullyConnectedLocalization,
    SpatialTransformer,
    Warp,
    average_pool,
    flatten,
    hidden_layers,
)
from stn_jax.transforms import Affine, Transform

NAMES = ("fcn", "cnn", "st_fcn", "st_cnn")
"""Networks that `build` knows, as the rows of the paper's table 1."""


class Prediction(NamedTuple):
    """What a network says of a batch.

    Attributes:
        logits: ``(b, num_classes)``.
        warps: what each spatial transformer did; empty without one.
    """

    logits: jax.Array
    warps: tuple[Warp, ...]


class FullyConnected(nnx.Module):
    """FCN: hidden fully connected layers, then the logits.

    Args:
        input_shape: ``(h, w, c)``, without batch.
        num_classes: number of logits.
        hidden: units of each hidden layer (paper: two of 128 to 256).
        rngs: random streams of Flax.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        *,
        hidden: Sequence[int] = (256, 256),
        rngs: nnx.Rngs,
    ):
        height, width, channels = input_shape
        sizes = [height * width * channels, *hidden]
        self.hidden = hidden_layers(sizes, rngs=rngs)
        self.logits = nnx.Linear(sizes[-1], num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        x = flatten(x)
        for layer in self.hidden:
            x = jax.nn.relu(layer(x))
        return self.logits(x)


class Convolutional(nnx.Module):
    """CNN: convolution - max-pool 2, repeated, then fully connected layers and the logits.

    Args:
        input_shape: ``(h, w, c)``, without batch.
        num_classes: number of logits.
        filters: filters of each convolution (paper: 32 to 64).
        kernel_sizes: side of each convolution's kernel (paper: 9 and 7).
        hidden: units of fully connected layers before the logits (paper: none).
        shrink: average this many pixels along each axis first (paper: 2 behind a transformer).
        rngs: random streams of Flax.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        *,
        filters: Sequence[int] = (32, 64),
        kernel_sizes: Sequence[int] = (9, 7),
        hidden: Sequence[int] = (),
        shrink: int = 1,
        rngs: nnx.Rngs,
    ):
        height, width, channels = input_shape
        self.shrink = shrink
        self.features = ConvolutionalFeatures(
            (height // shrink, width // shrink, channels),
            filters=filters,
            kernel_sizes=kernel_sizes,
            rngs=rngs,
        )
        self.classifier = FullyConnected(
            (1, 1, self.features.num_features), num_classes, hidden=hidden, rngs=rngs
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        features = flatten(self.features(average_pool(x, self.shrink)))
        return self.classifier(features[:, None, None, :])


class Network(nnx.Module):
    """A classifier, with or without a spatial transformer in front of it.

    Args:
        classifier: images -> logits.
        transformer: applied first, where given.
    """

    def __init__(
        self, classifier: Callable[[Array], Array], transformer: SpatialTransformer | None = None
    ):
        self.transformer = transformer
        self.classifier = classifier

    def forward(self, x: Float[Array, "b h w c"]) -> Prediction:
        """Returns the logits and what the transformer did."""
        warps = () if self.transformer is None else (self.transformer.warp(x),)
        with jax.named_scope("classifier"):
            logits = self.classifier(warps[-1].features if warps else x)
        return Prediction(logits, warps)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        return self.forward(x).logits


def build(
    name: str,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    rngs: nnx.Rngs,
    transform: Transform = Affine(),
    output_shape: tuple[int, int] | None = None,
    shrink: int = 1,
    hidden: Sequence[int] | None = None,
    filters: Sequence[int] = (32, 64),
    kernel_sizes: Sequence[int] = (9, 7),
    localization: str | None = None,
    localization_hidden: Sequence[int] | None = None,
    localization_filters: Sequence[int] = (20, 20),
    localization_shrink: int | None = None,
    padding_mode: str = "zeros",
) -> Network:
    """Builds one of the paper's networks; the defaults are the paper's.

    Args:
        name: one of `NAMES`.
        input_shape: ``(h, w, c)``, without batch.
        num_classes: number of logits.
        rngs: random streams of Flax.
        transform: what the transformer's theta parameterises.
        output_shape: spatial shape of the transformer's output; None keeps the input's.
        shrink: the CNN averages this many pixels along each axis first.
        hidden: units of the classifier's fully connected layers; None is (256, 256) for an FCN
            and none for a CNN.
        filters: filters of the CNN's convolutions.
        kernel_sizes: sides of their kernels.
        localization: ``"fc"`` or ``"conv"``; None is the classifier's own kind.
        localization_hidden: units of the localization network's fully connected layers; None is
            (32, 32, 32), or (20,) after convolutions.
        localization_filters: filters of its 5x5 convolutions.
        localization_shrink: it averages this many pixels first; None is 1, or 2 with convolutions.
        padding_mode: what the transformer reads outside the image.

    Returns:
        The network, freshly initialised.

    Raises:
        ValueError: for an unknown name or kind, or an image too small for the convolutions.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 4.1 and appendix A.4.

    Example:
        >>> import jax.numpy as jnp
        >>> net = build("st_fcn", input_shape=(42, 42, 1), num_classes=10, rngs=nnx.Rngs(0))
        >>> prediction = net.forward(jnp.ones((2, 42, 42, 1)))
        >>> prediction.logits.shape, prediction.warps[0].theta.shape
        ((2, 10), (2, 6))
    """
    if name not in NAMES:
        raise ValueError(f"name={name!r} is not known; choose one of {', '.join(NAMES)}.")
    convolutional = name.endswith("cnn")
    transformer = None
    if name.startswith("st_"):
        kind = localization or ("conv" if convolutional else "fc")
        transformer = SpatialTransformer(
            _localization(
                kind,
                input_shape,
                transform,
                hidden=localization_hidden,
                filters=localization_filters,
                shrink=localization_shrink,
                rngs=rngs,
            ),
            transform,
            shape=output_shape,
            padding_mode=padding_mode,
        )
        input_shape = (*(output_shape or input_shape[:2]), input_shape[2])
    classifier: nnx.Module
    if convolutional:
        classifier = Convolutional(
            input_shape,
            num_classes,
            filters=filters,
            kernel_sizes=kernel_sizes,
            hidden=hidden or (),
            shrink=shrink,
            rngs=rngs,
        )
    else:
        classifier = FullyConnected(
            input_shape, num_classes, hidden=(256, 256) if hidden is None else hidden, rngs=rngs
        )
    return Network(classifier, transformer)


def _localization(
    kind: str,
    input_shape: tuple[int, int, int],
    transform: Transform,
    *,
    hidden: Sequence[int] | None,
    filters: Sequence[int],
    shrink: int | None,
    rngs: nnx.Rngs,
) -> nnx.Module:
    if kind == "fc":
        return FullyConnectedLocalization(
            input_shape,
            transform,
            hidden=(32, 32, 32) if hidden is None else hidden,
            shrink=shrink or 1,
            rngs=rngs,
        )
    if kind == "conv":
        return ConvolutionalLocalization(
            input_shape,
            transform,
            filters=filters,
            hidden=(20,) if hidden is None else hidden,
            shrink=shrink or 2,
            rngs=rngs,
        )
    raise ValueError(f"localization={kind!r} is not known; choose 'fc' or 'conv'.")
