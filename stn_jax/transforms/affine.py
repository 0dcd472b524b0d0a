"""Affine maps: ``(x_s, y_s) = theta (x_t, y_t, 1)`` (STN paper, eq. 1)."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.transforms import matrices
from stn_jax.transforms.base import Transform, check_ndim, check_shape, evaluate


def affine_points(
    theta: Float[Array, "n n_plus_1"], points: Float[Array, "*points n"]
) -> Float[Array, "*points n"]:
    """Maps points by one matrix; sums of products and no matmul, so that no backend rounds it."""
    n = theta.shape[0]
    moved = theta[:, n]
    for axis in range(n):
        moved = moved + theta[:, axis] * points[..., axis, None]
    return moved


def affine_lattice(
    theta: Float[Array, "n n_plus_1"], lines: Sequence[Float[Array, "..."]]
) -> Float[Array, "*shape n"]:
    """Maps a lattice, given by its lines, by one matrix: ``theta_x x_j + theta_y y_i + t``.

    Its transpose sums over rows and over columns and multiplies only then.
    """
    n = theta.shape[0]
    moved = []
    for row in theta:
        along = row[n]
        for axis in range(n):
            along = along + row[axis] * lines[axis]
        moved.append(along)
    return jnp.stack(moved, axis=-1)


def affine_grid(
    theta: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
) -> Float[Array, "*b_shape n"]:
    """Returns the grid of an affine map: where each output pixel is read.

    ``(x_s, y_s) = theta (x_t, y_t, 1)``, STN paper, eq. 1. Equal to
    ``torch.nn.functional.affine_grid`` and ONNX ``AffineGrid``.

    Convention:
        Normalised coordinates, points (x, y[, z]), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        theta: ``(*batch, 2, 3)``, or ``(*batch, 3, 4)`` for volumes.
        shape: spatial shape of the output, ``(h, w)`` or ``(d, h, w)``.
        align_corners: see the convention.

    Returns:
        ``(*batch, *shape, n)``, float32 (float64 for float64 theta).

    Raises:
        ValueError: for a theta or shape that does not fit.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, eq. 1.

    Example:
        >>> affine_grid(jnp.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]), (1, 2)).tolist()
        [[[0.0, 0.0], [1.0, 0.0]]]
    """
    theta = jnp.asarray(theta)
    if theta.shape[-2:] not in ((2, 3), (3, 4)):
        raise ValueError(
            f"theta has shape {theta.shape}; affine_grid needs (*batch, 2, 3) with shape (h, w) "
            "or (*batch, 3, 4) with (d, h, w)."
        )
    check_shape(shape, theta.shape[-2])
    return evaluate(affine_lattice, theta, 2, shape, align_corners, by_lines=True)


class AffineFamily(Transform):
    """A transform whose parameters describe an affine matrix."""

    @property
    def separable(self) -> bool:
        """Whether no axis mixes with another, so that every map only scales and shifts."""
        return False

    @abc.abstractmethod
    def matrix(self, params: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
        """Returns the matrix ``(*batch, n, n + 1)`` of parameters ``(*batch, num_params)``."""

    def apply(
        self, params: Float[Array, "p"], points: Float[Array, "*points n"]
    ) -> Float[Array, "*points n"]:
        """Maps points by one parameter vector."""
        return affine_points(self.matrix(params), points)

    def grid(
        self, params: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
    ) -> Float[Array, "*b_shape n"]:
        """See `Transform.grid`."""
        params = self.check(params, shape)
        return evaluate(self.along_lines, params, 1, shape, align_corners, by_lines=True)

    def along_lines(
        self, params: Float[Array, "p"], lines: Sequence[Float[Array, "..."]]
    ) -> Float[Array, "*shape n"]:
        """Maps a lattice, given by its lines, by one parameter vector."""
        return affine_lattice(self.matrix(params), lines)


@dataclass(frozen=True)
class Affine(AffineFamily):
    """All affine maps; the parameters are theta's rows, or those entries of it that are free.

    Attributes:
        ndim: number of spatial axes.
        free: which entries of theta are parameters, an ``(n, n + 1)`` nest of bools; None is all.
        fixed: values of the other entries, an ``(n, n + 1)`` nest; None is the identity.

    Example:
        >>> Affine().identity().tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        >>> no_shear = Affine(free=((True, False, True), (False, True, True)))
        >>> no_shear.num_params
        4
    """

    ndim: int = 2
    free: tuple[tuple[bool, ...], ...] | None = None
    fixed: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        """Checks the masks and makes them hashable."""
        check_ndim(self.ndim)
        for name in ("free", "fixed"):
            value = getattr(self, name)
            if value is None:
                continue
            rows = np.asarray(value)
            if rows.shape != (self.ndim, self.ndim + 1):
                raise ValueError(
                    f"{name} has shape {rows.shape}; a {self.ndim}-D affine map needs "
                    f"{(self.ndim, self.ndim + 1)}."
                )
            object.__setattr__(self, name, tuple(tuple(row) for row in rows.tolist()))

    def _mask(self) -> np.ndarray:
        if self.free is None:
            return np.ones((self.ndim, self.ndim + 1), bool)
        return np.asarray(self.free, bool)

    def _constants(self) -> np.ndarray:
        if self.fixed is None:
            return np.eye(self.ndim, self.ndim + 1, dtype=np.float32)
        return np.asarray(self.fixed, np.float32)

    @property
    def num_params(self) -> int:
        """Number of free entries."""
        return int(self._mask().sum())

    @property
    def separable(self) -> bool:
        """Whether the entries off the diagonal are fixed at 0."""
        off = ~np.eye(self.ndim, self.ndim + 1, dtype=bool)
        off[:, -1] = False
        return not (self._mask() | (self._constants() != 0))[off].any()

    def identity(self) -> np.ndarray:
        """Returns the free entries of the identity matrix."""
        return np.eye(self.ndim, self.ndim + 1, dtype=np.float32)[self._mask()]

    def matrix(self, params: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
        """Puts the parameters at the free entries of theta."""
        params = jnp.asarray(params)
        batch = params.shape[:-1]
        if self.free is None:
            return params.reshape(*batch, self.ndim, self.ndim + 1)
        constants = jnp.asarray(self._constants(), params.dtype)
        theta = jnp.broadcast_to(constants, (*batch, *constants.shape))
        return theta.at[..., *np.nonzero(self._mask())].set(params)

    def compose(self, p: Float[Array, "*b p"], q: Float[Array, "*b p"]) -> Float[Array, "*b p"]:
        """Returns the parameters of ``p`` after ``q``; needs all entries free."""
        return self._flat("compose", matrices.compose(self.matrix(p), self.matrix(q)))

    def invert(self, p: Float[Array, "*b p"]) -> Float[Array, "*b p"]:
        """Returns the parameters of the inverse map; needs all entries free."""
        return self._flat("invert", matrices.invert(self.matrix(p)))

    def _flat(self, what: str, theta: Array) -> Array:
        if self.free is not None:
            raise ValueError(
                f"Affine.{what} needs all entries free, for the result need not fit the mask; "
                f"{what} the matrices instead: stn.{what}(transform.matrix(params), ...)."
            )
        return theta.reshape(*theta.shape[:-2], self.num_params)
