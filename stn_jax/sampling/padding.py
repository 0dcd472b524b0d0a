"""Boundaries as one-dimensional maps: what is read where an image ends.

A padding mode is a row of `PADDING_MODES`; each column is a map of one axis. ``limit`` brings any
coordinate, infinite ones too, into a range where integer arithmetic cannot overflow, without
changing what is read; ``fold`` moves a coordinate into the image, with PyTorch's derivative;
``index`` moves an integer position into it. With ``framed`` boundaries (zeros, fill) an image lies
in a frame of zeros, one pixel wide: there ``index`` maps to -1 ... size.

``where`` and not ``clip`` throughout: at a tie ``clip`` has derivative 1/2, PyTorch's has 0.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array

_REACH = 3  # No kernel's tap lies further than this from its coordinate.
_FAR = 1e9  # Stands for infinity where an image repeats for ever; fits an int32.


@dataclass(frozen=True)
class Boundary:
    """One padding mode; the maps take ``(values, size, align_corners)``.

    ``period(size, align_corners)`` is the number of pixels after which the image repeats, if it
    does; ``wraps`` says that the taps of one point may lie on both ends of an axis.
    """

    limit: Callable[[Array, int, bool], Array]
    fold: Callable[[Array, int, bool], Array]
    index: Callable[[Array, int, bool], Array]
    framed: bool = False
    period: Callable[[int, bool], int] | None = None
    wraps: bool = False


def _between(x: Array, low: int | float, high: int | float) -> Array:
    """Clips, with derivative 0 at and beyond both ends."""
    return jnp.where(x <= low, low, jnp.where(x >= high, high, x))


def _keep(x: Array, size: int, align_corners: bool) -> Array:
    return x


def _near(x: Array, size: int, align_corners: bool) -> Array:
    """Beyond the reach of every tap one coordinate reads the same as another."""
    return _between(x, -_REACH, size - 1 + _REACH)


def _clip(x: Array, size: int, align_corners: bool) -> Array:
    return _between(x, 0, size - 1)


def _finite(x: Array, size: int, align_corners: bool) -> Array:
    return _between(x, -_FAR, _FAR)


def _width(size: int, align_corners: bool) -> int:
    return size


def _mirrors(size: int, align_corners: bool) -> int:
    """Reflection about pixel centres repeats after 2(size - 1), about pixel edges after 2 size."""
    return max(2 * (size - 1), 1) if align_corners else 2 * size


def _reflect(x: Array, size: int, align_corners: bool) -> Array:
    """Reflects coordinates; the derivative flips its sign with each reflection (PyTorch)."""
    start = 0.0 if align_corners else -0.5
    period = _mirrors(size, align_corners)
    distance = jnp.mod(jnp.abs(x - start), period)
    distance = jnp.where(distance < period / 2, distance, period - distance)
    return _clip(distance + start, size, align_corners)


def _frame_index(i: Array, size: int, align_corners: bool) -> Array:
    return jnp.clip(i, -1, size)


def _clip_index(i: Array, size: int, align_corners: bool) -> Array:
    return jnp.clip(i, 0, size - 1)


def _modulo_index(i: Array, size: int, align_corners: bool) -> Array:
    return jnp.mod(i, size)


def _reflect_index(i: Array, size: int, align_corners: bool) -> Array:
    period = _mirrors(size, align_corners)
    i = jnp.mod(i, period)
    last = period if align_corners else period - 1  # position that mirrors onto pixel 0
    return jnp.clip(jnp.where(i < size, i, last - i), 0, size - 1)


def split_nan(coordinates: Sequence[Array]) -> tuple[Array, tuple[Array, ...]]:
    """Returns where any coordinate of a point is no number, and coordinates with 0 there."""
    lost = functools.reduce(jnp.logical_or, map(jnp.isnan, coordinates))
    return lost, tuple(jnp.where(lost, 0, x) for x in coordinates)


PADDING_MODES: dict[str, Boundary] = {
    "zeros": Boundary(limit=_near, fold=_keep, index=_frame_index, framed=True),
    "border": Boundary(limit=_near, fold=_clip, index=_clip_index),
    "reflection": Boundary(limit=_finite, fold=_reflect, index=_reflect_index, period=_mirrors),
    "wrap": Boundary(limit=_finite, fold=_keep, index=_modulo_index, period=_width, wraps=True),
    "fill": Boundary(limit=_near, fold=_keep, index=_frame_index, framed=True),
}
"""Every padding mode, by its public name. ``fill`` is ``zeros`` around another level."""
