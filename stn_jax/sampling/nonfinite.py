"""Keeps pixels that are not finite out of matrix products, where 0 * NaN would spread them.

A product with a matrix of weights multiplies every pixel by every weight, zeros too. So the array
is scaled into the middle of the exponent's range, infinities and NaN become numbers far above
it, and what comes out is told apart by its size: a sum that has no part in such a pixel is small,
one that has a part, of however small a weight, is huge. No second product and no look at the whole
batch, which on a mesh would be a collective.

Two corners differ from a gather: +inf and -inf together give an infinity, not NaN; and at an
integer coordinate the points' gradient, which is right-sided, is not finite if the next pixel is
not (also in `stn_jax.sampling.windowed`).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

_Arrays = TypeVar("_Arrays", Array, tuple[Array, ...])

# Exponents of two. Scaled, finite values are below 2^-60. Weights of a point are above 2^-48 (two
# or three roundings of float32), sums of up to 2^20 values are at most 2^30 times their largest.
_FINITE, _INFINITE, _NAN = -60, 22, 92
_FROM_INFINITE, _FROM_NAN = 2.0**-27, 2.0**43  # what lies below is finite, infinite


def finite_product(product: Callable[[Array], _Arrays]) -> Callable[[Array], _Arrays]:
    """Makes a product with weights right for arrays that are not finite.

    Args:
        product: linear ``array -> array``, or several arrays.

    Returns:
        ``product``, in which an entry of weight 0 does not count, whatever it is; one that is NaN
        or infinite and has a weight gives NaN or infinity.
    """

    def apply(array: Float[Array, "..."]) -> _Arrays:
        is_finite = jnp.isfinite(array)
        largest = jnp.max(jnp.where(is_finite, jnp.abs(lax.stop_gradient(array)), 0), initial=0)
        exponent = jnp.frexp(largest)[1] - _FINITE
        huge = jnp.where(jnp.isnan(array), 2.0**_NAN, jnp.sign(array) * 2.0**_INFINITE)
        huge *= _unequal(array.shape, array.dtype)

        def decode(values: Array) -> Array:
            size = jnp.abs(values)
            return jnp.where(
                size < _FROM_INFINITE,
                scale(values, exponent),
                jnp.where(size < _FROM_NAN, jnp.sign(values) * jnp.inf, jnp.nan),
            )

        values = product(jnp.where(is_finite, scale(array, -exponent), huge))
        decoded: _Arrays = jax.tree.map(decode, values)
        return decoded

    return apply


def _unequal(shape: Sequence[Any], dtype: DTypeLike) -> Array:
    """Factors from 1 to 2 that differ between neighbours, whose difference is then not 0."""
    place = functools.reduce(
        jnp.add, [(k + 1) * lax.broadcasted_iota(jnp.int32, shape, k) for k in range(len(shape))]
    )
    return 1 + (place & 7).astype(dtype) / 8


def normalize(values: Float[Array, "*points c"]) -> tuple[Array, Array, Array]:
    """Scales each row to a largest entry between 1/2 and 1.

    Returns:
        The rows, 0 where not finite; the exponents ``(*points, 1)``, by which `scale` undoes it;
        and the mask ``(*points, 1)`` of rows that are not finite.
    """
    is_finite = jnp.isfinite(values)
    values = jnp.where(is_finite, values, 0)
    exponent = jnp.frexp(jnp.max(jnp.abs(values), axis=-1, keepdims=True, initial=0))[1]
    return scale(values, -exponent), exponent, ~jnp.all(is_finite, axis=-1, keepdims=True)


def scale(array: Array, exponent: Array) -> Array:
    """Multiplies by ``2^exponent``, exactly; in two steps, for one factor might overflow."""
    half = exponent // 2
    one = jnp.ones((), array.dtype)
    return array * jnp.ldexp(one, half) * jnp.ldexp(one, exponent - half)
