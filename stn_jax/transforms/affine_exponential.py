"""Affine maps that are always invertible: exponentials of matrices.

An exponential is the map after one unit of time of a steady motion; negating its parameters runs
the motion backwards, which undoes it.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax._mesh import constant_like
from stn_jax.transforms.affine import AffineFamily
from stn_jax.transforms.inputs import add_batch, check_ndim, compiled
from stn_jax.transforms.matrix_algebra import matrix_product

_TERMS = 13
"""Terms of the series: where ``|L| <= 1/2`` the rest is below 1e-15."""

_MOST_SQUARINGS = 20
"""So many halvings bring ``|L| = 5e5`` down to 1/2."""


@dataclass(frozen=True)
class AffineDiffeomorphic(AffineFamily):
    """Matrix exponential: ``theta = exp([L | v])``, invertible whatever the parameters.

    The parameters are the entries of ``[L | v]``, ``(n, n + 1)`` by rows; ``det = exp(trace L)``
    is positive, so nothing is ever mirrored or collapsed. Rounding bounds that: relative to its
    largest entry theta is right to about ``max(1, |L|)`` roundings (with ``|L|`` the largest sum of
    absolute values in a row, which must not exceed 5e5: beyond it theta is NaN), so a determinant
    that is smaller than this against the entries' product may lose its sign. Where ``exp(|L|)``
    exceeds the largest float, theta and its gradient may be infinite or NaN.

    Attributes:
        ndim: number of spatial axes.

    References:
        Skafte Detlefsen, Freifeld and Hauberg, "Deep Diffeomorphic Transformer Networks", 2018;
        Moler and Van Loan, "Nineteen dubious ways to compute the exponential of a matrix", 2003,
        method 3 (scaling and squaring).

    Example:
        >>> quarter = jnp.array([0.0, -jnp.pi / 2, 0.0, jnp.pi / 2, 0.0, 0.0])
        >>> AffineDiffeomorphic().matrix(quarter).round(3) + 0.0
        Array([[ 0., -1.,  0.],
               [ 1.,  0.,  0.]], dtype=float32)
    """

    ndim: int = 2

    def __post_init__(self) -> None:
        """Checks the number of axes."""
        check_ndim(self.ndim)

    @property
    def num_params(self) -> int:
        """As many as an affine matrix has entries."""
        return self.ndim * (self.ndim + 1)

    def identity(self) -> np.ndarray:
        """Returns zeros: no motion."""
        return np.zeros(self.num_params, np.float32)

    @compiled
    def matrix(self, params: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
        """Returns ``exp([L | v])``: halved until ``|L| <= 1/2``, a series, and squared as often.

        Each map of a batch is squared as often as its own L needs: a small one loses no digit.
        """
        [params] = self.check_params(params=params)
        n = self.ndim
        generator = params.reshape(*params.shape[:-1], n, n + 1)
        norm = jax.lax.stop_gradient(jnp.max(jnp.sum(jnp.abs(generator[..., :n]), axis=-1), -1))
        squarings = jnp.clip(jnp.ceil(jnp.log2(2 * norm)), 0, _MOST_SQUARINGS).astype(jnp.int32)
        factor = jnp.ldexp(jnp.ones_like(norm), -squarings)
        small = generator * factor[..., None, None]
        change = small
        for term in range(_TERMS, 1, -1):  # Horner: M (I + M/2 (I + M/3 (...)))
            change = small + matrix_product(small[..., :n], change) / term
        still = add_batch(jnp.eye(n, n + 1, dtype=params.dtype), generator.ndim)

        def square(theta: Array, count: Array) -> tuple[Array, None]:
            wanted = (count < squarings)[..., None, None]
            once = jnp.where(wanted, theta, still)  # what is done must not go on and overflow
            twice = matrix_product(once[..., :n], once)
            shift = jnp.concatenate([constant_like(once[..., :n], 0), once[..., n:]], axis=-1)
            return jnp.where(wanted, twice + shift, theta), None

        counts = jnp.arange(_MOST_SQUARINGS, dtype=jnp.int32)
        theta = jax.lax.scan(square, change + still, counts)[0]
        right = (norm <= 2.0 ** (_MOST_SQUARINGS - 1))[..., None, None]
        return jnp.where(right, theta, jnp.nan)

    @compiled
    def invert(self, p: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of the inverse map: ``exp(-M)``."""
        [p] = self.check_params(p=p)
        return -p
