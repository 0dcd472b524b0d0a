"""Controls what XLA:CPU fuses.

XLA:CPU fuses whatever it can into the loop that reads it, so it recomputes a coordinate for every
tap of every channel, rounded now one way and now another. It drops `jax.lax.optimization_barrier`
after it has folded constants and before it fuses. Two things end a fusion: a reduction of several
operands, which is a loop of its own with all its operands fused into it, gathers too; and a
conditional.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

_MAX_SUMS = 8  # Sums that one loop keeps in registers.


def sum_channels(arrays: Sequence[Float[Array, "*points c"]]) -> list[Float[Array, "*points"]]:
    """Sums arrays over their last axis, several in one loop that stores none of them."""
    if len(arrays) > _MAX_SUMS:
        return sum_channels(arrays[:_MAX_SUMS]) + sum_channels(arrays[_MAX_SUMS:])
    last = arrays[0].ndim - 1
    if arrays[0].shape[last] == 1:  # XLA removes a reduction of one element: add a zero
        ends = [(0, 0, 0)] * last + [(0, 1, 0)]
        arrays = [lax.pad(a, jnp.zeros((), a.dtype), ends) for a in arrays]
    zeros = tuple(jnp.zeros((), a.dtype) for a in arrays)

    return list(lax.reduce(tuple(arrays), zeros, lambda a, b: tuple(map(lax.add, a, b)), (last,)))


def materialize(arrays: Sequence[Shaped[Array, "*points"]]) -> list[Shaped[Array, "*points"]]:
    """Materializes arrays: stops XLA:CPU from recomputing them inside each consumer.

    All travel as the first's dtype, masks too: a loop over one dtype is faster.
    """
    sums = sum_channels([a.astype(arrays[0].dtype)[..., None] for a in arrays])
    return [total.astype(a.dtype) for total, a in zip(sums, arrays, strict=True)]


@jax.custom_jvp
def materialize_input(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Materializes an array on a CPU, computed by all cores; elsewhere returns it as it is.

    For an input that many windows read, such as that of a convolution.

    Args:
        x: any array.

    Returns:
        ``x``.

    Example:
        >>> materialize_input(jnp.arange(3.0)).tolist()
        [0.0, 1.0, 2.0]
    """
    materialized: Array = lax.platform_dependent(x, cpu=_end_fusion, default=_identity)
    return materialized


@materialize_input.defjvp
def _materialize_input_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return materialize_input(*primals), *tangents


def _end_fusion(x: Array) -> Array:
    always = lax.optimization_barrier(jnp.bool_(True))  # unknown to the compiler
    same: Array = lax.cond(always, _identity, jnp.zeros_like, x)
    return same


def _identity(x: Array) -> Array:
    return x
