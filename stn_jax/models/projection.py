"""Volumes seen from the front: a projection along the depth, then a network for images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stn_jax.models._parts import Classifier
from stn_jax.models.distorted_mnist import CNN, Network, build_classifier
from stn_jax.nn.localization import check_input


@dataclass(frozen=True)
class Projection:
    """Flattens a volume along its depth and classifies the image.

    As the classifier of an `STN` with a 3-D transform, which learns to turn the volume so that its
    front shows the label; or alone, for comparison.

    Attributes:
        classifier: the network that sees the image; any part with
            ``build(input_shape, num_classes, rngs=)``.
        method: the largest value along the depth, or their mean.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, appendix A.3.

    Example:
        >>> from stn_jax import Affine
        >>> from stn_jax.models import STN, ConvolutionalLocalizer
        >>> network = STN(Projection(), ConvolutionalLocalizer(shrink=3), Affine(ndim=3),
        ...               output_shape=(28, 28, 28))
        >>> def predict(volumes):
        ...     return network.build((60, 60, 60, 1), 10, rngs=nnx.Rngs(0)).forward(volumes)
        >>> prediction = jax.eval_shape(predict, jnp.ones((1, 60, 60, 60, 1)))
        >>> prediction.logits.shape, prediction.warps[0].theta.shape
        ((1, 10), (1, 12))
    """

    classifier: Classifier = CNN()  # noqa: RUF009
    method: Literal["max", "mean"] = "max"

    def __post_init__(self) -> None:
        """Checks the method."""
        if self.method not in ("max", "mean"):
            raise ValueError(f"method={self.method!r} is not allowed; choose one of max, mean.")

    def build(self, input_shape: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs) -> Network:
        """Returns the network, freshly initialised.

        Args:
            input_shape: ``(d, h, w, c)``, without batch.
            num_classes: number of logits.
            rngs: random streams of Flax.

        Raises:
            ValueError: for another input_shape, or images too small for the classifier.
        """
        if len(input_shape) != 4:
            raise ValueError(
                f"input_shape={tuple(input_shape)} does not fit; Projection needs volumes, "
                "(d, h, w, c)."
            )
        classifier = build_classifier(self.classifier, input_shape[1:], num_classes, rngs)
        return Network(ProjectedNetwork(tuple(input_shape), classifier, self.method))


class ProjectedNetwork(nnx.Module):
    """A classifier of images, applied to the projection of volumes along their depth.

    Args:
        input_shape: ``(d, h, w, c)``, without batch.
        classifier: images -> logits.
        method: "max" or "mean".
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        classifier: Callable[[Array], Array],
        method: Literal["max", "mean"],
    ):
        self.input_shape = input_shape
        self.classifier = classifier
        self.method = method

    def __call__(self, x: Float[Array, "b d h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        check_input(x, self.input_shape)
        with jax.named_scope("projection"):
            image = jnp.max(x, axis=1) if self.method == "max" else jnp.mean(x, axis=1)
        return self.classifier(image)
