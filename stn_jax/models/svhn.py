"""The paper's networks for house numbers (table 2): a CNN, and transformers inside it."""

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import jax
from flax import nnx
from jax import random
from jaxtyping import Array, Float, Key

from stn_jax.models._blocks import Prediction, dropout
from stn_jax.models._parts import Localizer
from stn_jax.models.distorted_mnist import (
    ConvolutionalLocalizer,
    FullyConnectedLocalizer,
    build_transformer,
)
from stn_jax.nn import SpatialTransformer
from stn_jax.nn.localization import (
    check_input,
    check_positive,
    check_sequences,
    flatten,
    hidden_layers,
    pooled_shape,
)
from stn_jax.transforms.affine import Affine
from stn_jax.transforms.base import Transform

POOL_EVERY = 2
"""The first, third, fifth ... convolution is pooled."""


@dataclass(frozen=True)
class HouseNumberNet:
    """A CNN of house numbers, with a transformer before each of its first convolutions.

    The paper's CNN has none, its ST-CNN Single one before the first convolution, its ST-CNN Multi
    four: see `HOUSE_NUMBERS`. Padded convolutions keep the size, the first, third, fifth
    and seventh are pooled by 2; then fully connected layers and a softmax for each digit.

    Attributes:
        filters: filters of each convolution.
        kernel_size: side of each convolution's kernel, odd.
        hidden: units of each fully connected layer.
        transformers: number of transformers.
        localization: the network that chooses theta, one of its own for each transformer; any part
            with ``build(input_shape, transform, rngs=)``.
        transform: what theta parameterises.
        padding_mode: what the transformers read outside an image.
        dropout: whether half of the values are dropped after each layer but the first convolution.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 4.2 and appendix A.5.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> def predict(images):
        ...     network = HouseNumberNet(transformers=4)
        ...     return network.build((64, 64, 3), 55, rngs=nnx.Rngs(0)).forward(images)
        >>> prediction = jax.eval_shape(predict, jnp.ones((2, 64, 64, 3)))
        >>> prediction.logits.shape, [warp.features.shape[1:] for warp in prediction.warps]
        ((2, 55), [(64, 64, 3), (32, 32, 48), (32, 32, 64), (16, 16, 128)])
    """

    filters: tuple[int, ...] = (48, 64, 128, 160, 192, 192, 192, 192)
    kernel_size: int = 5
    hidden: tuple[int, ...] = (3072, 3072)
    transformers: int = 0
    localization: Localizer = FullyConnectedLocalizer((32, 32))  # noqa: RUF009
    transform: Transform = Affine()
    padding_mode: Literal["zeros", "border", "reflection", "wrap"] = "zeros"
    dropout: bool = True

    output_shape = None
    """Transformers keep the size."""

    def __post_init__(self) -> None:
        """Checks sizes."""
        check_sequences(filters=self.filters, hidden=self.hidden)
        check_positive(kernel_size=self.kernel_size)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={self.kernel_size} does not fit; it must be odd.")
        if not 0 <= self.transformers <= len(self.filters):
            raise ValueError(
                f"transformers={self.transformers} is not allowed; it must be 0 to "
                f"{len(self.filters)}, one before each convolution."
            )

    def build(
        self, input_shape: tuple[int, ...], num_outputs: int, *, rngs: nnx.Rngs
    ) -> "HouseNumberNetwork":
        """Returns the network, freshly initialised.

        Args:
            input_shape: ``(h, w, c)``, without batch (paper: 64 or 128 pixels, in colour).
            num_outputs: number of logits, of all digits together (paper: 5 of 11 classes).
            rngs: random streams of Flax.

        Raises:
            ValueError: for images too small to be pooled so often.
        """
        return HouseNumberNetwork(self, input_shape, num_outputs, rngs)


HOUSE_NUMBERS = {
    "cnn": HouseNumberNet(),
    "st_cnn_single": HouseNumberNet(
        transformers=1,
        localization=ConvolutionalLocalizer((32, 32), (5, 5), (32, 32), shrink=1, pad=2),
    ),
    "st_cnn_multi": HouseNumberNet(transformers=4),
}
"""The three networks of table 2. Single has the localization network conv32 5x5 - pool -
conv32 5x5 - fc32 - fc32, Multi fc32 - fc32 on the image and on each of three feature maps."""


class HouseNumberNetwork(nnx.Module):
    """Convolutions, some behind a transformer, then fully connected layers and the logits.

    Args:
        config: sizes and transformers.
        input_shape: ``(h, w, c)``, without batch.
        num_outputs: number of logits.
        rngs: random streams of Flax.
    """

    def __init__(
        self,
        config: HouseNumberNet,
        input_shape: tuple[int, ...],
        num_outputs: int,
        rngs: nnx.Rngs,
    ):
        check_positive(num_outputs=num_outputs, input_shape=input_shape)
        *sides, channels = input_shape
        self.input_shape = tuple(input_shape)
        self.dropout = config.dropout
        self.transformers: nnx.List[SpatialTransformer] = nnx.List([])
        self.convolutions: nnx.List[nnx.Conv] = nnx.List([])
        for index, (before, after) in enumerate(itertools.pairwise((channels, *config.filters))):
            if index < config.transformers:
                self.transformers.append(build_transformer(config, (*sides, before), rngs))
            self.convolutions.append(
                nnx.Conv(
                    before,
                    after,
                    (config.kernel_size,) * len(sides),
                    padding="SAME",
                    kernel_init=nnx.initializers.he_normal(),
                    rngs=rngs,
                )
            )
            if index % POOL_EVERY == 0:
                sides = list(pooled_shape(sides, 2))
        sizes = [math.prod(sides) * config.filters[-1], *config.hidden]
        self.hidden = hidden_layers(sizes, rngs=rngs)
        self.logits = nnx.Linear(sizes[-1], num_outputs, rngs=rngs)

    def forward(
        self, x: Float[Array, "b h w c"], *, keys: Key[Array, "b"] | None = None
    ) -> Prediction:
        """Returns the logits and what each transformer did.

        Args:
            x: images.
            keys: a key for each image, which decides what dropout drops; None drops nothing.
        """
        check_input(x, self.input_shape)
        warps = []
        for index, convolution in enumerate(self.convolutions):
            if index < len(self.transformers):
                warps.append(self.transformers[index].warp(x))
                x = warps[-1].features
            with jax.named_scope("classifier"):
                x = jax.nn.relu(convolution(x))
                if index % POOL_EVERY == 0:
                    x = nnx.max_pool(x, (2, 2), strides=(2, 2))
                x = self._drop(x, keys, index) if index else x
        with jax.named_scope("classifier"):
            x = flatten(x)
            for index, layer in enumerate(self.hidden):
                x = self._drop(jax.nn.relu(layer(x)), keys, len(self.convolutions) + index)
            return Prediction(self.logits(x), tuple(warps))

    def _drop(self, x: Array, keys: Key[Array, "b"] | None, layer: int) -> Array:
        if keys is None or not self.dropout:
            return x
        return dropout(jax.vmap(random.fold_in, (0, None))(keys, layer), x)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        return self.forward(x).logits
