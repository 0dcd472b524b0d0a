"""A residual network without running averages: the backbone of networks for photographs."""

import itertools
from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float

from stn_jax.nn.localization import check_input, check_positive, check_sequences

GROUPS = 32
"""Largest number of groups of channels that are normalised together."""


@dataclass(frozen=True)
class ResidualBackbone:
    """A ResNet with group normalisation; the default has the blocks of ResNet-18.

    Convolution 7x7 with stride 2, max-pool, then residual blocks of two convolutions 3x3 each;
    each group of blocks but the first halves the sides.

    Attributes:
        filters: filters of the blocks of each group.
        blocks: number of blocks of each group.

    References:
        He et al., "Deep residual learning for image recognition", 2016; Wu and He, "Group
        normalization", 2018.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> def features(images):
        ...     return ResidualBackbone().build((224, 224, 3), rngs=nnx.Rngs(0))(images)
        >>> jax.eval_shape(features, jnp.ones((2, 224, 224, 3))).shape
        (2, 7, 7, 512)
    """

    filters: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        """Checks that each group has a number of filters and of blocks."""
        check_sequences(filters=self.filters, blocks=self.blocks)
        if len(self.filters) != len(self.blocks):
            raise ValueError(
                f"blocks={self.blocks} does not fit; filters={self.filters} needs one number of "
                "blocks for each entry."
            )

    def build(self, input_shape: tuple[int, ...], *, rngs: nnx.Rngs) -> "ResidualFeatures":
        """Returns the network, freshly initialised.

        Args:
            input_shape: ``(h, w, c)``, without batch.
            rngs: random streams of Flax.
        """
        return ResidualFeatures(self, input_shape, rngs)


class ResidualFeatures(nnx.Module):
    """Images -> feature maps.

    Args:
        config: sizes.
        input_shape: ``(h, w, c)``, without batch.
        rngs: random streams of Flax.

    Attributes:
        output_shape: shape of the feature maps, without batch.
    """

    def __init__(self, config: ResidualBackbone, input_shape: tuple[int, ...], rngs: nnx.Rngs):
        check_positive(input_shape=input_shape)
        *sides, channels = input_shape
        self.input_shape = tuple(input_shape)
        self.stem = convolution(channels, config.filters[0], 7, 2, rngs)
        self.stem_norm = normalization(config.filters[0], rngs)
        counts = (config.filters[0], *config.filters)
        layers = []
        for index, (before, after) in enumerate(itertools.pairwise(counts)):
            for block in range(config.blocks[index]):
                stride = 2 if index and not block else 1
                layers.append(ResidualBlock(after if block else before, after, stride, rngs))
        self.blocks = nnx.List(layers)
        factor = 2 ** (1 + len(config.filters))
        self.output_shape = (*(-(-side // factor) for side in sides), config.filters[-1])

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 k"]:
        """Returns the feature maps."""
        check_input(x, self.input_shape)
        x = jax.nn.relu(self.stem_norm(self.stem(x)))
        x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        for block in self.blocks:
            x = block(x)
        return x


class ResidualBlock(nnx.Module):
    """``relu(x + f(x))``, f two normalised convolutions; a 1x1 convolution where shapes differ.

    The scale of the last normalisation starts at 0, so that a new block changes nothing.

    Args:
        before: channels of the input.
        after: channels of the output.
        stride: stride of the first convolution.
        rngs: random streams of Flax.
    """

    def __init__(self, before: int, after: int, stride: int, rngs: nnx.Rngs):
        self.first = convolution(before, after, 3, stride, rngs)
        self.first_norm = normalization(after, rngs)
        self.second = convolution(after, after, 3, 1, rngs)
        self.second_norm = normalization(after, rngs, scale=0.0)
        differs = before != after or stride != 1
        self.shortcut = convolution(before, after, 1, stride, rngs) if differs else None

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 k"]:
        """Returns the block's output."""
        y = jax.nn.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return jax.nn.relu(y + (x if self.shortcut is None else self.shortcut(x)))


def convolution(before: int, after: int, size: int, stride: int, rngs: nnx.Rngs) -> nnx.Conv:
    """Returns a convolution without bias, initialised for ReLU."""
    return nnx.Conv(
        before,
        after,
        (size, size),
        strides=stride,
        padding="SAME",
        use_bias=False,
        kernel_init=nnx.initializers.he_normal(),
        rngs=rngs,
    )


def normalization(channels: int, rngs: nnx.Rngs, *, scale: float = 1.0) -> nnx.GroupNorm:
    """Returns a group normalisation with as many groups as divide the channels, 32 at most."""
    groups = next(count for count in range(min(GROUPS, channels), 0, -1) if channels % count == 0)
    return nnx.GroupNorm(
        channels,
        num_groups=groups,
        scale_init=nnx.initializers.constant(scale),
        rngs=rngs,
    )
