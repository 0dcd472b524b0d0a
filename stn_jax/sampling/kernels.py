"""Interpolation kernels: a kernel is a function ``x -> [(index, weight)]`` of one coordinate.

``V(x) = sum_i w_i(x) U[i]``; products over the axes give every dimension. With t = x - floor(x)
the pixels at ``floor(x) + 1 - radius ... floor(x) + radius`` have the weights
``k(t - (1 - radius)) ... k(t - radius)``. ``floor`` decides which they are and has no derivative,
so a derivative at an integer coordinate is the right-sided one.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array


@dataclass(frozen=True, eq=False)
class Kernel:
    """A separable interpolation kernel.

    Attributes:
        name: the mode's.
        profile: ``u -> k(u)``, for implementations that sum over all pixels or widen the kernel;
            pieces are closed on the left, so that derivatives are right-sided too. Not scaled:
            Lanczos' weights sum to 1 only after a division.
        weights: ``t -> weights`` of the pixels from ``floor(x) + 1 - radius`` on, for t in [0, 1).
        radius: k is 0 from here on, in pixels; 0 is the nearest pixel alone.
        origin: the integer that taps are counted from, and t from there.
        pads_each_tap: whether padding acts on every tap (bicubic) or once on the coordinate
            (nearest, bilinear). PyTorch makes the same distinction; it shows in the derivative.
        coefficient: Keys' a, of the bicubic kernel.
    """

    name: str
    profile: Callable[[Array], Array]
    weights: Callable[[Array], Sequence[Array]]
    radius: int
    origin: Callable[[Array], Array] = jnp.floor
    pads_each_tap: bool = False
    coefficient: float = 0.0

    def __call__(self, x: Array) -> list[tuple[Array, Array]]:
        """Lists ``(index, weight)`` at coordinates ``x``.

        Args:
            x: finite pixel coordinates, any shape, small enough for int32.

        Returns:
            One ``(int32 index, weight)`` pair for each tap, arrays of the shape of ``x``.
        """
        origin = self.origin(x)
        first = origin.astype(jnp.int32) + (1 - self.radius if self.radius else 0)
        return [(first + k, weight) for k, weight in enumerate(self.weights(x - origin))]

    def weight_at(self, x: Array, position: Array, width: ArrayLike = 1) -> Array:
        """Returns the weight of the pixel at ``position``, the kernel ``width`` times as wide.

        The caller rounds x for the nearest kernel, before it wraps x by a period.
        """
        return self.profile((x - position) / width)

    @property
    def num_taps(self) -> int:
        """Number of pixels that a coordinate reads."""
        return max(2 * self.radius, 1)


def _piecewise(u: Array, *pieces: tuple[float, ArrayLike]) -> Array:
    """A function by pieces: from each start on its value; 0 before the first."""
    value = jnp.zeros_like(u)
    for start, piece in pieces:
        value = jnp.where(u >= start, piece, value)
    return value


NEAREST = Kernel(
    name="nearest",
    profile=lambda u: (jnp.abs(u) < 0.5).astype(u.dtype),
    weights=lambda t: [jnp.ones_like(t)],
    radius=0,
    origin=jnp.round,
)
"""Reads the nearest pixel, halves to even: ``V(x) = U[round(x)]``, derivative 0 everywhere."""

BILINEAR = Kernel(
    name="bilinear",
    profile=lambda u: _piecewise(u, (-1.0, 1 + u), (0.0, 1 - u), (1.0, 0)),
    weights=lambda t: [1 - t, t],
    radius=1,
)
"""The hat ``k(u) = max(0, 1 - |u|)`` (STN paper, eq. 5)."""


@functools.cache  # Kernels are static arguments of jit and compare by identity.
def bicubic(coefficient: float) -> Kernel:
    """Keys' cubic convolution with parameter ``a``.

    For ``|u| <= 1``: ``(a + 2)|u|^3 - (a + 3)|u|^2 + 1``; for ``1 < |u| < 2``:
    ``a|u|^3 - 5a|u|^2 + 8a|u| - 4a``; else 0.

    Args:
        coefficient: ``a``; -0.75 as PyTorch and ONNX, -0.5 is third-order accurate.

    References:
        R. G. Keys, "Cubic convolution interpolation for digital image processing", 1981, eq. 4.
    """
    a = coefficient

    def inner(r: Array) -> Array:
        return ((a + 2) * r - (a + 3)) * r * r + 1

    def outer(r: Array) -> Array:
        return a * (((r - 5) * r + 8) * r - 4)

    def profile(u: Array) -> Array:
        r = jnp.abs(u)
        return _piecewise(u, (-2.0, outer(r)), (-1.0, inner(r)), (1.0, outer(r)), (2.0, 0))

    return Kernel(
        name="bicubic",
        profile=profile,
        weights=lambda t: [outer(1 + t), inner(t), inner(1 - t), outer(2 - t)],
        radius=2,
        pads_each_tap=True,
        coefficient=coefficient,
    )


def _sinc(x: Array) -> Array:
    """``sin(pi x) / (pi x)``; by its series near 0, where derivatives of the quotient cancel.

    (That of `jnp.sinc` is NaN at 1e-20, where the square of x is too small for a float32.)
    """
    angle = jnp.pi * x
    square, is_near = angle * angle, jnp.abs(angle) < 0.25
    series: Array = jnp.ones_like(x)
    for k in (10, 8, 6, 4, 2):  # 1 - y^2 / (2 3) (1 - y^2 / (4 5) (...))
        series = 1 - square / (k * (k + 1)) * series
    safe = jnp.where(is_near, 1, angle)
    return jnp.where(is_near, series, jnp.sin(safe) / safe)


def _lanczos3_profile(u: Array) -> Array:
    # Rounded, sin(pi u) is not 0 at the integers: an exact 0 there, with the derivative kept.
    is_zero = (u == jnp.round(u)) & (u != 0)
    value = _sinc(u) * _sinc(u / 3)
    value -= jax.lax.stop_gradient(jnp.where(is_zero, value, 0))
    return jnp.where((u >= -3) & (u < 3), value, 0)


def _lanczos3_weights(t: Array) -> list[Array]:
    # sin(pi (t - k)) = (-1)^k sin(pi t): at t = 0 every weight but one is exactly 0.
    sine, is_low = jnp.sin(jnp.pi * t) / jnp.pi, t < 0.5
    near = jnp.where(is_low, sine / jnp.where(is_low, 1 - t, 1), _sinc(1 - t))
    sincs = [sine / (t + 2), -sine / (t + 1), _sinc(t), near, sine / (t - 2), -sine / (t - 3)]
    raw = [sinc * _sinc((t - k) / 3) for k, sinc in zip(range(-2, 4), sincs, strict=True)]
    total = functools.reduce(jnp.add, raw)
    return [weight / total for weight in raw]


LANCZOS3 = Kernel(
    name="lanczos3",
    profile=_lanczos3_profile,
    weights=_lanczos3_weights,
    radius=3,
    pads_each_tap=True,
)
"""The windowed sinc ``k(u) = sinc(u) sinc(u / 3)``, |u| < 3, its six weights scaled to sum 1.

