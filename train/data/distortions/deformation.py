"""Deformations of volumes whose inverse is known: a velocity field, then an affine map."""

import functools
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jaxtyping import Float

import stn_jax as stn
from train.checks import check
from train.data.distortions.base import difficulty

FIELD = stn.Velocity((16, 16, 16), align_corners=True)
"""The lattice on which a drawn velocity field is integrated."""


@dataclass(frozen=True)
class Deformation:
    """A small affine map and the flow of a random smooth velocity field; brightness changes too."""

    degrees: float = 20.0
    """The angles about x, y and z are uniform in [-degrees, degrees]."""
    scale: tuple[float, float] = (0.9, 1.1)
    """The scales along x, y and z are uniform between these."""
    shift: float = 0.1
    """The shifts along x, y and z are at most this part of half a side."""
    points: int = 5
    """Number of points along each axis at which velocities are drawn."""
    sigma: float = 0.05
    """Standard deviation of each velocity, as a part of half a side."""
    gamma: float = 0.3
    """Brightness is raised to the power exp(g), g uniform in [-gamma, gamma]."""
    noise: float = 0.03
    """Standard deviation of the noise that is added; white is 1."""
    curriculum_steps: int = field(default=0, kw_only=True)
    """Steps over which the deformation grows from none to all of its ranges; 0 starts with all."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "distortion",
            positive=("scale", "points"),
            not_negative=("degrees", "shift", "sigma", "gamma", "noise", "curriculum_steps"),
        )

    def build(self, image_shape: tuple[int, ...]) -> "VolumeDeformation":
        """Returns the deformation of volumes of a shape ``(d, h, w, c)``."""
        if len(image_shape) != 4:
            raise ValueError(
                f"distortion: the images have shape {image_shape}; Deformation is for volumes, "
                "(d, h, w, c)."
            )
        return VolumeDeformation(self, image_shape)


class VolumeDeformation:
    """Deformations of volumes of one shape.

    Convention:
        ``forward`` maps points of the volume to where they come to lie. ``backward``, its inverse,
        is what a sampler needs: from the deformed volume to the volume.

    Args:
        config: ranges of what is drawn.
        shape: ``(d, h, w, c)``.
    """

    forward = stn.Chain(stn.Affine(ndim=3), FIELD)
    backward = stn.Chain(FIELD, stn.Affine(ndim=3))

    def __init__(self, config: Deformation, shape: tuple[int, ...]):
        self.config = config
        self.shape = shape

    def draw(self, key: Array, step: Array | None) -> Float[Array, "p"]:
        """Draws the parameters of ``forward``."""
        config = self.config
        level = difficulty(step, config.curriculum_steps, jnp.float32)
        uniform = functools.partial(random.uniform, shape=(3,), minval=-1.0, maxval=1.0)
        angle_key, scale_key, shift_key, velocity_key = random.split(key, 4)
        low, high = config.scale
        angles = level * np.float32(np.deg2rad(config.degrees)) * uniform(angle_key)
        scales = 1 + level * ((low + high) / 2 + (high - low) / 2 * uniform(scale_key) - 1)
        shift = level * config.shift * uniform(shift_key)
        half = np.array(self.shape[-2::-1], np.float32) / 2  # rotations are those of voxels
        turns = [stn.rotation(a, axis=axis) for a, axis in zip(angles, "xyz", strict=True)]
        theta = stn.compose(
            stn.translation(shift), stn.scaling(1 / half), *turns, stn.scaling(scales * half)
        )
        velocity = level * config.sigma * random.normal(velocity_key, (*(config.points,) * 3, 3))
        smooth = stn.separable_sample(
            *(velocity, jnp.ones(3), jnp.zeros(3), FIELD.shape),
            mode="bicubic",
            padding_mode="border",
            cubic_coefficient=-0.5,
            align_corners=True,
        )
        return jnp.concatenate([theta.reshape(-1), smooth.reshape(-1)])

    def invert(self, params: Float[Array, "p"]) -> Float[Array, "p"]:
        """Returns the parameters of ``backward``."""
        parts = zip(self.forward.transforms, self.forward.split(params), strict=True)
        return jnp.concatenate([part.invert(own) for part, own in parts][::-1])

    def grid(self, params: Float[Array, "p"]) -> Float[Array, "d h w 3"]:
        """Returns where the voxels of the deformed volume are read."""
        return self.backward.grid(self.invert(params), self.shape[:-1])

    def change_brightness(self, key: Array, volume: Array) -> Array:
        """Applies the random power and the noise."""
        power_key, noise_key = random.split(key)
        limit = self.config.gamma
        power = jnp.exp(random.uniform(power_key, (), jnp.float32, -limit, limit))
        noise = self.config.noise * random.normal(noise_key, volume.shape, volume.dtype)
        return jnp.clip(volume, 1e-6, 1) ** power + noise
