"""IC-STN: a transformer that looks again at what its window reads, and composes its warps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key

from stn_jax.models._blocks import ConvolutionalFeatures, Prediction
from stn_jax.models._parts import Classifier, Localizer
from stn_jax.models.distorted_mnist import CNN, build_classifier, classify
from stn_jax.nn import FullyConnectedLocalization, SpatialTransformer
from stn_jax.nn.localization import check_input_shape, check_positive
from stn_jax.sampling.grid_sample import grid_sample
from stn_jax.transforms.base import Transform
from stn_jax.transforms.projective import Projective
from stn_jax.warp import Warp


@dataclass(frozen=True)
class GeometricPredictor:
    """IC-STN's localization network: conv4 7x7 - conv8 7x7 - max-pool 2 - fc48.

    Attributes:
        filters: filters of each convolution; the last one is pooled.
        kernel_size: side of their kernels.
        hidden: units of each fully connected layer.
    """

    filters: tuple[int, ...] = (4, 8)
    kernel_size: int = 7
    hidden: tuple[int, ...] = (48,)

    def build(
        self, input_shape: tuple[int, ...], transform: Transform, *, rngs: nnx.Rngs
    ) -> Callable[[Array], Array]:
        """Returns the network ``U -> theta``; see `FullyConnectedLocalizer.build`.

        Raises:
            ValueError: for images too small for the convolutions, or sizes that are not positive.
        """
        check_input_shape(input_shape, transform)
        layers: list[Any] = []
        shape = tuple(input_shape)
        for index, count in enumerate(self.filters, 1):
            layer = ConvolutionalFeatures(
                shape,
                filters=(count,),
                kernel_sizes=(self.kernel_size,),
                pool_last=index == len(self.filters),
                rngs=rngs,
            )
            layers.append(layer)
            shape = layer.output_shape
        head = FullyConnectedLocalization(shape, transform, hidden=self.hidden, rngs=rngs)
        return nnx.Sequential(*layers, head)


@dataclass(frozen=True)
class InverseCompositionalSTN:
    """A transformer that composes its warp of several, in front of a classifier.

    The localization network, one for all compositions, sees what the window reads and says how to
    move the window further, in the window's own coordinates:

        ``W_0 = identity,  W_k+1 = W_k o W(localization(U(W_k)))``.

    Each time the image itself is read, at the composed coordinates, so nothing is blurred twice,
    and what lies outside of the first window is not lost. With one composition on a window of the
    whole image it is the `STN`.

    Attributes:
        classifier: the network that sees what the last window reads; any part with
            ``build(input_shape, num_classes, rngs=)``.
        localization: the network that chooses each warp; any part with
            ``build(input_shape, transform, rngs=)``.
        transform: what theta parameterises; a family with ``compose``.
        compositions: number of warps that are composed (paper: 1, 2 or 4).
        window: spatial shape of what is read; at first the middle of the image. None is the whole.
        padding_mode: what the transformer reads outside the image.

    References:
        Lin and Lucey, "Inverse Compositional Spatial Transformer Networks", 2017.

    Example:
        >>> net = InverseCompositionalSTN().build((56, 56, 1), 10, rngs=nnx.Rngs(0))
        >>> prediction = net.forward(jnp.ones((1, 56, 56, 1)))
        >>> prediction.logits.shape, [warp.features.shape for warp in prediction.warps]
        ((1, 10), [(1, 28, 28, 1), (1, 28, 28, 1), (1, 28, 28, 1), (1, 28, 28, 1)])
    """

    classifier: Classifier = CNN((3,), (9,), pool_last=False)  # noqa: RUF009
    localization: Localizer = GeometricPredictor()
    transform: Transform = Projective()  # noqa: RUF009
    compositions: int = 4
    window: tuple[int, int] | None = (28, 28)
    padding_mode: Literal["zeros", "border", "reflection", "wrap"] = "zeros"

    def __post_init__(self) -> None:
        """Checks sizes."""
        check_positive(compositions=self.compositions, window=self.window or ())

    def build(
        self, input_shape: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs
    ) -> "InverseCompositionalNetwork":
        """Returns the network, freshly initialised; see `FCN.build`.

        Raises:
            ValueError: for images too small for the window or the convolutions.
        """
        *sides, channels = input_shape
        window = self.window or tuple(sides)
        if any(np.subtract(sides, window) < 0):
            raise ValueError(
                f"window={window} does not fit; the images have {tuple(sides)} pixels, and it must "
                "lie in them."
            )
        shape = (*window, channels)
        transformer = SpatialTransformer(
            self.localization.build(shape, self.transform, rngs=rngs),
            self.transform,
            shape=window,
            padding_mode=self.padding_mode,
        )
        classifier = build_classifier(self.classifier, shape, num_classes, rngs, passes_keys=True)
        return InverseCompositionalNetwork(classifier, transformer, self.compositions)


class InverseCompositionalNetwork(nnx.Module):
    """A transformer applied again and again, and a classifier of what it reads at last.

    Args:
        classifier: images -> logits.
        transformer: its localization network sees images of its own output's shape.
        compositions: number of warps that are composed.
    """

    def __init__(
        self,
        classifier: Callable[[Array], Array],
        transformer: SpatialTransformer,
        compositions: int,
    ):
        self.transformer = transformer
        self.classifier = classifier
        self.compositions = compositions

    def forward(
        self, x: Float[Array, "b h w c"], *, keys: Key[Array, "b"] | None = None
    ) -> Prediction:
        """Returns the logits, and what the window read after each composition.

        Args:
            x: images.
            keys: a key for each image, which decides what dropout drops; None drops nothing.
        """
        transform = self.transformer.transform
        theta = jnp.broadcast_to(transform.identity(), (x.shape[0], transform.num_params))
        seen, warps = self.read(x, theta), []
        for _ in range(self.compositions):
            with jax.named_scope("localization"):
                update = self.transformer.localization(seen.features)
            theta = transform.compose(theta, update)  # the update comes first, next to the output
            seen = self.read(x, theta)
            warps.append(seen)
        with jax.named_scope("classifier"):
            return Prediction(classify(self.classifier, seen.features, keys), tuple(warps))

    def read(self, x: Float[Array, "b h w c"], theta: Float[Array, "b p"]) -> Warp:
        """Reads the image; theta moves the window, and is in units of the first one."""
        transformer, shape = self.transformer, tuple(self.transformer.shape or ())
        part = np.divide(shape, x.shape[1:3]).astype(np.float32)[::-1]  # along x and y
        with jax.named_scope("grid"):
            grid = transformer.transform.grid(theta, shape) * part[None, None, None]
        with jax.named_scope("sampler"):
            features = grid_sample(x, grid, padding_mode=transformer.padding_mode)
        return Warp(features, theta, grid)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        return self.forward(x).logits
