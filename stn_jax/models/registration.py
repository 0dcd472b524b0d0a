"""Registration of volumes in the manner of VoxelMorph: an affine map, then a velocity field."""

import functools
import itertools
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stn_jax.models._blocks import convolve, convolve_pool_relu, pad_pixels
from stn_jax.models._parts import Localizer
from stn_jax.models.distorted_mnist import ConvolutionalLocalizer
from stn_jax.nn.localization import check_input, check_sequences
from stn_jax.sampling.grid_sample import grid_sample
from stn_jax.transforms.affine import Affine
from stn_jax.transforms.chain import Chain
from stn_jax.transforms.velocity import Velocity
from stn_jax.warp import Warp


class Alignment(NamedTuple):
    """What a network says of a batch of pairs of volumes.

    Attributes:
        velocity: the velocity field, ``(b, *lattice, 3)``, normalised.
        warps: the moving volumes under the affine map, then under both maps. The last grid says
            where each voxel of the fixed volume lies in the moving one.
    """

    velocity: jax.Array
    warps: tuple[Warp, Warp]


@dataclass(frozen=True)
class RegistrationNet:
    """Aligns a moving volume with a fixed one: an affine map first, then a diffeomorphism.

    The affine map comes from both volumes, the velocity field from the fixed volume and the moving
    one under the affine map. The two maps are chained, so the moving volume is interpolated once.

    Attributes:
        localization: the network that chooses the affine map; any part with
            ``build(input_shape, transform, rngs=)``.
        encoder: filters of the convolutions of the second network, each of which halves the sides.
        decoder: filters of those after it, each of which doubles them; what is left of the halvings
            is the distance of the points of the velocity's lattice, 4 voxels by default.
        steps: number of squarings of `stn_jax.Velocity`.

    References:
        Balakrishnan et al., "VoxelMorph: a learning framework for deformable medical image
        registration", 2019; Dalca et al., "Unsupervised learning for fast probabilistic
        diffeomorphic registration", 2018.

    Example:
        >>> def align(pairs):
        ...     return RegistrationNet().build((24, 32, 24, 2), 0, rngs=nnx.Rngs(0)).forward(pairs)
        >>> alignment = jax.eval_shape(align, jnp.ones((1, 24, 32, 24, 2)))
        >>> alignment.velocity.shape, [warp.features.shape for warp in alignment.warps]
        ((1, 6, 8, 6, 3), [(1, 24, 32, 24, 1), (1, 24, 32, 24, 1)])
    """

    localization: Localizer = ConvolutionalLocalizer((16, 32), (3, 3), (64,))  # noqa: RUF009
    encoder: tuple[int, ...] = (16, 32, 32)
    decoder: tuple[int, ...] = (32,)
    steps: int = 6

    def __post_init__(self) -> None:
        """Checks the numbers of filters."""
        check_sequences(encoder=self.encoder, decoder=self.decoder)
        if len(self.decoder) > len(self.encoder):
            raise ValueError(
                f"decoder={self.decoder} is too long for encoder={self.encoder}; it can double at "
                "most as often as the encoder halves."
            )

    def build(
        self, input_shape: tuple[int, ...], num_outputs: int, *, rngs: nnx.Rngs
    ) -> "RegistrationNetwork":
        """Returns the network, freshly initialised; it moves nothing.

        Args:
            input_shape: ``(d, h, w, 2)``, without batch.
            num_outputs: not used.
            rngs: random streams of Flax.

        Raises:
            ValueError: for another input_shape, or volumes too small for the convolutions.
        """
        if len(input_shape) != 4 or input_shape[-1] != 2:
            raise ValueError(
                f"input_shape={tuple(input_shape)} does not fit; registration needs (d, h, w, 2), a"
                " moving and a fixed volume."
            )
        factor = 2 ** len(self.encoder)
        if any(side % factor for side in input_shape[:-1]):
            raise ValueError(
                f"input_shape={tuple(input_shape)} does not fit; encoder={self.encoder} halves each"
                f" side {len(self.encoder)} times, so sides must be multiples of {factor}."
            )
        return RegistrationNetwork(self, input_shape, rngs)


