"""Fused kernels for GPUs, in Pallas for Triton: a map is one kernel.

A program takes a block of one image's points, with all channels, and computes their taps in
registers, by the same tables as `stn_jax.sampling.gather`. So image and points are read, results
written, and nothing in between:

    read          V_p = sum_t w_tp U[i_tp]
    splat         U'[i_tp] += w_tp V'_p, atomically: in any order, so the last bits may vary
    vjp_points    x'_p = sum_t (dw_tp / dx_p) sum_c V'_pc U_c[i_tp]

Taps without weight are masked, and so is what fills up a block, for Triton's arrays have powers of
two as sizes: no memory is touched for either.

XLA cannot partition a kernel: a sharded batch needs `jax.shard_map(..., check_vma=False)`. None of
this has run on a GPU yet: the tests lower it for CUDA and run it in Pallas' interpreter.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu
from jaxtyping import Array, Float

from stn_jax.sampling.gather import product_taps, row_major
from stn_jax.sampling.interpolation import Interpolation

_VALUES = 256  # Values of a block: two for each of 128 threads, whose taps so stay in registers.


def read(
    image: Float[Array, "b *shape c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[int, ...],
    interpret: bool = False,
) -> Float[Array, "b p c"]:
    """Samples a batch of images.

    Args:
        image: ``(b, *shape, c)``; no axis of this or the other arrays may be empty.
        points: ``(b, p, n)``; they may be NaN.
        interpolation: what a point reads.
        shape: the images' spatial axes.
        interpret: run in Pallas' interpreter, on any platform.

    Returns:
        Samples ``(b, p, c)``, NaN at a point that is.
    """
    block = _Block.of(image, points, interpret)
    taps = functools.partial(_taps, interpolation=interpolation, shape=shape)

    def kernel(image: Any, *refs: Any) -> None:
        *x, values = refs
        places, weights, nan_mask = taps(*map(block.load, x))
        total = jnp.zeros(values.shape, values.dtype)
        for place, weight in zip(places, weights, strict=True):
            total += weight[:, None] * block.read(image, place, weight != 0)
        block.store(values, jnp.where(nan_mask[:, None], jnp.nan, total))

    specs = [block.image(shape), *[block.points] * len(shape)]
    out = (*points.shape[:-1], image.shape[-1])
    return block.run(kernel, [image, *_axes(points)], specs, [out], [block.values])[0]


def splat(
    values: Float[Array, "b p c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[int, ...],
    interpret: bool = False,
) -> Float[Array, "b *shape c"]:
    """Adds values to the pixels that `read` takes: the images' gradient. Arguments as there.

    A value at a point that is NaN goes nowhere.
    """
    block = _Block.of(values, points, interpret)
    taps = functools.partial(_taps, interpolation=interpolation, shape=shape)

    def kernel(values: Any, *refs: Any) -> None:
        *x, _, image = refs
        places, weights, nan_mask = taps(*map(block.load, x))
        value = block.load(values)
        for place, weight in zip(places, weights, strict=True):
            block.add(image, place, (weight != 0) & ~nan_mask, weight[:, None] * value)

    out = (len(values), *shape, values.shape[-1])
    specs = [block.values, *[block.points] * len(shape), block.image(shape)]
    operands = [values, *_axes(points), jnp.zeros(out, values.dtype)]
    return block.run(kernel, operands, specs, [out], specs[-1:], over_last=True)[0]


def vjp_points(
    image: Float[Array, "b *shape c"],
    values: Float[Array, "b p c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[int, ...],
    interpret: bool = False,
) -> Float[Array, "b p n"]:
    """Returns ``sum_c V'_c dV_c / dx``: the points' gradient; 0 at a point that is NaN.

    Arguments as for `read`.
    """
    block = _Block.of(values, points, interpret)
    taps = functools.partial(_taps, interpolation=interpolation, shape=shape)

    def weights_first(*x: Array) -> Any:
        places, weights, nan_mask = taps(*x)
        return weights, (places, nan_mask)

    def kernel(image: Any, values: Any, *refs: Any) -> None:
        x, outs = refs[: len(shape)], refs[len(shape) :]
        value = block.load(values)
        weights, pull, (places, nan_mask) = jax.vjp(
            weights_first, *map(block.load, x), has_aux=True
        )
        sums = []
        for place, weight in zip(places, weights, strict=True):
            sum_c = jnp.sum(value * block.read(image, place, None), axis=1)
            sums.append(jnp.where((weight != 0) | (jnp.abs(sum_c) < jnp.inf), sum_c, 0))
        for out, change in zip(outs, pull(sums), strict=True):
            block.store(out, jnp.where(nan_mask, 0, change))

    ours = [block.points] * len(shape)
    specs = [block.image(shape), block.values, *ours]
    outs = [points.shape[:-1]] * len(shape)
    found = block.run(kernel, [image, values, *_axes(points)], specs, outs, ours)
    return jnp.stack(found, axis=-1)


def _axes(points: Float[Array, "b p n"]) -> list[Float[Array, "b p"]]:
    """The points' coordinates (x, y[, z]) apart: Triton has no arrays of 2 or 3 to index."""
    return list(jnp.unstack(points, axis=-1))


