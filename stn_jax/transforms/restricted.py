"""Affine maps with few parameters: attention, translation, similarity, rigid motion."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.transforms import matrices
from stn_jax.transforms.affine import AffineFamily
from stn_jax.transforms.base import check_shape


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

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.2, eq. 2.

    Example:
        >>> attention_grid(jnp.array([0.5, 0.5, 0.5]), (1, 2)).tolist()
        [[[0.25, 0.5], [0.75, 0.5]]]
    """
    theta = jnp.asarray(theta)
    if not theta.ndim or theta.shape[-1] not in (3, 4):
        raise ValueError(
            f"theta has shape {theta.shape}; attention_grid needs (*batch, 3), scale and (x, y), "
            "or (*batch, 4) for volumes."
        )
    ndim = theta.shape[-1] - 1
    check_shape(shape, ndim)
    return Attention(ndim).grid(theta, shape, align_corners=align_corners)


@dataclass(frozen=True)
class Attention(AffineFamily):
    """Isotropic scale, then translation: parameters ``(s, t_x, t_y[, t_z])``.

    Example:
        >>> Attention().identity().tolist()
        [1.0, 0.0, 0.0]
    """

    ndim: int = 2

    @property
    def num_params(self) -> int:
        """A scale and a translation."""
        return 1 + self.ndim

    def identity(self) -> np.ndarray:
        """Returns scale 1, translation 0."""
        return np.eye(1, self.num_params, dtype=np.float32)[0]

    def matrix(self, params: Float[Array, "*b p"]) -> Float[Array, "*b n n_plus_1"]:
        """Returns ``[s I | t]``."""
        scale = jnp.broadcast_to(params[..., :1], (*params.shape[:-1], self.ndim))
        return matrices.compose(matrices.translation(params[..., 1:]), matrices.scaling(scale))


@dataclass(frozen=True)
class Translation(AffineFamily):
    """Translation alone: parameters ``(t_x, t_y[, t_z])``.

    Example:
        >>> Translation(3).num_params
        3
    """

    ndim: int = 2

    @property
    def num_params(self) -> int:
        """One for each axis."""
        return self.ndim

    def identity(self) -> np.ndarray:
        """Returns zeros."""
        return np.zeros(self.ndim, np.float32)

    def matrix(self, params: Float[Array, "*b p"]) -> Float[Array, "*b n n_plus_1"]:
        """Returns ``[I | t]``."""
        return matrices.translation(params)
