"""Sampling on a GPU: three of the operator's maps as one kernel each, in Pallas for Triton.

A program takes a block of one image's points, with all channels, and makes their taps in registers,
by `gather`'s own table. So image and points are read, results written, and nothing in between:

    read     V_p = sum_t w_tp U[i_tp]
    splat    U'[i_tp] += w_tp V'_p, by atomic additions: in any order, so the last bits may vary
    slope    x'_p = sum_t (dw_tp / dx_p) sum_c V'_pc U_c[i_tp]

Taps outside the image are masked, and so is what fills up a block, for Triton's arrays have powers
of two as sizes: no memory is touched for either.

XLA cannot cut a kernel in pieces: a sharded batch needs `jax.shard_map(..., check_vma=False)`. None
of this has run on a GPU yet: the tests lower it for CUDA and run it in Pallas' interpreter.
"""

import dataclasses
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

from stn_jax.sampling import gather
from stn_jax.sampling.operator import Scheme
from stn_jax.sampling.padding import split_nan

_VALUES = 256  # Values of a block: two for each of 128 threads, whose taps so stay in registers.


def read(
    scheme: Scheme,
    shape: tuple[int, ...],
    image: Float[Array, "b *shape c"],
    *x: Float[Array, "b *points"],
    interpret: bool = False,
) -> list[Float[Array, "b *points c"]]:
    """Samples a batch of images.

    Args:
        scheme: how; its backend plays no part.
        shape: the images' spatial axes.
        image: ``(b, *shape, c)``; no axis of this or the other arrays may be empty.
        *x: an array of coordinates for each axis, as `gather.sample` takes them, or NaN.
        interpret: run in Pallas' interpreter, on any platform.

    Returns:
        The samples, in a list; NaN at a point that is.
    """
    block = _Block.of(image, x, interpret)

    def kernel(image: Any, *refs: Any) -> None:
        *points, values = refs
        lost, x = split_nan([block.load(ref) for ref in points])
        total = jnp.zeros(values.shape, values.dtype)
        for place, inside, weight in _taps(scheme, shape, x):
            total += weight[:, None] * block.read(image, place, inside)
        block.store(values, jnp.where(lost[:, None], jnp.nan, total))

    out = (*x[0].shape, image.shape[-1])
    specs = [block.image(shape), *[block.points] * len(x)]
    return block.run(kernel, [image, *x], specs, [out], [block.values])


def splat(
    scheme: Scheme,
    shape: tuple[int, ...],
    values: Float[Array, "b *points c"],
    *x: Float[Array, "b *points"],
    interpret: bool = False,
) -> list[Float[Array, "b *shape c"]]:
    """Adds values to the pixels that `read` takes: the images' gradient. Arguments as there.

    Returns:
        The images, in a list; a value at a point that is NaN goes nowhere.
    """
    block = _Block.of(values, x, interpret)

    def kernel(values: Any, *refs: Any) -> None:
        *points, _, image = refs
        lost, x = split_nan([block.load(ref) for ref in points])
        value = block.load(values)
        for place, inside, weight in _taps(scheme, shape, x):
            given = ~lost if inside is None else inside & ~lost
            block.add(image, place, given, weight[:, None] * value)

    out = (len(values), *shape, values.shape[-1])
    specs = [block.values, *[block.points] * len(x), block.image(shape)]
    operands = [values, *x, jnp.zeros(out, values.dtype)]
    return block.run(kernel, operands, specs, [out], specs[-1:], over_last=True)


def slope(
    scheme: Scheme,
    shape: tuple[int, ...],
    image: Float[Array, "b *shape c"],
    values: Float[Array, "b *points c"],
    *x: Float[Array, "b *points"],
    interpret: bool = False,
) -> list[Float[Array, "b *points"]]:
    """Returns ``sum_c V'_c dV_c / dx_k`` for each axis k: the points' gradient; 0 where one is NaN.

    Arguments as for `read`.
    """
    block = _Block.of(values, x, interpret)

    def weights(*x: Array) -> Any:
        taps = _taps(scheme, shape, x)
        return [weight for *_, weight in taps], [(place, inside) for place, inside, _ in taps]

    def kernel(image: Any, values: Any, *refs: Any) -> None:
        points, outs = refs[: len(shape)], refs[len(shape) :]
        lost, x = split_nan([block.load(ref) for ref in points])
        value = block.load(values)
        _, pull, places = jax.vjp(weights, *x, has_aux=True)
        sums = [jnp.sum(value * block.read(image, *place), axis=1) for place in places]
        for out, change in zip(outs, pull(sums), strict=True):
            block.store(out, jnp.where(lost, 0, change))

    ours = [block.points] * len(x)
    specs = [block.image(shape), block.values, *ours]
    outs = [a.shape for a in x]
    return block.run(kernel, [image, values, *x], specs, outs, ours)


def _taps(scheme: Scheme, shape: tuple[int, ...], x: Sequence[Array]) -> gather.Taps:
    kernel, boundary, align_corners = scheme.rule
    if kernel.origin is jnp.round:
        kernel = dataclasses.replace(kernel, origin=_round)
    return gather._taps(x, shape, kernel, boundary, align_corners)


def _round(x: Float[Array, "p"]) -> Float[Array, "p"]:
    """`jnp.round`, halves to even, which Triton does not have."""
    low = jnp.floor(x)
    odd = low != 2 * jnp.floor(low * 0.5)
    up = (x - low > 0.5) | ((x - low == 0.5) & odd)
    return low + up.astype(x.dtype)


@dataclass(frozen=True)
class _Block:
    """The points that a program handles, of ``count`` of an image, with all ``channels``."""

    batch: int
    count: int
    channels: int
    interpret: bool

    @classmethod
    def of(cls, values: Array, x: Sequence[Array], interpret: bool) -> "_Block":
        return cls(len(x[0]), math.prod(x[0].shape[1:]), values.shape[-1], interpret)

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

    def read(self, image: Any, place: Array, given: Array | None) -> Array:
        return plgpu.load(image.at[self._at(place)], mask=self._mask(2, given), other=0.0)

    def add(self, image: Any, place: Array, given: Array, values: Array) -> None:
        at, mask = self._at(place), self._mask(2, given)
        if self.interpret:  # whose `atomic_add` takes no mask, and adds to a pixel only once
            jax.ref.addupdate(image, at, jnp.where(mask, values, 0))
        else:
            plgpu.atomic_add(image, at, values, mask=mask)

    def _at(self, place: Array) -> tuple[Array, Array]:
        return jnp.broadcast_to(place[:, None], self.shape), _iota(self.shape, 1)

    def _mask(self, ndim: int, given: Array | None = None) -> Array:
        """What of the points, or their values, is no filler, and is ``given``."""
        shape = self.shape[:ndim]
        mask = _iota(shape, 0) < self.count - pl.program_id(0) * shape[0]
        if ndim > 1:
            mask &= _iota(shape, 1) < self.channels
        return mask if given is None else mask & given[:, None]

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
