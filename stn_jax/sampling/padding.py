"""Padding modes as one-dimensional maps: what is read where an image ends.

A padding mode is a row of `PADDING_MODES`; each column maps one axis. ``pad_coordinate`` moves a
coordinate into the image, with PyTorch's derivative; ``pad_index`` moves an integer position into
it. With ``zero_outside`` a position outside has no weight, whatever pixel it is moved to.

Coordinates use `clip` of this module, not `jnp.clip`, whose derivative at a tie is 1/2 where
PyTorch's is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

_REACH = 4  # Further out than this no kernel reaches the image.
_FAR = 1e9  # Stands for infinity where an image repeats for ever.


@dataclass(frozen=True)
class Padding:
    """One padding mode; the maps take ``(values, size, align_corners)``.

    Attributes:
        name: the mode's.
        pad_coordinate: moves a coordinate into the image; None leaves it to ``pad_index``.
        pad_index: moves an integer position into the image.
        zero_outside: whether positions outside have no weight.
        period: ``(size, align_corners) -> number of pixels`` after which the image repeats.
        wraps: whether the taps of one point may lie on both ends of an axis.
        fill: where the fill value shows: ``"blend"`` by the weights that lie outside, ``"crisp"``
            at every point that lies outside.
    """

    name: str
    pad_coordinate: Callable[[Array, Any, bool], Array] | None
    pad_index: Callable[[Array, Any, bool], Array]
    zero_outside: bool = False
    period: Callable[[Any, bool], Any] | None = None
    wraps: bool = False
    fill: Literal["blend", "crisp"] | None = None

    def clamp(self, x: Array, size: Any) -> Array:
        """Bounds coordinates, infinite ones too, so that they fit an int32; what is read stays."""
        if self.period is not None:
            return clip(x, -_FAR, _FAR)
        return clip(x, -_REACH, size - 1 + _REACH)


def clip(x: Array, low: Any, high: Any) -> Array:
    """Clips, with derivative 0 at and beyond both ends; NaN stays NaN."""
    return jnp.where(x <= low, low, jnp.where(x >= high, high, x))


def _clip(x: Array, size: Any, align_corners: bool) -> Array:
    return clip(x, 0, size - 1)


def _size(size: Any, align_corners: bool) -> Any:
    return size


def _mirror_period(size: Any, align_corners: bool) -> Any:
    """Reflection about pixel centres repeats after 2(size - 1), about pixel edges after 2 size."""
    if not align_corners:
        return 2 * size
    if isinstance(size, jax.Array):
        return jnp.maximum(2 * (size - 1), 1)
    return jax.core.max_dim(2 * (size - 1), 1)


def _reflect(x: Array, size: Any, align_corners: bool) -> Array:
    """Reflects coordinates; the derivative flips its sign with each reflection (PyTorch)."""
    start = 0.0 if align_corners else -0.5
    period = _mirror_period(size, align_corners)
    distance = jnp.mod(jnp.abs(x - start), period)
    distance = jnp.where(distance < period / 2, distance, period - distance)
    return _clip(distance + start, size, align_corners)


def _clip_index(i: Array, size: Any, align_corners: bool) -> Array:
    return jnp.clip(i, 0, size - 1)


def _wrap_index(i: Array, size: Any, align_corners: bool) -> Array:
    return jnp.mod(i, size)


def _reflect_index(i: Array, size: Any, align_corners: bool) -> Array:
    period = _mirror_period(size, align_corners)
    i = jnp.mod(i, period)
    last = period if align_corners else period - 1  # position that mirrors onto pixel 0
    return jnp.clip(jnp.where(i < size, i, last - i), 0, size - 1)


_MODES = (
    Padding("zeros", None, _clip_index, zero_outside=True),
    Padding("border", _clip, _clip_index),
    Padding("reflection", _reflect, _reflect_index, period=_mirror_period),
    Padding("wrap", None, _wrap_index, period=_size, wraps=True),
    Padding("fill", None, _clip_index, zero_outside=True, fill="blend"),
    Padding("constant", None, _clip_index, fill="crisp"),
)

PADDING_MODES: dict[str, Padding] = {mode.name: mode for mode in _MODES}
"""Every padding mode, by its public name."""
