"""What the comparisons with PyTorch share: both sides' values and gradients, layouts, knots."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import stn_jax as stn

torch = pytest.importorskip("torch")


def sample_with_gradients(**options: Any) -> Callable[..., Any]:
    """One compiled program: image, grid, cotangent -> value, d image, d grid."""

    @jax.jit
    def run(image: jax.Array, grid: jax.Array, cotangent: jax.Array) -> tuple[Any, ...]:
        value, pullback = jax.vjp(lambda i, g: stn.grid_sample(i, g, **options), image, grid)
        return value, *pullback(cotangent)

    return run


def channels_first(array: Any) -> np.ndarray:
    return np.moveaxis(np.asarray(array), -1, 1)


def channels_last(array: Any) -> np.ndarray:
    return np.moveaxis(np.asarray(array), 1, -1)


def torch_sample(image: Any, grid: Any, cotangent: Any, **options: Any) -> tuple[Any, ...]:
    """The same of PyTorch, for channels-last arrays."""
    image = torch.tensor(channels_first(image), requires_grad=True)
    grid = torch.tensor(np.asarray(grid), requires_grad=True)
    value = torch.nn.functional.grid_sample(image, grid, **options)
    value.backward(torch.tensor(channels_first(cotangent)))
    return channels_last(value.detach()), channels_last(image.grad), grid.grad.numpy()


def undecided(
    grid: np.ndarray, sizes: tuple[int, ...], align_corners: bool, mode: str
) -> np.ndarray:
    """Points where rounding, and not a rule, decides on which side of a knot they fall.

    Those are all near a knot, but for coordinates with so few binary digits that every way to
    compute their pixel is exact.
    """
    grid = np.asarray(grid)
    reach = 1e-4 if grid.dtype == np.float32 else 1e-9
    found = np.zeros(grid.shape[:-1], bool)
    for axis, size in enumerate(sizes[::-1]):
        c = grid[..., axis].astype(np.float64)
        pixel = (c + 1) / 2 * (size - 1) if align_corners else ((c + 1) * size - 1) / 2
        pixel = pixel - 0.5 if mode == "nearest" else pixel
        near = np.abs(2 * pixel - np.round(2 * pixel)) < reach  # mirrors lie on half pixels
        found |= near & (c * 256 != np.round(c * 256))
    return found