def _taps(
    *x: Float[Array, "p"], interpolation: Interpolation, shape: tuple[int, ...]
) -> tuple[list[Array], list[Array], Array]:
    """Places and weights of all taps of points, and which points are NaN."""
    if interpolation.kernel.origin is jnp.round:
        kernel = dataclasses.replace(interpolation.kernel, origin=_round)
        interpolation = dataclasses.replace(interpolation, kernel=kernel)
    padded, nan_mask = interpolation.coordinates(x[::-1], shape)
    taps = product_taps(padded, shape, interpolation)
    places = [row_major(indices, shape) for indices, _ in taps]
    return places, [functools.reduce(jnp.multiply, weights) for _, weights in taps], nan_mask


def _round(x: Float[Array, "p"]) -> Float[Array, "p"]:
    """`jnp.round`, halves to even, which Triton does not have."""
    low = jnp.floor(x)
    is_odd = low != 2 * jnp.floor(low * 0.5)
    up = (x - low > 0.5) | ((x - low == 0.5) & is_odd)
    return low + up.astype(x.dtype)


@dataclass(frozen=True)
class _Block:
    """The points that a program handles, of ``count`` of an image, with all ``channels``."""

    batch: int
    count: int
    channels: int
    interpret: bool

    @classmethod
    def of(cls, values: Array, points: Array, interpret: bool) -> "_Block":
        batch, count, _ = points.shape
        return cls(batch, count, values.shape[-1], interpret)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of points and channels, both powers of two."""
        width = pl.next_power_of_2(self.channels)
        return min(max(_VALUES // width, 1), pl.next_power_of_2(self.count)), width

    # ---- What a program sees of an array

    @property
    def points(self) -> pl.BlockSpec:
        return pl.BlockSpec((None, self.shape[0]), lambda i, b: (b, i))

    @property
    def values(self) -> pl.BlockSpec:
        return pl.BlockSpec((None, *self.shape), lambda i, b: (b, i, 0))

    def image(self, shape: tuple[int, ...]) -> pl.BlockSpec:
        return pl.BlockSpec((None, math.prod(shape), self.channels), lambda i, b: (b, 0, 0))

    # ---- What it does there

    def load(self, ref: Any) -> Array:
        return plgpu.load(ref, mask=self._mask(ref.ndim), other=0.0)

    def store(self, ref: Any, values: Array) -> None:
        plgpu.store(ref, values, mask=self._mask(ref.ndim))

    def read(self, image: Any, place: Array, where: Array | None) -> Array:
        return plgpu.load(image.at[self._at(place)], mask=self._mask(2, where), other=0.0)

    def add(self, image: Any, place: Array, where: Array, values: Array) -> None:
        at, mask = self._at(place), self._mask(2, where)
        if self.interpret:  # its `atomic_add` takes no mask, and adds to a pixel only once
            jax.ref.addupdate(image, at, jnp.where(mask, values, 0))
        else:
            plgpu.atomic_add(image, at, values, mask=mask)

    def _at(self, place: Array) -> tuple[Array, Array]:
        return jnp.broadcast_to(place[:, None], self.shape), _iota(self.shape, 1)

    def _mask(self, ndim: int, where: Array | None = None) -> Array:
        """Which of the points, or their values, are not padding of the block, and ``where``."""
        shape = self.shape[:ndim]
        mask = _iota(shape, 0) < self.count - pl.program_id(0) * shape[0]
        if ndim > 1:
            mask &= _iota(shape, 1) < self.channels
        return mask if where is None else mask & where[:, None]

    def run(
        self,
        kernel: Callable[..., None],
        operands: Sequence[Array],
        specs: Sequence[pl.BlockSpec],
        outs: Sequence[tuple[int, ...]],
        out_specs: Sequence[pl.BlockSpec],
        over_last: bool = False,
    ) -> list[Array]:
        """Runs a kernel on all blocks; ``over_last``: its result begins as the last operand."""
        dtype = operands[0].dtype
        found = pl.pallas_call(
            kernel,
            [
                jax.ShapeDtypeStruct(self._flat(shape, spec), dtype)
                for shape, spec in zip(outs, out_specs, strict=True)
            ],
            grid=(pl.cdiv(self.count, self.shape[0]), self.batch),
            in_specs=specs,
            out_specs=out_specs,
            input_output_aliases={len(operands) - 1: 0} if over_last else {},
            compiler_params=plgpu.CompilerParams(num_warps=4),
            interpret=self.interpret,
        )(*[a.reshape(self._flat(a.shape, s)) for a, s in zip(operands, specs, strict=True)])
        return [a.reshape(shape) for a, shape in zip(found, outs, strict=True)]

    def _flat(self, shape: tuple[int, ...], spec: pl.BlockSpec) -> tuple[int, ...]:
        """Batch, points or pixels, and the channels, if any."""
        last = (self.channels,) * (len(spec.block_shape or ()) - 2)
        return self.batch, math.prod(shape) // (self.batch * math.prod(last)), *last


def _iota(shape: tuple[int, ...], axis: int) -> Array:
    return lax.broadcasted_iota(jnp.int32, shape, axis)