The weights of ``jax.image``'s ``"lanczos3"``, which scales them likewise. C. E. Duchon, "Lanczos
filtering in one and two dimensions", 1979.
"""

MODES: dict[str, Callable[[float], Kernel]] = {
    "nearest": lambda _: NEAREST,
    "bilinear": lambda _: BILINEAR,
    "bicubic": bicubic,
    "lanczos3": lambda _: LANCZOS3,
}
"""Every interpolation mode, by its public name: the kernel of a cubic coefficient."""


@jax.custom_jvp
def weigh(weight: Array, value: Array) -> Array:
    """``weight * value``, and 0 where the weight is 0, whatever the value: NaN and infinity too.

    A pixel that has no weight is not read. So a pixel that is not finite stays where it is, on
    every platform, although some multiply it by zeros all over the image.
    """
    return jnp.where(weight != 0, weight * value, 0)


@weigh.defjvp
def _weigh_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """The product rule: a weight of 0 may have a derivative (the bilinear kernel's at integers)."""
    (weight, value), (d_weight, d_value) = primals, tangents
    is_read = weight != 0
    known = jnp.where(is_read | jnp.isfinite(value), value, 0)
    change = d_weight * known + jnp.where(is_read, weight * d_value, 0)
    return jnp.where(is_read, weight * value, 0), change
