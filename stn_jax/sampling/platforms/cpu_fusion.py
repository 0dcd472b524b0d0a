"""Where a CPU's compiler ends one loop and begins another.

XLA:CPU fuses whatever it can into the loop that reads it, and so computes a coordinate anew for
every tap of every channel, rounded now one way and now another; it drops
`jax.lax.optimization_barrier` before it fuses. A reduction of several operands, though, is a loop
of its own, into which all its operands are fused, gathers too, so that none of them is kept.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

AT_ONCE = 8  # Sums that one loop keeps in registers.


def sum_channels(arrays: Sequence[Float[Array, "*points c"]]) -> list[Float[Array, "*points"]]:
    """Sums arrays over their last axis, several in one loop.

    A single channel gets a second one, of zeros, for a reduction of nothing would be taken out.
    """
    if len(arrays) > AT_ONCE:
        return sum_channels(arrays[:AT_ONCE]) + sum_channels(arrays[AT_ONCE:])
    last = arrays[0].ndim - 1
    if arrays[0].shape[last] == 1:
        more = [(0, 0, 0)] * last + [(0, 1, 0)]
        arrays = [lax.pad(a, jnp.zeros((), a.dtype), more) for a in arrays]
    zeros = tuple(jnp.zeros((), a.dtype) for a in arrays)

    def add(a: Sequence[Array], b: Sequence[Array]) -> Sequence[Array]:
        return tuple(map(jnp.add, a, b))

    return list(lax.reduce(tuple(arrays), zeros, add, (last,)))


def materialize(arrays: Sequence[Shaped[Array, "*points"]]) -> list[Shaped[Array, "*points"]]:
    """The arrays, computed once and written down before anything reads them.

    All travel as the first's dtype, bools too: a loop over one dtype is quicker.
    """
    sums = sum_channels([a.astype(arrays[0].dtype)[..., None] for a in arrays])
    return [total.astype(a.dtype) for total, a in zip(sums, arrays, strict=True)]


def without_fusion(
    compute: Callable[..., Array], result: jax.ShapeDtypeStruct
) -> Callable[..., Array]:
    """Makes a function one of two branches: it is not fused with what reads its result.

    Args:
        compute: a function of arrays.
        result: what it returns.
    """

    def branch(*operands: Array) -> Any:
        always = lax.optimization_barrier(jnp.bool_(True))  # which the compiler must not know
        return lax.cond(always, compute, nothing, *operands)

    def nothing(*operands: Array) -> Any:
        return jnp.zeros(result.shape, result.dtype)

    return branch


@jax.custom_jvp
def materialize_input(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns ``x``; a CPU does not make its elements anew for each that reads them.

    Args:
        x: what is made on all cores, and read many times.

    Returns:
        ``x``.

    Example:
        >>> materialize_input(jnp.arange(3.0)).tolist()
        [0.0, 1.0, 2.0]
    """
    cpu = without_fusion(_same, jax.ShapeDtypeStruct(x.shape, x.dtype))
    return lax.platform_dependent(x, cpu=cpu, default=_same)


@materialize_input.defjvp
def _made_once_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return materialize_input(*primals), *tangents


def _same(x: Array) -> Array:
    return x
