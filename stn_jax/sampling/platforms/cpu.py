"""The two gradients as XLA:CPU runs them fast, for programs without the compiled kernels.

Derived by JAX they take 3 times as long (docs/performance.md): a product of a cotangent and a
weight for each tap of each channel, and a scatter for each tap. Here `vjp_points` sums over
channels before it multiplies weights, in one loop, and `splat` adds runs of neighbouring pixels.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from stn_jax._jit import jit
from stn_jax.sampling.gather import read_pixels, row_major
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.platforms.cpu_fusion import materialize, sum_channels


def vjp_points(
    image: Float[Array, "b *shape c"],
    values: Float[Array, "b p c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "b p n"]:
    """Returns ``x'_k = sum_t dw_t/dx_k sum_c V'_c U_c[i_t]``: the points' gradient."""
    axes = list(jnp.unstack(points, axis=-1)[::-1])
    ones = [jnp.ones_like(axis) for axis in axes]  # an axis depends on its own coordinate alone
    coordinates = functools.partial(interpolation.coordinates, shape=shape)
    x, dx, nan_mask = jax.jvp(coordinates, (axes,), (ones,), has_aux=True)
    # For one channel, defeat CSE with the forward pass (it would keep all taps alive): materialize
    # the coordinates in reversed order, so that the two reductions differ.
    order = -1 if image.shape[-1] == 1 else 1
    x = materialize(x[::order])[::order]
    indices, weights, slopes = [], [], []  # of each axis, of its taps
    for axis, d_axis, size in zip(x, dx, shape, strict=True):
        taps = functools.partial(_weights_first, interpolation, size)
        weight, slope, index = jax.jvp(taps, (axis,), (d_axis,), has_aux=True)
        indices.append(index)
        weights.append(weight)
        slopes.append(slope)
    every = itertools.product(*indices)
    sums = sum_channels([_project(image, values, index) for index in every])
    # What is not finite and has no weight does not count: see `kernels.weigh`.
    has_weight = itertools.product(*([w != 0 for w in along] for along in weights))
    known = [_where_known(s, along) for s, along in zip(sums, has_weight, strict=True)]
    total = _contract(known, weights, slopes)
    return jnp.stack([jnp.where(nan_mask, 0, d) for d in total[::-1]], axis=-1)