class RegistrationNetwork(nnx.Module):
    """An affine localization network and a network of velocities, chained.

    Args:
        config: numbers of filters.
        input_shape: ``(d, h, w, 2)``.
        rngs: random streams of Flax.
    """

    def __init__(self, config: RegistrationNet, input_shape: tuple[int, ...], rngs: nnx.Rngs):
        self.input_shape = input_shape
        self.affine = Affine(ndim=3)
        self.localization = config.localization.build(input_shape, self.affine, rngs=rngs)
        self.field = VelocityField(config.encoder, config.decoder, rngs=rngs)
        stride = 2 ** (len(config.encoder) - len(config.decoder))
        lattice = tuple(side // stride for side in input_shape[:-1])
        self.chain = Chain(self.affine, Velocity(lattice, steps=config.steps))

    def forward(self, x: Float[Array, "b d h w 2"]) -> Alignment:
        """Aligns the moving volumes, the first channel, with the fixed ones, the second."""
        check_input(x, self.input_shape)
        moving, fixed = x[..., :1], x[..., 1:]
        shape = moving.shape[1:-1]
        with jax.named_scope("localization"):
            theta = self.localization(x)
        first = self.affine.grid(theta, shape)
        aligned = grid_sample(moving, first)
        with jax.named_scope("localization"):
            velocity = self.field(jnp.concatenate([aligned, fixed], axis=-1))
            flat = velocity.reshape(len(velocity), -1)
        with jax.named_scope("grid"):
            grid = self.chain.grid(jnp.concatenate([theta, flat], axis=-1), shape)
        with jax.named_scope("sampler"):
            moved = grid_sample(moving, grid)
        return Alignment(velocity, (Warp(aligned, theta, first), Warp(moved, flat, grid)))

    def __call__(self, x: Float[Array, "b d h w 2"]) -> Float[Array, "b d h w 1"]:
        """Returns the moved volumes."""
        return self.forward(x).warps[-1].features


class VelocityField(nnx.Module):
    """A U-Net from two volumes to a velocity at each point of a lattice; zero at first.

    Args:
        encoder: filters of convolutions, each of which is pooled by 2.
        decoder: filters of convolutions after a doubling, each of which sees the encoder's features
            of the same size.
        rngs: random streams of Flax.
    """

    def __init__(self, encoder: tuple[int, ...], decoder: tuple[int, ...], *, rngs: nnx.Rngs):
        convolution = functools.partial(
            nnx.Conv,
            kernel_size=(3, 3, 3),
            padding="VALID",
            conv_general_dilated=convolve,
            kernel_init=nnx.initializers.he_normal(),
            rngs=rngs,
        )
        counts = (2, *encoder)
        skipped = counts[-2 : -2 - len(decoder) : -1]
        below = (encoder[-1], *decoder)
        self.encoder = nnx.List(convolution(*pair) for pair in itertools.pairwise(counts))
        self.decoder = nnx.List(
            convolution(a + skip, b)
            for (a, b), skip in zip(itertools.pairwise(below), skipped, strict=True)
        )
        self.last = convolution(below[-1], 3, kernel_init=nnx.initializers.zeros_init())

    def __call__(self, x: Float[Array, "b d h w 2"]) -> Float[Array, "b *lattice 3"]:
        """Returns the velocities."""
        skips = [x]
        for layer in self.encoder:
            x = convolve_pool_relu(layer, pad_pixels(x, 1))
            skips.append(x)
        skips.pop()
        for layer in self.decoder:
            x = jnp.concatenate([double(x), skips.pop()], axis=-1)
            x = jax.nn.relu(layer(pad_pixels(x, 1)))
        return self.last(pad_pixels(x, 1))


def double(x: Float[Array, "b *shape c"]) -> Float[Array, "b *out_shape c"]:
    """Repeats every value twice along each axis."""
    for axis in range(1, x.ndim - 1):
        x = jnp.repeat(x, 2, axis=axis)
    return x
