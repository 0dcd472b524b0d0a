"""The network of the paper's MNIST addition: spatial transformers side by side."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from stn_jax.models._blocks import Prediction
from stn_jax.models._parts import Classifier, Localizer
from stn_jax.models.distorted_mnist import (
    FCN,
    FullyConnectedLocalizer,
    build_classifier,
    build_transformer,
    classify,
)
from stn_jax.nn import SpatialTransformer
from stn_jax.transforms.affine import Affine
from stn_jax.transforms.base import Transform


@dataclass(frozen=True)
class ParallelSTN:
    """Spatial transformers side by side in front of a classifier (paper: 2xST-FCN).

    Each sees all channels of the image; their outputs are concatenated along the channels.

    Attributes:
        classifier: the network that sees the transformers' outputs; any part with
            ``build(input_shape, num_classes, rngs=)``.
        localization: the network that chooses theta, one of its own for each transformer; any part
            with ``build(input_shape, transform, rngs=)``.
        transform: what theta parameterises.
        transformers: number of transformers.
        output_shape: spatial shape of each transformer's output; None keeps the input's.
        padding_mode: what the transformers read outside the image.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, appendix A.1.

    Example:
        >>> net = ParallelSTN().build((42, 42, 2), 19, rngs=nnx.Rngs(0))
        >>> prediction = net.forward(jnp.ones((5, 42, 42, 2)))
        >>> prediction.logits.shape, [warp.features.shape for warp in prediction.warps]
        ((5, 19), [(5, 42, 42, 2), (5, 42, 42, 2)])
    """

    classifier: Classifier = FCN()  # noqa: RUF009
    localization: Localizer = FullyConnectedLocalizer()  # noqa: RUF009
    transform: Transform = Affine()
    transformers: int = 2
    output_shape: tuple[int, int] | None = None
    padding_mode: Literal["zeros", "border", "reflection", "wrap"] = "zeros"

    def __post_init__(self) -> None:
        """Checks the number of transformers."""
        if self.transformers < 1:
            raise ValueError(
                f"transformers={self.transformers} is not allowed; it must be above 0."
            )

    def build(
        self, input_shape: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs
    ) -> "ParallelNetwork":
        """Returns the network, freshly initialised; see `FCN.build`.

        Raises:
            ValueError: for images too small for the convolutions.
        """
        transformers = [
            build_transformer(self, input_shape, rngs) for _ in range(self.transformers)
        ]
        *sides, channels = input_shape
        shape = (*(self.output_shape or sides), self.transformers * channels)
        classifier = build_classifier(self.classifier, shape, num_classes, rngs, passes_keys=True)
        return ParallelNetwork(classifier, transformers)


class ParallelNetwork(nnx.Module):
    """A classifier of the concatenated outputs of several spatial transformers.

    Args:
        classifier: images -> logits.
        transformers: each applied to the input.
    """

    def __init__(
        self, classifier: Callable[[Array], Array], transformers: list[SpatialTransformer]
    ):
        self.transformers = nnx.List(transformers)
        self.classifier = classifier

    def forward(
        self, x: Float[Array, "b h w c"], *, keys: Key[Array, "b"] | None = None
    ) -> Prediction:
        """Returns the logits and what each transformer did.

        Args:
            x: images.
            keys: a key for each image, which decides what dropout drops; None drops nothing.
        """
        warps = tuple(transformer.warp(x) for transformer in self.transformers)
        with jax.named_scope("classifier"):
            features = jnp.concatenate([warp.features for warp in warps], axis=-1)
            return Prediction(classify(self.classifier, features, keys), warps)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        return self.forward(x).logits