def splat(
    values: Float[Array, "b p c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "b *shape c"]:
    """Adds each value to the pixels that its point reads, by weight: the images' gradient."""
    batch, _, channels = values.shape
    x, nan_mask = interpolation.coordinates(jnp.unstack(points, axis=-1)[::-1], shape)
    # Materialized, else each tap recomputes the coordinates.
    *x, nan_mask = materialize([*x, nan_mask])
    total = jnp.zeros((batch, math.prod(shape) * channels), values.dtype)
    for place, update in _updates(values, nan_mask, x, interpolation, shape):
        total = jax.vmap(_add_rows)(total, place * channels, update)
    return total.reshape(batch, *shape, channels)


def _updates(
    values: Float[Array, "*points c"],
    nan_mask: Bool[Array, "*points"],
    x: Sequence[Float[Array, "*points"]],
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> list[tuple[Int[Array, "*points"], Float[Array, "*points w c"]]]:
    """Lists ``(place, update)``: what is added to the w pixels from each place on."""
    values = jnp.where(nan_mask[..., None], 0, values)[..., None, :]
    updates = []
    for place, weights in _windows(x, shape, interpolation, values.shape[-1]):
        weight = weights[..., None]
        updates.append((place, jnp.where(weight != 0, weight * values, 0)))
    return updates


def _windows(
    x: Sequence[Float[Array, "*points"]],
    shape: Sequence[Any],
    interpolation: Interpolation,
    channels: Any,
) -> list[tuple[Int[Array, "*points"], Float[Array, "*points w"]]]:
    """Lists ``(place, weights)`` of runs of w pixels along the last axis, that a point reads."""
    *above, last = [interpolation.taps(axis, size) for axis, size in zip(x, shape, strict=True)]
    runs = _runs(last, shape[-1], interpolation.padding.wraps)
    places, weights = [], []
    for lead in itertools.product(*above):
        for start, along in runs:
            places.append(row_major([*(index for index, _ in lead), start], shape))
            factor = functools.reduce(jnp.multiply, [weight for _, weight in lead])
            weights += [factor * weight for weight in along]
    if channels != 1:  # else an update would compute them for each channel
        weights = materialize(weights)
    width = len(weights) // len(places)
    return [
        (place, _interleave(weights[k * width : (k + 1) * width])) for k, place in enumerate(places)
    ]


def _runs(
    taps: Sequence[tuple[Array, Array]], size: Any, wraps: bool
) -> list[tuple[Int[Array, "*points"], list[Float[Array, "*points"]]]]:
    """Makes one run of a point's taps on one axis: ``(start, weights)`` of neighbours.

    Where taps may lie on both ends of the axis each stays alone.
    """
    if wraps or len(taps) == 1 or not isinstance(size, int) or size < len(taps):
        return [(index, [weight]) for index, weight in taps]
    lowest = functools.reduce(jnp.minimum, [index for index, _ in taps])
    start = jnp.minimum(lowest, size - len(taps))
    weights = [
        functools.reduce(jnp.add, [jnp.where(index == start + k, w, 0) for index, w in taps])
        for k in range(len(taps))
    ]
    return [(start, weights)]


def _weights_first(
    interpolation: Interpolation, size: Any, x: Array
) -> tuple[list[Array], list[Array]]:
    """The taps of one axis as weights, which are differentiable, and indices."""
    taps = interpolation.taps(x, size)
    return [weight for _, weight in taps], [index for index, _ in taps]


# What is done for each tap is jitted, so that it is traced once for all of them.


@jit()
def _project(
    image: Float[Array, "b *shape c"], values: Float[Array, "b p c"], indices: Sequence[Array]
) -> Float[Array, "b p c"]:
    """What a tap's sum over channels is of: ``V'_c U_c[i_t]``."""
    return values * jax.vmap(read_pixels)(image, indices)


@jit()
def _where_known(
    sum_c: Float[Array, "b p"], has_weight: Sequence[Bool[Array, "b p"]]
) -> Float[Array, "b p"]:
    is_read = functools.reduce(jnp.logical_and, has_weight)
    return jnp.where(is_read | jnp.isfinite(sum_c), sum_c, 0)


def _contract(
    values: list[Array], weights: Sequence[Sequence[Array]], slopes: Sequence[Sequence[Array]]
) -> list[Array]:
    """Contracts values of all taps with the weights, for each axis with its slopes instead.

    Axis by axis, the last one first: values are in the order of `itertools.product`.
    """
    changes: list[list[Array]] = []
    for weight, slope in list(zip(weights, slopes, strict=True))[::-1]:
        changes = [_sum_groups(values, slope), *(_sum_groups(c, weight) for c in changes)]
        values = _sum_groups(values, weight)
    return [change for (change,) in changes]


def _sum_groups(values: Sequence[Array], weights: Sequence[Array]) -> list[Array]:
    """Sums each run of as many values as weights, weighted."""
    width = len(weights)
    runs = [values[k : k + width] for k in range(0, len(values), width)]
    return [
        functools.reduce(jnp.add, [w * v for w, v in zip(weights, run, strict=True)])
        for run in runs
    ]


def _interleave(arrays: Sequence[Float[Array, "*points"]]) -> Float[Array, "*points w"]:
    """Stacks arrays on a last axis, by selecting on its index: faster than copies on a CPU."""
    shape = (*arrays[0].shape, len(arrays))
    at = lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
    stacked = jnp.broadcast_to(arrays[-1][..., None], shape)
    for k, array in enumerate(arrays[:-1]):
        stacked = jnp.where(at == k, array[..., None], stacked)
    return stacked


def _add_rows(
    flat: Float[Array, "size"], start: Int[Array, "p"], update: Float[Array, "p w c"]
) -> Float[Array, "size"]:
    """Adds updates to runs of values, each from its start on."""
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=(1,), inserted_window_dims=(), scatter_dims_to_operand_dims=(0,)
    )
    runs = update.reshape(update.shape[0], update.shape[1] * update.shape[2])
    return lax.scatter_add(flat, start[..., None], runs, numbers, mode="promise_in_bounds")
