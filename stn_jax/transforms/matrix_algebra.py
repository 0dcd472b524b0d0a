"""Matrices composed and inverted: affine ones ``(*batch, n, n + 1)`` and homographies.

Convention:
    A matrix maps target to source points, normalised or in pixels, ordered (x, y[, z]). Matrices
    compose like functions: ``compose(a, b)`` applies b first. A homography is
    ``(*batch, n + 1, n + 1)``; what is in front of its horizon, W > 0, stays so.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax._mesh import constant_like
from stn_jax.transforms.inputs import align_batches, as_coordinates, compiled


@compiled
def compose(first: ArrayLike, *others: ArrayLike) -> Float[Array, "*b r n_plus_1"]:
    """Returns the matrix of matrices applied one after the other, the last one first.

    ``compose(a, b)(x) = a(b(x))``. Batch axes broadcast.

    Args:
        first: ``(*batch, n, n + 1)``, or a homography ``(*batch, n + 1, n + 1)``.
        *others: more of the same n, of either kind.

    Returns:
        ``(*batch, n, n + 1)`` if all are affine, else ``(*batch, n + 1, n + 1)``.

    Raises:
        ValueError: if one is 2-D and another 3-D, or is no matrix of either kind.

    Example:
        >>> from stn_jax import scaling, translation
        >>> step = translation(jnp.array([1.0, 0.0]))
        >>> compose(scaling(jnp.array([2.0, 2.0])), step)[0].tolist()
        [2.0, 0.0, 2.0]
    """
    names = ["first", *(f"others[{k}]" for k in range(len(others)))]
    matrices = as_matrices(**dict(zip(names, (first, *others), strict=True)))
    theta = matrices[0]
    for other in matrices[1:]:
        if theta.shape[-1] != other.shape[-1]:
            raise ValueError(
                f"matrices {theta.shape} and {other.shape} do not compose: one is 2-D and one is "
                "3-D."
            )
        theta, other = align_batches(2, first=theta, other=other)
        left = _homogeneous(theta) if _is_square(other) else theta
        theta = matrix_product(left, _homogeneous(other))
    return theta


@compiled
def invert(theta: ArrayLike) -> Float[Array, "*b r n_plus_1"]:
    """Returns the matrix of the inverse map: ``[A | t]`` becomes ``[A^-1 | -A^-1 t]``.

    Args:
        theta: ``(*batch, n, n + 1)``, or a homography ``(*batch, n + 1, n + 1)``, invertible.

    Returns:
        As ``theta``. The sign of W is kept: points that a homography puts in front of its horizon
        are in front of the inverse's.

    Raises:
        ValueError: if theta is no matrix of either kind.

    Example:
        >>> from stn_jax import scaling
        >>> (invert(scaling(jnp.array([2.0, 4.0]))) + 0.0).tolist()
        [[0.5, 0.0, 0.0], [0.0, 0.25, 0.0]]
    """
    [theta] = as_matrices(theta=theta)
    if _is_square(theta):
        return _inverse(theta)
    inverse = _inverse(theta[..., :-1])
    return jnp.concatenate([inverse, -matrix_product(inverse, theta[..., -1:])], axis=-1)


def as_matrices(**named: ArrayLike) -> list[Array]:
    """Converts to coordinates' precision; refuses what is no matrix of either kind."""
    matrices = as_coordinates(**named)
    for name, matrix in zip(named, matrices, strict=True):
        if matrix.shape[-2:] not in ((2, 3), (3, 3), (3, 4), (4, 4)):
            raise ValueError(
                f"{name} has shape {matrix.shape}; a matrix is (*batch, 2, 3) or (*batch, 3, 4), a "
                "homography (*batch, 3, 3) or (*batch, 4, 4)."
            )
    return matrices


def _is_square(matrix: Array) -> bool:
    return matrix.shape[-1] == matrix.shape[-2]


def _homogeneous(matrix: Array) -> Array:
    """Adds the row (0 ... 0 1) of an affine matrix."""
    if _is_square(matrix):
        return matrix
    row = matrix[..., :1, :]
    last = [constant_like(row[..., :-1], 0), constant_like(row[..., -1:], 1)]
    return jnp.concatenate([matrix, jnp.concatenate(last, axis=-1)], axis=-2)


def matrix_product(
    a: Float[Array, "... i j"], b: Float[Array, "... j k"]
) -> Float[Array, "*d i k"]:
    """The product of small matrices, as sums of products: no backend rounds it."""
    return jnp.sum(a[..., :, :, None] * b[..., None, :, :], axis=-2)


def _inverse(matrix: Float[Array, "*b n n"]) -> Float[Array, "*b n n"]:
    """The inverse of a small matrix: cofactors over the determinant (Cramer's rule).

    Each row is scaled by its largest entry first, so that nothing over- or underflows. In closed
    form a batch stays sharded as it is, where a call to LAPACK would gather it.
    """
    n = matrix.shape[-1]
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(matrix), axis=-1))
    size = jnp.where(size == 0, 1, size)
    scaled = jnp.unstack(matrix / size[..., None], axis=-2)
    rows = [list(jnp.unstack(row, axis=-1)) for row in scaled]
    cofactors = [
        [(-1) ** (i + j) * _determinant(_without(rows, i, j)) for j in range(n)] for i in range(n)
    ]
    determinant: Array = sum(a * b for a, b in zip(rows[0], cofactors[0], strict=True))
    adjugate = [jnp.stack(column, axis=-1) for column in zip(*cofactors, strict=True)]
    return jnp.stack(adjugate, axis=-2) / (determinant[..., None] * size)[..., None, :]


def _determinant(rows: list[list[Array]]) -> Array | int:
    """The determinant of a small matrix, given entry by entry, along its first row."""
    if not rows:
        return 1
    terms: list[Array] = [
        (-1) ** j * entry * _determinant(_without(rows, 0, j)) for j, entry in enumerate(rows[0])
    ]
    return sum(terms)


def _without(rows: list[list[Array]], i: int, j: int) -> list[list[Array]]:
    """A matrix without row i and column j."""
    return [[*row[:j], *row[j + 1 :]] for row in rows[:i] + rows[i + 1 :]]
