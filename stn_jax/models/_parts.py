"""What a network's config may be put together of: parts that build a part of the network."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array

from stn_jax.transforms.base import Transform


@runtime_checkable
class Classifier(Protocol):
    """A part that builds a network images -> logits, such as `FCN` or `CNN`."""

    def build(
        self, input_shape: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs
    ) -> Callable[[Array], Array]:
        """Returns the network, freshly initialised; see `FCN.build`.

        Args:
            input_shape: ``(h, w, c)``, or ``(d, h, w, c)``, without batch.
            num_classes: number of logits.
            rngs: random streams of Flax.
        """
        ...


@runtime_checkable
class Localizer(Protocol):
    """A part that builds a localization network U -> theta, such as `FullyConnectedLocalizer`."""

    def build(
        self, input_shape: tuple[int, ...], transform: Transform, *, rngs: nnx.Rngs
    ) -> Callable[[Array], Array]:
        """Returns the network, freshly initialised; see `FullyConnectedLocalizer.build`.

        Args:
            input_shape: ``(h, w, c)``, or ``(d, h, w, c)``, of U, without batch.
            transform: what theta parameterises.
            rngs: random streams of Flax.
        """
        ...


class Features(Protocol):
    """A network images -> feature maps.

    Attributes:
        output_shape: ``(h, w, c)`` of the maps, without batch.
    """

    output_shape: tuple[int, ...]

    def __call__(self, x: Array) -> Array:
        """Returns the feature maps ``(b, h, w, c)``."""
        ...


@runtime_checkable
class Backbone(Protocol):
    """A part that builds a network images -> feature maps, such as `ResidualBackbone`."""

    def build(self, input_shape: tuple[int, ...], *, rngs: nnx.Rngs) -> Features:
        """Returns the network, freshly initialised; see `ResidualBackbone.build`.

        Args:
            input_shape: ``(h, w, c)``, without batch.
            rngs: random streams of Flax.
        """
        ...
