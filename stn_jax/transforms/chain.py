"""Several transforms one after the other, sampled once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax.transforms.base import Transform
from stn_jax.transforms.inputs import compiled


@dataclass(frozen=True, init=False)
class Chain(Transform):
    """Composes coordinates, so that an image is sampled once and blurred once.

    ``Chain(a, b)(x) = a(b(x))``: the image that ``b`` makes of the image that ``a`` makes. The
    parameters are a's, then b's. The inverse of ``Chain(a, b)`` is ``Chain(b, a)`` with each part
    inverted.

    Args:
        *parts: at least one transform; all of one number of axes. Each needs `Transform.apply`.
        transforms: the same as one sequence.

    Raises:
        ValueError: if no transform is given, or images and volumes are mixed.
        TypeError: for a part that is not a transform.

    Example:
        >>> from stn_jax import Affine, ThinPlateSpline
        >>> bend_after_turn = Chain(Affine(), ThinPlateSpline((3, 3)))
        >>> bend_after_turn.num_params
        24
    """

    transforms: tuple[Transform, ...]

    def __init__(self, *parts: Transform, transforms: Sequence[Transform] = ()):
        # By keyword for `dataclasses.replace`, which knows fields alone.
        parts = (*parts, *transforms)
        if not parts:
            raise ValueError("Chain() is empty; give at least one transform.")
        strangers: list[Any] = [part for part in parts if not isinstance(part, Transform)]
        if strangers:
            raise TypeError(f"Chain is made of transforms; {strangers[0]!r} is not one.")
        if len({part.ndim for part in parts}) > 1:
            axes = ", ".join(f"{part} has {part.ndim}" for part in parts)
            raise ValueError(f"Chain mixes numbers of axes: {axes}; take all 2-D or all 3-D.")
        object.__setattr__(self, "transforms", parts)

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

    def split(self, params: ArrayLike) -> list[Float[Array, "*b q"]]:
        """Returns the parameters of each part."""
        [params] = self.check_params(params=params)
        ends = np.cumsum([part.num_params for part in self.transforms])
        return jnp.split(params, ends[:-1], axis=-1)

    @compiled
    def apply(self, params: ArrayLike, points: ArrayLike) -> Float[Array, "*points n"]:
        """Maps points by one parameter vector, the last part first."""
        params, points = self.check_operands(params, points)
        for part, own in reversed(list(zip(self.transforms, self.split(params), strict=True))):
            points = part.apply(own, points)
        return points

    def compose(self, p: ArrayLike, q: ArrayLike) -> Float[Array, "*b p"]:
        """Refuses: two chains one after the other are a longer chain."""
        raise NotImplementedError(
            f"{self} has no compose: two chains one after the other are a longer chain, "
            "Chain(chain, chain), whose parameters are those of both, concatenated."
        )

    def invert(self, p: ArrayLike) -> Float[Array, "*b p"]:
        """Refuses: the inverse has the parts in reversed order, so it is another chain."""
        reverse = ", ".join(str(part) for part in self.transforms[::-1])
        raise NotImplementedError(
            f"{self} has no invert: its inverse is Chain({reverse}) with the parameters of each "
            "part (see split) inverted and concatenated in that order."
        )
