"""Interpolation kernels as one-dimensional tables of taps.

A kernel says, for a coordinate x on one axis, which integer positions it reads and with which
weights: ``V(x) = sum_i w_i(x) U[floor-based index i]``. Products of these tables over the axes
give every dimension. The weights are piecewise polynomials of ``t = x - floor(x)``, written as
coefficients. Because ``floor`` decides the piece and has no derivative, a derivative at an integer
coordinate is the right-sided one.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array


@dataclass(frozen=True, eq=False)
class Kernel:
    """A separable interpolation kernel.

    Attributes:
        profile: the kernel as a function ``(x, i) -> weight of pixel i at coordinate x``, for
            implementations that sum over all pixels. Its pieces are closed on the left, as
            ``floor`` has them, so that its derivative is right-sided too.
        origin: maps coordinates to the integer-valued position that taps are counted from.
        offsets: tap positions relative to the origin.
        polynomials: for each tap the coefficients of its weight in ``t``, lowest order first.
        pads_taps: whether the boundary acts on every tap (bicubic) or once on the coordinate
            (nearest, bilinear). PyTorch makes the same distinction; it shows in the derivative.
    """

    profile: Callable[[Array, Array], Array]
    origin: Callable[[Array], Array]
    offsets: tuple[int, ...]
    polynomials: tuple[tuple[float, ...], ...]
    pads_taps: bool = False

    def taps(self, x: Array) -> list[tuple[Array, Array]]:
        """Lists ``(index, weight)`` at coordinates ``x``.

        Args:
            x: finite pixel coordinates, any shape, small enough for int32.

        Returns:
            One ``(int32 index, weight)`` pair for each tap, arrays of the shape of ``x``.
        """
        origin = self.origin(x)
        index = origin.astype(jnp.int32)
        t = x - origin
        return [
            (index + offset, _polynomial(coefficients, t))
            for offset, coefficients in zip(self.offsets, self.polynomials, strict=True)
        ]


def _pieces(u: Array, *pieces: tuple[float, ArrayLike]) -> Array:
    """A function by pieces: from each start on its value; 0 before the first."""
    value = jnp.zeros_like(u)
    for start, piece in pieces:
        value = jnp.where(u >= start, piece, value)
    return value


def _polynomial(coefficients: tuple[float, ...], t: Array) -> Array:
    value = jnp.zeros_like(t)
    for c in reversed(coefficients):
        value = value * t + c
    return value


@functools.cache
def nearest() -> Kernel:
    """Reads the nearest pixel, halves to even: ``V(x) = U[round(x)]``, derivative 0 everywhere."""
    return Kernel(
        profile=lambda x, i: (jnp.round(x) == i).astype(x.dtype),
        origin=jnp.round,
        offsets=(0,),
        polynomials=((1.0,),),
    )


@functools.cache
def bilinear() -> Kernel:
    """The hat ``k(u) = max(0, 1 - |u|)`` (STN paper, eq. 5): weights ``1 - t`` and ``t``."""
    return Kernel(
        profile=lambda x, i: _pieces(x - i, (-1.0, 1 + (x - i)), (0.0, 1 - (x - i)), (1.0, 0)),
        origin=jnp.floor,
        offsets=(0, 1),
        polynomials=((1.0, -1.0), (0.0, 1.0)),
    )


@functools.cache
def bicubic(coefficient: float) -> Kernel:
    """Keys' cubic convolution with parameter ``a``.

    For ``|u| <= 1``: ``(a + 2)|u|^3 - (a + 3)|u|^2 + 1``; for ``1 < |u| < 2``:
    ``a|u|^3 - 5a|u|^2 + 8a|u| - 4a``; else 0. Expanded at the four taps u = 1 + t, t, 1 - t, 2 - t.

    Args:
        coefficient: ``a``; -0.75 as PyTorch and ONNX, -0.5 is third-order accurate.

    References:
        R. G. Keys, "Cubic convolution interpolation for digital image processing", 1981, eq. 4.
    """
    a = coefficient

    def profile(x: Array, i: Array) -> Array:
        u, r = x - i, jnp.abs(x - i)
        inner = ((a + 2) * r - (a + 3)) * r * r + 1
        outer = a * (((r - 5) * r + 8) * r - 4)
        return _pieces(u, (-2.0, outer), (-1.0, inner), (1.0, outer), (2.0, 0))

    return Kernel(
        profile=profile,
        origin=jnp.floor,
        offsets=(-1, 0, 1, 2),
        polynomials=(
            (0.0, a, -2 * a, a),
            (1.0, 0.0, -(a + 3), a + 2),
            (0.0, -a, 2 * a + 3, -(a + 2)),
            (0.0, 0.0, a, -a),
        ),
        pads_taps=True,
    )


def named(mode: str, cubic_coefficient: float) -> Kernel:
    """Returns the kernel of a ``mode`` (see `MODES`)."""
    return bicubic(cubic_coefficient) if mode == "bicubic" else MODES[mode]()


MODES: dict[str, Callable[..., Kernel]] = {
    "nearest": nearest,
    "bilinear": bilinear,
    "bicubic": bicubic,
}
"""Every interpolation mode, by its public name."""
