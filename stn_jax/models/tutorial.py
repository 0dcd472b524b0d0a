"""The network of PyTorch's tutorial on spatial transformers, for digits of 28 x 28."""

import math
from dataclasses import dataclass

import jax
from flax import nnx
from jax import Array, random
from jaxtyping import Float, Key

from stn_jax.models._blocks import (
    ConvolutionalFeatures,
    Prediction,
    convolutional_localization,
    dropout,
)
from stn_jax.nn import SpatialTransformer
from stn_jax.nn.localization import check_positive, flatten
from stn_jax.transforms.affine import Affine
from stn_jax.transforms.base import Transform


@dataclass(frozen=True)
class TutorialNet:
    """What can be chosen of the tutorial's network; the defaults are the tutorial's.

    Attributes:
        transform: what the transformer's theta parameterises.
        padding_mode: what the transformer reads outside the image.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> def predict(images):
        ...     return TutorialNet().build((28, 28, 1), 10, rngs=nnx.Rngs(0))(images)
        >>> jax.eval_shape(predict, jnp.ones((5, 28, 28, 1))).shape
        (5, 10)
    """

    transform: Transform = Affine()
    padding_mode: str = "zeros"

    def build(
        self, input_shape: tuple[int, int, int], num_classes: int, *, rngs: nnx.Rngs
    ) -> "Tutorial":
        """Returns the network, freshly initialised.

        Args:
            input_shape: ``(h, w, c)``, without batch (tutorial: 28 x 28 x 1).
            num_classes: number of logits.
            rngs: random streams of Flax.

        Raises:
            ValueError: for images too small for the convolutions.
        """
        return Tutorial(
            input_shape,
            num_classes,
            transform=self.transform,
            padding_mode=self.padding_mode,
            rngs=rngs,
        )


class Tutorial(nnx.Module):
    """A transformer, two convolutions with dropout, two fully connected layers.

    Localization: conv8 7x7 - pool - conv10 5x5 - pool - fc32 - theta. Classifier: conv10 5x5 - pool
    - conv20 5x5 - dropout of whole channels - pool - fc50 - dropout - logits. The parameters and
    values of a trained PyTorch model carry over; these logits are its values before
    ``log_softmax``.

    Args:
        input_shape: ``(h, w, c)``, without batch (tutorial: 28 x 28 x 1).
        num_classes: number of logits.
        transform: what the transformer's theta parameterises.
        padding_mode: what the transformer reads outside the image.
        rngs: random streams of Flax.

    References:
        Ghassen Hamrouni, "Spatial Transformer Networks Tutorial", PyTorch Tutorials.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> def predict(images):
        ...     return Tutorial((28, 28, 1), 10, rngs=nnx.Rngs(0))(images)
        >>> jax.eval_shape(predict, jnp.ones((5, 28, 28, 1))).shape
        (5, 10)
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        *,
        transform: Transform = Affine(),
        padding_mode: str = "zeros",
        rngs: nnx.Rngs,
    ):
        check_positive(num_classes=num_classes)
        localization = convolutional_localization(
            input_shape,
            transform,
            filters=(8, 10),
            kernel_sizes=(7, 5),
            hidden=(32,),
            pool_last=True,
            rngs=rngs,
        )
        self.transformer = SpatialTransformer(localization, transform, padding_mode=padding_mode)
        self.features = ConvolutionalFeatures(
            input_shape, filters=(10, 20), kernel_sizes=(5, 5), rngs=rngs
        )
        self.hidden = nnx.Linear(math.prod(self.features.output_shape), 50, rngs=rngs)
        self.logits = nnx.Linear(50, num_classes, rngs=rngs)

    def forward(
        self, x: Float[Array, "b h w c"], *, keys: Key[Array, "b"] | None = None
    ) -> Prediction:
        """Returns the logits and what the transformer did.

        Args:
            x: images.
            keys: a key for each image, which decides what dropout drops; None drops nothing.
        """
        warp = self.transformer.warp(x)
        with jax.named_scope("classifier"):
            x = self.features(warp.features)
            if keys is None:
                x = jax.nn.relu(self.hidden(flatten(x)))
            else:
                channels, units = jax.vmap(random.split, out_axes=1)(keys)
                x = dropout(channels, x, shared=2)  # whole channels: commutes with the pooling
                x = dropout(units, jax.nn.relu(self.hidden(flatten(x))))
            return Prediction(self.logits(x), (warp,))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        return self.forward(x).logits
