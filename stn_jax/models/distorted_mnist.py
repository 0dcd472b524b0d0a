"""The paper's networks for distorted MNIST (table 1): FCN and CNN, alone or behind a transformer.

A network is a classifier, and where its name begins with ``st_`` a spatial transformer in front.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
from flax import nnx
from jaxtyping import Array, Float

from stn_jax import _checks as checks
from stn_jax.models._blocks import (
    ConvolutionalFeatures,
    Prediction,
    convolutional_localization,
)
from stn_jax.nn import FullyConnectedLocalization, SpatialTransformer
from stn_jax.nn.localization import check_input, flatten, hidden_layers
from stn_jax.transforms.affine import Affine
from stn_jax.transforms.base import Transform

NAMES = ("fcn", "cnn", "st_fcn", "st_cnn")
"""Networks that a config may name, as the rows of the paper's table 1."""


@dataclass(frozen=True)
class DistortedMnistConfig:
    """Which network, and its sizes; the defaults are the paper's.

    Attributes:
        name: one of `NAMES`.
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

    Raises:
        ValueError: for an unknown name or kind.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 4.1 and appendix A.4.

    Example:
        >>> import jax.numpy as jnp
        >>> net = DistortedMnistConfig("st_fcn").build((42, 42, 1), 10, rngs=nnx.Rngs(0))
        >>> prediction = net.forward(jnp.ones((2, 42, 42, 1)))
        >>> prediction.logits.shape, prediction.warps[0].theta.shape
        ((2, 10), (2, 6))
    """

    name: Literal["fcn", "cnn", "st_fcn", "st_cnn"] = "st_cnn"
    transform: Transform = Affine()
    output_shape: tuple[int, int] | None = None
    shrink: int = 1
    hidden: Sequence[int] | None = None
    filters: Sequence[int] = (32, 64)
    kernel_sizes: Sequence[int] = (9, 7)
    localization: Literal["fc", "conv"] | None = None
    localization_hidden: Sequence[int] | None = None
    localization_filters: Sequence[int] = (20, 20)
    localization_shrink: int | None = None
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        """Checks the names."""
        checks.name("name", self.name, NAMES)
        checks.name("localization", self.localization, ("fc", "conv", None))

    def build(
        self, input_shape: tuple[int, int, int], num_classes: int, *, rngs: nnx.Rngs
    ) -> "Network":
        """Returns the network, freshly initialised.

        Args:
            input_shape: ``(h, w, c)``, without batch.
            num_classes: number of logits.
            rngs: random streams of Flax.

        Raises:
            ValueError: for images too small for the convolutions.
        """
        transformer = None
        if self.name.startswith("st_"):
            transformer = SpatialTransformer(
                self._build_localization(input_shape, rngs),
                self.transform,
                shape=self.output_shape,
                padding_mode=self.padding_mode,
            )
            input_shape = (*(self.output_shape or input_shape[:2]), input_shape[2])
        classifier: nnx.Module
        if self.name.endswith("cnn"):
            classifier = Convolutional(
                input_shape,
                num_classes,
                filters=self.filters,
                kernel_sizes=self.kernel_sizes,
                hidden=self.hidden or (),
                shrink=self.shrink,
                rngs=rngs,
            )
        else:
            hidden = (256, 256) if self.hidden is None else self.hidden
            classifier = FullyConnected(input_shape, num_classes, hidden=hidden, rngs=rngs)
        return Network(classifier, transformer)

    def _build_localization(
        self, input_shape: tuple[int, int, int], rngs: nnx.Rngs
    ) -> Callable[[Array], Array]:
        hidden, shrink = self.localization_hidden, self.localization_shrink
        if (self.localization or ("conv" if self.name.endswith("cnn") else "fc")) == "fc":
            return FullyConnectedLocalization(
                input_shape,
                self.transform,
                hidden=(32, 32, 32) if hidden is None else hidden,
                shrink=shrink or 1,
                rngs=rngs,
            )
        return convolutional_localization(
            input_shape,
            self.transform,
            filters=self.localization_filters,
            kernel_sizes=(5,) * len(self.localization_filters),
            hidden=(20,) if hidden is None else hidden,
            shrink=shrink or 2,
            pool_last=False,
            rngs=rngs,
        )


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
        input_shape: tuple[int, ...],
        num_classes: int,
        *,
        hidden: Sequence[int] = (256, 256),
        rngs: nnx.Rngs,
    ):
        sizes = [math.prod(input_shape), *hidden]
        self.input_shape = tuple(input_shape)
        self.hidden = hidden_layers(sizes, rngs=rngs)
        self.logits = nnx.Linear(sizes[-1], num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        check_input(x, self.input_shape)
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
        input_shape: tuple[int, ...],
        num_classes: int,
        *,
        filters: Sequence[int] = (32, 64),
        kernel_sizes: Sequence[int] = (9, 7),
        hidden: Sequence[int] = (),
        shrink: int = 1,
        rngs: nnx.Rngs,
    ):
        self.features = ConvolutionalFeatures(
            input_shape, filters=filters, kernel_sizes=kernel_sizes, shrink=shrink, rngs=rngs
        )
        self.classifier = FullyConnected(
            self.features.output_shape, num_classes, hidden=hidden, rngs=rngs
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        return self.classifier(self.features(x))


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
