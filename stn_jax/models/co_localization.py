"""The network of the paper's co-localization: one attention window, and nothing behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
from flax import nnx
from jaxtyping import Array, Float

from stn_jax.models._blocks import max_pool
from stn_jax.models._parts import Localizer
from stn_jax.models.distorted_mnist import build_transformer
from stn_jax.nn import FullyConnectedLocalization, SpatialTransformer
from stn_jax.nn.localization import check_input, check_input_shape, check_positive
from stn_jax.transforms.base import Transform
from stn_jax.transforms.restricted import Attention
from stn_jax.warp import Warp


class Windows(NamedTuple):
    """What a network without a classifier says of a batch.

    Attributes:
        warps: what each spatial transformer did.
    """

    warps: tuple[Warp, ...]


@dataclass(frozen=True)
class StridedLocalizer:
    """Localization network for large images: conv8 9x9 with stride 4 - max-pool 2 - fc8 - fc8.

    Attributes:
        num_filters: number of filters of the convolution.
        kernel_size: side of its kernel.
        stride: how many pixels its outputs lie apart.
        hidden: units of each fully connected layer.
    """

    num_filters: int = 8
    kernel_size: int = 9
    stride: int = 4
    hidden: tuple[int, ...] = (8, 8)

    def build(
        self, input_shape: tuple[int, ...], transform: Transform, *, rngs: nnx.Rngs
    ) -> Callable[[Array], Array]:
        """Returns the network ``U -> theta``; see `FullyConnectedLocalizer.build`.

        Raises:
            ValueError: for images too small for the convolution, or sizes that are not positive.
        """
        return StridedLocalization(self, input_shape, transform, rngs=rngs)


class StridedLocalization(nnx.Module):
    """Convolution with a stride - relu - max-pool 2 - fully connected - theta.

    Args:
        config: sizes.
        input_shape: ``(h, w, c)``, without batch.
        transform: what theta parameterises.
        rngs: random streams of Flax.
    """

    def __init__(
        self,
        config: StridedLocalizer,
        input_shape: tuple[int, ...],
        transform: Transform,
        *,
        rngs: nnx.Rngs,
    ):
        check_input_shape(input_shape, transform)
        *sides, channels = input_shape
        shape = [((side - config.kernel_size) // config.stride + 1) // 2 for side in sides]
        if min(shape) < 1:
            raise ValueError(
                f"input_shape={tuple(input_shape)} is too small: kernel_size={config.kernel_size} "
                f"and stride={config.stride} leave nothing to pool by 2."
            )
        self.input_shape = tuple(input_shape)
        self.convolution = nnx.Conv(
            channels,
            config.num_filters,
            (config.kernel_size,) * 2,
            strides=config.stride,
            padding="VALID",
            kernel_init=nnx.initializers.he_normal(),
            rngs=rngs,
        )
        self.connected = FullyConnectedLocalization(
            (*shape, config.num_filters), transform, hidden=config.hidden, rngs=rngs
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b p"]:
        """Returns theta ``(b, num_params)``."""
        check_input(x, self.input_shape)
        return self.connected(jax.nn.relu(max_pool(self.convolution(x))))


@dataclass(frozen=True)
class CoLocalizer:
    """A spatial transformer alone: it is to put a window on what all images have in common.

    Attributes:
        localization: the network that chooses theta; any part with
            ``build(input_shape, transform, rngs=)``.
        transform: what theta parameterises (paper: scale and translation).
        output_shape: spatial shape of the window's pixels.
        padding_mode: what the transformer reads outside the image.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, appendix A.2.

    Example:
        >>> import jax.numpy as jnp
        >>> net = CoLocalizer().build((84, 84, 1), 0, rngs=nnx.Rngs(0))
        >>> [warp] = net.forward(jnp.ones((2, 84, 84, 1))).warps
        >>> warp.features.shape, warp.theta.tolist()
        ((2, 28, 28, 1), [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    """

    localization: Localizer = StridedLocalizer()
    transform: Transform = Attention()  # noqa: RUF009
    output_shape: tuple[int, int] = (28, 28)
    padding_mode: Literal["zeros", "border", "reflection", "wrap"] = "zeros"

    def __post_init__(self) -> None:
        """Checks the output's shape."""
        check_positive(output_shape=self.output_shape)

    def build(
        self, input_shape: tuple[int, ...], num_outputs: int, *, rngs: nnx.Rngs
    ) -> "CoLocalizationNetwork":
        """Returns the network, freshly initialised: its window is the whole image.

        Args:
            input_shape: ``(h, w, c)``, without batch (paper: 84 x 84 pixels).
            num_outputs: not used; a network with a classifier needs it.
            rngs: random streams of Flax.

        Raises:
            ValueError: for images too small for the localization network.
        """
        return CoLocalizationNetwork(build_transformer(self, input_shape, rngs))


class CoLocalizationNetwork(nnx.Module):
    """A spatial transformer whose window is the result.

    Args:
        transformer: applied to the images.
    """

    def __init__(self, transformer: SpatialTransformer):
        self.transformer = transformer

    def forward(self, x: Float[Array, "b h w c"]) -> Windows:
        """Returns what the transformer did."""
        return Windows((self.transformer.warp(x),))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b oh ow c"]:
        """Returns what the window reads."""
        return self.transformer(x)
