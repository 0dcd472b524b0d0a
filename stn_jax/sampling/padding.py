"""Padding modes as one-dimensional maps: what is read where an image ends.

A padding mode is a row of `PADDING_MODES`; each column maps one axis. ``clamp`` brings any
coordinate, infinite ones too, into a range where integer arithmetic cannot overflow, without
changing what is read; ``pad_coordinate`` moves a coordinate into the image, with PyTorch's
derivative; ``pad_index`` moves an integer position into it. In a ``constant`` mode (zeros, fill) a
position outside has no weight, whatever pixel it is moved to.

``where`` and not ``clip`` throughout: at a tie ``clip`` has derivative 1/2, PyTorch's has 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

_REACH = 4  # No kernel's tap lies further than this from its coordinate.
_FAR = 1e9  # Stands for infinity where an image repeats for ever; fits an int32.


@dataclass(frozen=True)
class Padding:
    """One padding mode; the maps take ``(values, size, align_corners)``.

    Attributes:
        clamp: bounds a coordinate.
        pad_coordinate: moves a coordinate into the image.
        pad_index: moves an integer position into the image.
        constant: whether positions outside have no weight.
        period: ``(size, align_corners) -> number of pixels`` after which the image repeats.
        wraps: whether the taps of one point may lie on both ends of an axis.
        fill: where the fill value shows: ``"blend"`` by the weights that lie outside, ``"crisp"``
            at every point that lies outside.
    """

    clamp: Callable[[Array, Any, bool], Array]
    pad_coordinate: Callable[[Array, Any, bool], Array]
    pad_index: Callable[[Array, Any, bool], Array]
    constant: bool = False
    period: Callable[[Any, bool], Any] | None = None
    wraps: bool = False
    fill: Literal["blend", "crisp"] | None = None


def clip(x: Array, low: Any, high: Any) -> Array:
    """Clips, with derivative 0 at and beyond both ends; NaN stays NaN."""
    return jnp.where(x <= low, low, jnp.where(x >= high, high, x))


def _identity(x: Array, size: Any, align_corners: bool) -> Array:
    return x


def _clamp_near(x: Array, size: Any, align_corners: bool) -> Array:
    """Beyond the reach of every tap one coordinate reads the same as another."""
    return clip(x, -_REACH, size - 1 + _REACH)


def _clamp_far(x: Array, size: Any, align_corners: bool) -> Array:
    return clip(x, -_FAR, _FAR)


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


_ZEROS = {
    "clamp": _clamp_near,
    "pad_coordinate": _identity,
    "pad_index": _clip_index,
    "constant": True,
}
PADDING_MODES: dict[str, Padding] = {
    "zeros": Padding(**_ZEROS),
    "border": Padding(clamp=_clamp_near, pad_coordinate=_clip, pad_index=_clip_index),
    "reflection": Padding(
        clamp=_clamp_far, pad_coordinate=_reflect, pad_index=_reflect_index, period=_mirror_period
    ),
    "wrap": Padding(
        clamp=_clamp_far, pad_coordinate=_identity, pad_index=_wrap_index, period=_size, wraps=True
    ),
    "fill": Padding(**_ZEROS, fill="blend"),
    "constant": Padding(
        clamp=_clamp_near, pad_coordinate=_identity, pad_index=_clip_index, fill="crisp"
    ),
}
"""Every padding mode, by its public name."""
