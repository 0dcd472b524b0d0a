"""Affine maps with few parameters: a translation, with a scale, a rotation, or both.

``x_s = s R x_t + t``. `Translation` has t, `Attention` s and t, `Rigid` R and t, `Similarity` all;
in this order they lie in the parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax._mesh import constant_like
from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.transforms.affine import AffineFamily
from stn_jax.transforms.inputs import add_batch, as_coordinates, check_ndim, check_shape, compiled
from stn_jax.transforms.rotations import compose_rotations, rotation_matrix


def attention_grid(
    theta: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
) -> Float[Array, "*b_shape n"]:
    """Returns the grid of an attention window: isotropic scale, then translation.

    ``(x_s, y_s) = s (x_t, y_t) + (t_x, t_y)``.

    Convention:
        Normalised coordinates, points (x, y[, z]), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        theta: ``(*batch, 3)`` as ``(s, t_x, t_y)``, or ``(*batch, 4)`` for volumes.
        shape: spatial shape of the output.
        align_corners: see the convention.

    Returns:
        ``(*batch, *shape, n)``.

    Raises:
        ValueError: for a theta or shape that does not fit.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.2, eq. 2.

    Example:
        >>> attention_grid(jnp.array([0.5, 0.5, 0.5]), (1, 2)).tolist()
        [[[0.25, 0.5], [0.75, 0.5]]]
    """
    [theta] = as_coordinates(theta=theta)
    if not theta.ndim or theta.shape[-1] not in (3, 4):
        raise ValueError(
            f"theta has shape {theta.shape}; attention_grid needs (*batch, 3), scale and (x, y), "
            "or (*batch, 4) for volumes."
        )
    ndim = theta.shape[-1] - 1
    shape = check_shape(shape, ndim)
    return Attention(ndim).grid(theta, shape, align_corners=align_corners)


@dataclass(frozen=True)
class _Restricted(AffineFamily):
    """``x_s = s R x_t + t``; a member says which of s and R are parameters."""

    scales: ClassVar[bool]
    turns: ClassVar[bool]
    ndim: int = 2

    def __post_init__(self) -> None:
        """Checks the number of axes."""
        check_ndim(self.ndim)

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """Numbers of parameters of the scale, the turn and the translation."""
        angles = self.ndim * (self.ndim - 1) // 2
        return int(self.scales), angles * self.turns, self.ndim

    @property
    def num_params(self) -> int:
        """Number of parameters of scale, turn and translation."""
        return sum(self._sizes)

    @property
    def separable(self) -> bool:
        """Whether no axis mixes with another."""
        return not self.turns

    def identity(self) -> np.ndarray:
        """Returns scale 1, turn 0, translation 0."""
        params = np.zeros(self.num_params, np.float32)
        params[: self._sizes[0]] = 1
        return params

    def _split(self, params: Array) -> tuple[Array, Array, Array]:
        """Returns scale ``(*b, 1)``, turn ``(*b, k)`` and translation; empty where missing."""
        first, second, _ = np.cumsum(self._sizes)
        scale, turn, shift = jnp.split(params, [first, second], axis=-1)
        return scale, turn, shift

    def _linear(self, params: Array) -> Float[Array, "*b n n"]:
        """Returns ``s R``."""
        scale, turn, shift = self._split(params)
        if self.turns:
            linear = rotation_matrix(turn)
        else:
            eye = jnp.eye(self.ndim, dtype=params.dtype)
            linear = constant_like(shift, 1)[..., None] * add_batch(eye, params.ndim + 1)
        return scale[..., None] * linear if self.scales else linear

    @compiled
    def matrix(self, params: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
        """Returns ``[s R | t]``."""
        [params] = self.check_params(params=params)
        shift = self._split(params)[2]
        return jnp.concatenate([self._linear(params), shift[..., None]], axis=-1)

    @compiled
    def compose(self, p: ArrayLike, q: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of ``p`` after ``q``."""
        p, q = self.check_params(p=p, q=q)
        (scale, turn, shift), (scale_q, turn_q, shift_q) = self._split(p), self._split(q)
        moved = jnp.sum(self._linear(p) * shift_q[..., None, :], axis=-1)
        parts = [scale * scale_q] if self.scales else []
        parts += [compose_rotations(turn, turn_q)] if self.turns else []
        return jnp.concatenate([*parts, moved + shift], axis=-1)

    @compiled
    def invert(self, p: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of the inverse map; the scale must not be 0."""
        [p] = self.check_params(p=p)
        scale, turn, shift = self._split(p)
        linear = jnp.concatenate([1 / scale, -turn], axis=-1)
        back = self._linear(jnp.concatenate([linear, constant_like(shift, 0)], axis=-1))
        moved = jnp.sum(back * shift[..., None, :], axis=-1)
        return jnp.concatenate([linear, -moved], axis=-1)


@dataclass(frozen=True)
class Translation(_Restricted):
    """Translation alone: parameters ``(t_x, t_y[, t_z])``.

    Attributes:
        ndim: number of spatial axes.

    Example:
        >>> Translation(3).num_params
        3
    """

    scales = False
    turns = False


@dataclass(frozen=True)
class Attention(_Restricted):
    """Isotropic scale, then translation: parameters ``(s, t_x, t_y[, t_z])``.

    Attributes:
        ndim: number of spatial axes.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.2, eq. 2.

    Example:
        >>> Attention().identity().tolist()
        [1.0, 0.0, 0.0]
    """

    scales = True
    turns = False


@dataclass(frozen=True)
class Rigid(_Restricted):
    """Turn, then translation: ``(angle, t_x, t_y)``, or ``(r_x, r_y, r_z, t_x, t_y, t_z)``.

    In 3-D the turn is a rotation vector, axis times angle in radians. The turn is one of
    normalised coordinates: on an image that is not square it shears pixels; `normalize_matrix` of
    a rotation in pixels does not.

    Attributes:
        ndim: number of spatial axes.

    Example:
        >>> Rigid().matrix(jnp.array([jnp.pi / 2, 0.5, 0.0])).round(3).tolist()
        [[-0.0, -1.0, 0.5], [1.0, -0.0, 0.0]]
    """

    scales = False
    turns = True


@dataclass(frozen=True)
class Similarity(_Restricted):
    """Isotropic scale and turn, then translation: ``(s, angle, t_x, t_y)``.

    In 3-D ``(s, r_x, r_y, r_z, t_x, t_y, t_z)`` with a rotation vector; see `Rigid`.

    Attributes:
        ndim: number of spatial axes.

    Example:
        >>> Similarity().matrix(jnp.array([2.0, 0.0, 0.5, 0.0])).tolist()
        [[2.0, -0.0, 0.5], [0.0, 2.0, 0.0]]
    """

    scales = True
    turns = True
