"""Writes the expected values that `make test` holds without PyTorch: torch_values.npz.

Run where PyTorch is (``make test-peers`` installs it):
``python tests/oracles/make_torch_values.py``.
Every case has an image, a grid (inside, on pixel centres and edges, far outside), a cotangent, and
PyTorch's value and two gradients, all float64 and channels-last.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent


def channels_first(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.moveaxis(x, -1, 1))


def channels_last(x: torch.Tensor) -> np.ndarray:
    return np.moveaxis(x.detach().numpy(), 1, -1)


def grid_sample_case(
    rng: np.random.Generator, n: int, mode: str, padding_mode: str, align_corners: bool
) -> dict[str, np.ndarray]:
    sizes, out = ((5, 4), (3, 7)) if n == 2 else ((3, 4, 2), (2, 3, 4))
    image = rng.standard_normal((2, *sizes, 2))
    grid = rng.uniform(-2, 2, (2, *out, n))
    special = [-1.0, 1.0, 0.0, -0.5, 0.25, 1 / 3, 5.5, -31.25]
    grid = np.where(rng.random(grid.shape) < 0.3, rng.choice(special, grid.shape), grid)
    cotangent = rng.standard_normal((2, *out, 2))
    u = channels_first(image).requires_grad_()
    g = torch.tensor(grid, requires_grad=True)
    v = torch.nn.functional.grid_sample(
        u, g, mode=mode, padding_mode=padding_mode, align_corners=align_corners
    )
    v.backward(channels_first(cotangent))
    return {
        "image": image,
        "grid": grid,
        "cotangent": cotangent,
        "value": channels_last(v),
        "d_image": channels_last(u.grad),
        "d_grid": g.grad.numpy(),
    }


def affine_grid_case(
    rng: np.random.Generator, n: int, align_corners: bool
) -> dict[str, np.ndarray]:
    shape = (4, 5) if n == 2 else (2, 3, 4)
    theta = rng.standard_normal((3, n, n + 1))
    cotangent = rng.standard_normal((3, *shape, n))
    t = torch.tensor(theta, requires_grad=True)
    grid = torch.nn.functional.affine_grid(t, [3, 1, *shape], align_corners=align_corners)
    grid.backward(torch.tensor(cotangent))
    return {
        "theta": theta,
        "cotangent": cotangent,
        "grid": grid.detach().numpy(),
        "d_theta": t.grad.numpy(),
    }


def main() -> None:
    rng = np.random.default_rng(2015)
    values: dict[str, Any] = {}
    for n, mode, padding_mode, align_corners in itertools.product(
        (2, 3), ("nearest", "bilinear", "bicubic"), ("zeros", "border", "reflection"), (False, True)
    ):
        if (n, mode) == (3, "bicubic"):
            continue  # PyTorch has none
        case = grid_sample_case(rng, n, mode, padding_mode, align_corners)
        name = f"grid_sample/{n}/{mode}/{padding_mode}/{align_corners}"
        values |= {f"{name}/{key}": value for key, value in case.items()}
    for n, align_corners in itertools.product((2, 3), (False, True)):
        case = affine_grid_case(rng, n, align_corners)
        values |= {f"affine_grid/{n}/{align_corners}/{key}": v for key, v in case.items()}
    np.savez_compressed(HERE / "torch_values.npz", **values)


if __name__ == "__main__":
    main()
