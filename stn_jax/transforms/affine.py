"""Affine maps: ``(x_s, y_s) = theta (x_t, y_t, 1)`` (STN paper, eq. 1)."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax._mesh import constant_like
from stn_jax.coordinates import ALIGN_CORNERS, open_grid
from stn_jax.transforms import matrix_algebra
from stn_jax.transforms.base import Transform, evaluate
from stn_jax.transforms.inputs import as_coordinates, check_ndim, check_shape, compiled


def affine_coordinates(
    theta: Float[Array, "r n_plus_1"], axes: Sequence[Float[Array, "..."]]
) -> list[Float[Array, "*shape"]]:
    """Returns the coordinates, one array each, of points that one matrix maps.

    ``theta_x x + theta_y y + t``: sums of products and no matmul, so that no backend rounds it.
    Given an open grid, the transpose sums over rows and over columns before it multiplies.
    """
    moved = []
    for row in theta:
        total = row[-1]
        for entry, coordinate in zip(row[:-1], axes, strict=True):
            total = total + entry * coordinate
        moved.append(total)
    return moved


def affine_map(
    theta: Float[Array, "r n_plus_1"], axes: Sequence[Float[Array, "..."]]
) -> Float[Array, "*shape r"]:
    """Maps points, given as one array for each coordinate, by one matrix."""
    return jnp.stack(affine_coordinates(theta, axes), axis=-1)


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
        theta: ``(*batch, 2, 3)``, or ``(*batch, 3, 4)`` for volumes; or its rows one after the
            other, ``(*batch, 6)`` or ``(*batch, 12)``.
        shape: spatial shape of the output, ``(h, w)`` or ``(d, h, w)``.
        align_corners: see the convention.

    Returns:
        ``(*batch, *shape, n)``, float32 (float64 for float64 theta).

    Raises:
        ValueError: for a theta or shape that does not fit.
        TypeError: for a complex theta.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, eq. 1.

    Example:
        >>> affine_grid(jnp.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]), (1, 2)).tolist()
        [[[0.0, 0.0], [1.0, 0.0]]]
    """
    [theta] = as_coordinates(theta=theta)
    if theta.shape[-1:] in ((6,), (12,)):  # no matrix has 6 or 12 columns
        n = 2 if theta.shape[-1] == 6 else 3
        theta = theta.reshape(*theta.shape[:-1], n, n + 1)
    if theta.shape[-2:] not in ((2, 3), (3, 4)):
        raise ValueError(
            f"theta has shape {theta.shape}; affine_grid needs (*batch, 2, 3) or (*batch, 6) with "
            "shape (h, w), or (*batch, 3, 4) or (*batch, 12) with (d, h, w)."
        )
    shape = check_shape(shape, theta.shape[-2])
    return evaluate(affine_map, theta, 2, shape, align_corners, open_grid)


class AffineFamily(Transform):
    """A transform whose parameters describe an affine matrix."""

    @property
    def separable(self) -> bool:
        """Whether no axis mixes with another, so that every map only scales and shifts."""
        return False

    @abc.abstractmethod
    def matrix(self, params: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
        """Returns the matrix ``(*batch, n, n + 1)`` of parameters ``(*batch, num_params)``."""

    @compiled
    def apply(self, params: ArrayLike, points: ArrayLike) -> Float[Array, "*points n"]:
        """Maps points by one parameter vector."""
        params, points = self.check_operands(params, points)
        return affine_map(self.matrix(params), jnp.unstack(points, axis=-1))

    def grid(
        self, params: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
    ) -> Float[Array, "*b_shape n"]:
        """See `Transform.grid`."""
        shape = check_shape(shape, self.ndim)
        [params] = self.check_params(params=params)
        return evaluate(affine_map, self.matrix(params), 2, shape, align_corners, open_grid)

    def compose(self, p: ArrayLike, q: ArrayLike) -> Float[Array, "*b p"]:
        """See `Transform.compose`."""
        raise NotImplementedError(
            f"{self} has no compose: two of its maps do not make a third. Compose their matrices: "
            "stn.compose(transform.matrix(p), transform.matrix(q)), for affine_grid."
        )


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
            return np.eye(self.ndim, self.ndim + 1)
        return np.asarray(self.fixed, np.float64)

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
        free: np.ndarray = np.eye(self.ndim, self.ndim + 1, dtype=np.float32)[self._mask()]
        return free

    def grid(
        self, params: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
    ) -> Float[Array, "*b_shape n"]:
        """See `Transform.grid`; where all entries are free theta may be ``(*batch, n, n + 1)``."""
        if self.free is None and np.shape(params)[-2:] == (self.ndim, self.ndim + 1):
            shape = check_shape(shape, self.ndim)
            return affine_grid(params, shape, align_corners=align_corners)
        return super().grid(params, shape, align_corners=align_corners)

    @compiled
    def matrix(self, params: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
        """Puts the parameters at the free entries of theta."""
        [params] = self.check_params(params=params)
        if self.free is None:
            return params.reshape(*params.shape[:-1], self.ndim, self.ndim + 1)
        # Stacked and not scattered: a scatter into a constant loses how the batch is sharded.
        entries = iter(jnp.unstack(params, axis=-1))
        like = jnp.sum(constant_like(params, 0), axis=-1)  # there may be no parameter at all
        theta = [
            next(entries) if free else constant_like(like, constant)
            for free, constant in zip(self._mask().flat, self._constants().flat, strict=True)
        ]
        return jnp.stack(theta, axis=-1).reshape(*like.shape, self.ndim, self.ndim + 1)

    def compose(self, p: ArrayLike, q: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of ``p`` after ``q``; needs all entries free."""
        self._check_free("compose")
        p, q = self.check_params(p=p, q=q)
        return self._flat(matrix_algebra.compose(self.matrix(p), self.matrix(q)))

    def invert(self, p: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of the inverse map; needs all entries free."""
        self._check_free("invert")
        [p] = self.check_params(p=p)
        return self._flat(matrix_algebra.invert(self.matrix(p)))

    def _check_free(self, method: str) -> None:
        if self.free is not None:
            raise ValueError(
                f"Affine.{method} needs all entries free, for the result need not fit the mask; "
                f"{method} the matrices instead: stn.{method}(transform.matrix(params), ...)."
            )

    def _flat(self, theta: Array) -> Array:
        return theta.reshape(*theta.shape[:-2], self.num_params)
