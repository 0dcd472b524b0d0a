"""Several transforms one after the other, sampled once."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stn_jax.transforms.base import Transform


@dataclass(frozen=True, init=False)
class Chain(Transform):
    """Composes coordinates, so that an image is sampled once and blurred once.

    ``Chain(a, b)(x) = a(b(x))``: the image that ``b`` makes of the image that ``a`` makes. The
    parameters are a's, then b's. The inverse of ``Chain(a, b)`` is ``Chain(b, a)`` with each part
    inverted.

    Args:
        *transforms: at least one; all of one number of axes.

    Raises:
        ValueError: if there is none, or images and volumes are mixed.

    Example:
        >>> from stn_jax import Affine, ThinPlateSpline
        >>> bend_after_turn = Chain(Affine(), ThinPlateSpline((3, 3)))
        >>> bend_after_turn.num_params
        24
    """

    transforms: tuple[Transform, ...]

    def __init__(self, *transforms: Transform):
        if not transforms:
            raise ValueError("Chain() is empty; give at least one transform.")
        strangers: list[Any] = [part for part in transforms if not isinstance(part, Transform)]
        if strangers:
            raise ValueError(f"Chain is made of transforms; {strangers[0]!r} is none.")
        if len({part.ndim for part in transforms}) > 1:
            axes = ", ".join(f"{part} has {part.ndim}" for part in transforms)
            raise ValueError(f"Chain mixes numbers of axes: {axes}; take all 2-D or all 3-D.")
        object.__setattr__(self, "transforms", transforms)

    @property
    def ndim(self) -> int:
        """The parts' number of axes."""
        return self.transforms[0].ndim

    @property
    def num_params(self) -> int:
        """All the parts' parameters."""
        return sum(part.num_params for part in self.transforms)

    def identity(self) -> np.ndarray:
        """Returns every part's identity."""
        return np.concatenate([part.identity() for part in self.transforms])

    def split(self, params: Float[Array, "*b p"]) -> list[Float[Array, "*b q"]]:
        """Returns the parameters of each part."""
        ends = np.cumsum([part.num_params for part in self.transforms])
        return jnp.split(params, ends[:-1], axis=-1)

    def apply(
        self, params: Float[Array, "p"], points: Float[Array, "*points n"]
    ) -> Float[Array, "*points n"]:
        """Maps points by one parameter vector, the last part first."""
        for part, own in reversed(list(zip(self.transforms, self.split(params), strict=True))):
            points = part.apply(own, points)
        return points
