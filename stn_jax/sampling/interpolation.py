"""How an image is read between its pixels and beyond its edges: all that is static about sampling.

`Interpolation` is the one object that travels from the public functions to the algorithms. It turns
points into taps: ``V(p) = sum_t w_t(p) U[i_t(p)]``.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stn_jax import coordinates as coords
from stn_jax._jit import jit
from stn_jax.sampling.kernels import Kernel, weigh
from stn_jax.sampling.padding import Padding, clip


@dataclass(frozen=True)
class Interpolation:
    """An interpolation kernel, a padding mode and the coordinates that points are given in.

    Attributes:
        kernel: the one-dimensional kernel.
        padding: what lies outside the image.
        align_corners: where -1 and 1 are, and where a reflecting padding has its mirrors.
        normalized: whether points are normalised; else they are in pixels.
    """

    kernel: Kernel
    padding: Padding
    align_corners: bool
    normalized: bool = True

    @jit(static_argnums=(0, 2))  # traced once for all maps of a program
    def coordinates(
        self, axes: Sequence[Float[Array, "*points"]], shape: tuple[Any, ...]
    ) -> tuple[list[Float[Array, "*points"]], Bool[Array, "*points"]]:
        """Turns points into padded pixel coordinates.

        Args:
            axes: the points' coordinates, an array for each axis in image order.
            shape: spatial shape of the image.

        Returns:
            An array of finite coordinates for each axis, 0 at a point with a NaN coordinate; and
            the mask of those points.
        """
        nan_mask = functools.reduce(jnp.logical_or, map(jnp.isnan, axes))
        pad = None if self.kernel.pads_each_tap else self.padding.pad_coordinate
        padded = []
        for x, size in zip(self.pixels(axes, shape), shape, strict=True):
            number = coords.number_like(size, x)
            x = self.padding.clamp(jnp.where(nan_mask, 0, x), number)
            padded.append(x if pad is None else pad(x, number, self.align_corners))
        return padded, nan_mask

    @jit(static_argnums=(0, 2))
    def taps(self, x: Float[Array, "*points"], size: Any) -> list[tuple[Array, Array]]:
        """Lists ``(index, weight)`` of the taps of one axis; every index lies in the image."""
        taps = []
        for position, weight in self.kernel(x):
            number = coords.number_like(size, position)
            index = self.padding.pad_index(position, number, self.align_corners)
            if self.padding.zero_outside:
                weight = jnp.where((position >= 0) & (position < number), weight, 0)
            taps.append((index, weight))
        return taps

    def add_fill(
        self,
        values: Float[Array, "*points c"],
        fill_value: Float[Array, " c"],
        axes: Sequence[Float[Array, "*points"]],
        shape: tuple[Any, ...],
    ) -> Float[Array, "*points c"]:
        """Adds the fill value to samples: by the weights that lie outside, or where points do.

        A point whose taps all lie inside is left as it is, whatever the fill value.
        """
        fill_value = fill_value.reshape(*[1] * (values.ndim - 1), values.shape[-1])
        padded, nan_mask = self.coordinates(axes, shape)
        if self.padding.fill == "crisp":
            is_beyond = [
                (x < 0) | (x > coords.number_like(size - 1, x))
                for x, size in zip(padded, shape, strict=True)
            ]
            is_outside = functools.reduce(jnp.logical_or, is_beyond) & ~nan_mask
            return jnp.where(is_outside[..., None], fill_value, values)
        # With a and b the sums of weights inside and outside on each axis, the weight outside is
        # prod (a + b) - prod a; summed like this it is exactly 0 where every b is.
        inside: Array = jnp.ones_like(padded[0])
        outside: Array = jnp.zeros_like(padded[0])
        for x, size in zip(padded, shape, strict=True):
            within = [weight for _, weight in self.taps(x, size)]
            beyond = [w - weight for (_, w), weight in zip(self.kernel(x), within, strict=True)]
            a, b = functools.reduce(jnp.add, within), functools.reduce(jnp.add, beyond)
            inside, outside = inside * a, outside * (a + b) + inside * b
        return values + weigh(outside[..., None], fill_value)

    def pixels(
        self, axes: Sequence[Float[Array, "*points"]], shape: Sequence[Any]
    ) -> list[Float[Array, "*points"]]:
        """Turns points, an array for each axis in image order, into pixel coordinates."""
        pixels = []
        for x, size in zip(axes, shape, strict=True):
            if self.normalized:
                x = coords.normalized_to_pixel(x, size, align_corners=self.align_corners)
                if self.padding.fill is not None:
                    x = _snap(x, coords.number_like(size, x))
            pixels.append(x)
        return pixels


def _snap(x: Float[Array, "*points"], size: Any) -> Float[Array, "*points"]:
    """Moves coordinates that rounding alone carried beyond a border pixel's centre back onto it.

    Otherwise the identity would show a crisp fill, or a huge one, on the border.
    """
    overshoot = x - jax.lax.stop_gradient(clip(x, 0, size - 1))
    rounding = size * jnp.finfo(x.dtype).eps
    return x - jax.lax.stop_gradient(jnp.where(jnp.abs(overshoot) <= rounding, overshoot, 0))
