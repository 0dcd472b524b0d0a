"""The paper's networks for birds (table 3): several windows of half size, a network for each."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import random
from jaxtyping import Array, Float, Key

from stn_jax.models._blocks import Prediction
from stn_jax.models._parts import Backbone
from stn_jax.models._residual import ResidualBackbone as ResidualBackbone
from stn_jax.nn import SpatialTransformer
from stn_jax.nn.localization import average_pool, check_input, check_positive, flatten
from stn_jax.transforms.affine import Affine
from stn_jax.warp import Warp

HALF_SIZE = Affine(
    free=((False, False, True), (False, False, True)), fixed=((0.5, 0.0, 0.0), (0.0, 0.5, 0.0))
)
"""Attention with the scale fixed at 0.5: the parameters are (t_x, t_y)."""


@dataclass(frozen=True)
class PartNet:
    """Looks at parts of an image: N windows of half its size, a backbone for each (Nx ST-CNN).

    One localization network, shared by all windows, gives their 2N translations: backbone -
    conv128 1x1 - fc128 - fc2N. Each window goes through a backbone of its own; what these say,
    averaged over the image, is concatenated and classified. With no transformer a backbone sees the
    whole image: the paper's CNN.

    The paper's backbones are Inception with batch normalisation, trained on ImageNet. These are
    residual networks with group normalisation, without pre-trained weights: parameters alone, no
    running averages. The paper's accuracy is out of reach without pre-training.

    Attributes:
        transformers: number of windows (paper: 2 or 4; 0 is the CNN).
        backbone: the features of the localization network and of each window; any part with
            ``build(input_shape, rngs=)`` whose result has an ``output_shape``.
        window: side of what a window reads, in pixels (paper: 224).
        localization_size: largest side that the localization network sees; larger images are
            averaged down to it by a whole factor (paper: 224).
        units: units of the localization network's two last hidden layers.
        dropout: probability that a feature is dropped before the last layer (paper: 0.7).

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 4.3 and appendix A.6.

    Example:
        >>> def predict(images):
        ...     return PartNet(2).build((448, 448, 3), 200, rngs=nnx.Rngs(0)).forward(images)
        >>> prediction = jax.eval_shape(predict, jnp.ones((3, 448, 448, 3)))
        >>> prediction.logits.shape, [warp.features.shape for warp in prediction.warps]
        ((3, 200), [(3, 224, 224, 3), (3, 224, 224, 3)])
    """

    transformers: int = 2
    backbone: Backbone = ResidualBackbone()  # noqa: RUF009
    window: int = 224
    localization_size: int = 224
    units: int = 128
    dropout: float = 0.7

    def __post_init__(self) -> None:
        """Checks sizes."""
        check_positive(
            window=self.window, localization_size=self.localization_size, units=self.units
        )
        if self.transformers < 0:
            raise ValueError(
                f"transformers={self.transformers} is not allowed; it must be 0 or above."
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} is not allowed; it must be in [0, 1).")

    def build(
        self, input_shape: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs
    ) -> "PartNetwork":
        """Returns the network, freshly initialised; its windows tile the image.

        Args:
            input_shape: ``(h, w, c)``, without batch (paper: 224 or 448 pixels, in colour).
            num_classes: number of logits.
            rngs: random streams of Flax.
        """
        return PartNetwork(self, input_shape, num_classes, rngs)


class PartNetwork(nnx.Module):
    """Windows, a backbone for each, and the logits of all together.

    Args:
        config: sizes.
        input_shape: ``(h, w, c)``, without batch.
        num_classes: number of logits.
        rngs: random streams of Flax.
    """

    def __init__(
        self, config: PartNet, input_shape: tuple[int, ...], num_classes: int, rngs: nnx.Rngs
    ):
        check_positive(num_classes=num_classes)
        self.input_shape = tuple(input_shape)
        self.dropout = config.dropout
        shape, transformer = self.input_shape, None
        if config.transformers:
            localization = SharedLocalization(config, input_shape, rngs)
            shape = (config.window, config.window, input_shape[-1])
            transformer = SpatialTransformer(localization, HALF_SIZE, shape=shape[:2])
        self.transformer = transformer
        count = max(1, config.transformers)
        self.backbones = nnx.List(config.backbone.build(shape, rngs=rngs) for _ in range(count))
        features = count * self.backbones[0].output_shape[-1]
        self.logits = nnx.Linear(features, num_classes, rngs=rngs)

    def forward(
        self, x: Float[Array, "b h w c"], *, keys: Key[Array, "b"] | None = None
    ) -> Prediction:
        """Returns the logits and what each window read.

        Args:
            x: images.
            keys: a key for each image, which decides what dropout drops; None drops nothing.
        """
        check_input(x, self.input_shape)
        warps: tuple[Warp, ...] = ()
        if self.transformer is not None:
            warp = self.transformer.warp(x)  # its arrays are (windows, b, ...)
            warps = tuple(Warp(*arrays) for arrays in zip(*warp, strict=True))
        parts = [warp.features for warp in warps] or [x]
        with jax.named_scope("classifier"):
            described = [
                jnp.mean(backbone(part), axis=(1, 2))
                for backbone, part in zip(self.backbones, parts, strict=True)
            ]
            features = jnp.concatenate(described, axis=-1)
            if keys is not None and self.dropout:
                features = drop(keys, features, self.dropout)
            return Prediction(self.logits(features), warps)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        return self.forward(x).logits


class SharedLocalization(nnx.Module):
    """Backbone - conv 1x1 - fully connected - the translations of all windows.

    Args:
        config: sizes.
        input_shape: ``(h, w, c)``, without batch.
        rngs: random streams of Flax.
    """

    def __init__(self, config: PartNet, input_shape: tuple[int, ...], rngs: nnx.Rngs):
        *sides, channels = input_shape
        self.shrink = max(1, max(sides) // config.localization_size)
        self.windows = config.transformers
        seen = (*(side // self.shrink for side in sides), channels)
        self.backbone = config.backbone.build(seen, rngs=rngs)
        *shape, filters = self.backbone.output_shape
        self.reduce = nnx.Conv(filters, config.units, (1, 1), rngs=rngs)
        self.hidden = nnx.Linear(math.prod(shape) * config.units, config.units, rngs=rngs)
        self.head = nnx.Linear(
            config.units,
            2 * config.transformers,
            kernel_init=nnx.initializers.zeros_init(),
            bias_init=lambda key, shape, dtype: jnp.asarray(
                tile_centres(config.transformers).ravel(), dtype
            ),
            rngs=rngs,
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "n b 2"]:
        """Returns the translation of each window."""
        x = jax.nn.relu(self.reduce(self.backbone(average_pool(x, self.shrink))))
        x = self.head(jax.nn.relu(self.hidden(flatten(x))))
        return jnp.moveaxis(x.reshape(len(x), self.windows, 2), 1, 0)


def tile_centres(count: int) -> np.ndarray:
    """Returns the centres (x, y) of windows side by side, in rows from the top.

    Example:
        >>> tile_centres(4).tolist()
        [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]
    """
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    index = np.arange(count)
    centres = [(2 * (index % columns) + 1) / columns - 1, (2 * (index // columns) + 1) / rows - 1]
    return np.stack(centres, axis=-1).astype(np.float32)


def drop(keys: Key[Array, "b"], x: Float[Array, "b f"], rate: float) -> Float[Array, "b f"]:
    """Sets values to 0 with a probability, and divides the others by that of keeping them."""
    keep = 1 - rate
    kept = jax.vmap(lambda key: random.bernoulli(key, keep, x.shape[1:]))(keys)
    return jnp.where(kept, x / keep, 0)
