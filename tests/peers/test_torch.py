"""Values and both gradients against PyTorch, live: a random differential test."""

import itertools
from typing import Any

import jax
import numpy as np
import pytest
from agree import sample_with_gradients, torch_sample, undecided

import stn_jax as stn

torch = pytest.importorskip("torch")

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}
MODES = [(mode, 2) for mode in ("nearest", "bilinear", "bicubic")] + [
    (mode, 3) for mode in ("nearest", "bilinear")
]
KINDS = list(itertools.product(MODES, ("zeros", "border", "reflection")))
VARIANTS = list(itertools.product((False, True), (np.float32, np.float64)))
EVERYTHING = len(KINDS) * len(VARIANTS)


def configuration(seed: int) -> tuple[Any, ...]:
    """Seeds 0 ... 14 have every mode, rank and padding; 0 ... 59 every combination of options."""
    turn, kind = divmod(seed, len(KINDS))
    (mode, n), padding_mode = KINDS[kind]
    align_corners, dtype = VARIANTS[(turn + kind) % len(VARIANTS)]
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    return options, n, dtype


def coordinates(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    sizes: tuple[int, ...],
    align_corners: bool,
    dtype: Any,
) -> np.ndarray:
    """Points in [-2, 2], some of them on pixel centres, on edges, in the middle, or far outside."""
    far = 1e4 if dtype == np.float64 else 99.1  # float32 is coarse where it still reflects
    points = rng.uniform(-2, 2, shape)
    size = np.array(sizes[::-1])
    pixel = rng.integers(-2, size + 2, shape)
    centres = (
        2 * pixel / np.maximum(size - 1, 1) - 1 if align_corners else (2 * pixel + 1) / size - 1
    )
    points = np.where(rng.random(shape) < 0.3, centres, points)
    special = rng.choice([-1.0, 1.0, 0.0, 57.3, -far], shape)
    return np.where(rng.random(shape) < 0.05, special, points).astype(dtype)


def compare(seed: int, draws: int) -> None:
    """Compares random draws that share one set of options and shapes, so one compiled program."""
    options, n, dtype = configuration(seed)
    rng = np.random.default_rng(seed)
    sizes, out = rng.integers(1, 10, n).tolist(), rng.integers(1, 6, n).tolist()
    batch, channels = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    run = sample_with_gradients(**options)

    for draw in range(draws):
        image = rng.standard_normal((batch, *sizes, channels)).astype(dtype)
        grid = coordinates(rng, (batch, *out, n), sizes, options["align_corners"], dtype)
        cotangent = rng.standard_normal((batch, *out, channels)).astype(dtype)
        sides = (sizes, options["align_corners"], options["mode"])
        grid = np.where(undecided(grid, *sides)[..., None], grid + dtype(1e-2), grid)
        keep = ~undecided(grid, *sides)[..., None]
        cotangent = np.where(keep, cotangent, 0).astype(dtype)
        ours = run(image, grid, cotangent)
        theirs = torch_sample(image, grid, cotangent, **options)
        for name, a, b in zip(("value", "d image", "d grid"), ours, theirs, strict=True):
            mask = keep if name == "value" and options["mode"] == "nearest" else True
            scale = max(1.0, float(np.abs(b).max(initial=0)))
            error = float(np.abs(np.where(mask, np.asarray(a) - b, 0)).max(initial=0)) / scale
            assert error < TOLERANCE[dtype], (
                f"{name} off by {error:.1e}, seed {seed}, draw {draw}: {options}, {image.shape}"
            )


def test_the_seeds_have_every_combination_of_options() -> None:
    combinations = {str(configuration(seed)) for seed in range(1000, 1000 + EVERYTHING)}
    assert len(combinations) == EVERYTHING == 60


@pytest.mark.parametrize("block", range(5))
def test_grid_sample(block: int) -> None:
    """200 cases."""
    for seed in range(4 * block, 4 * (block + 1)):
        compare(seed, draws=10)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(42))
def test_grid_sample_long(block: int) -> None:
    """2,100 cases more: each combination of options with seven shapes."""
    for seed in range(1000 + 10 * block, 1000 + 10 * (block + 1)):
        compare(seed, draws=5)


@pytest.mark.filterwarnings("ignore:.*unit-size grids")
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("n", [2, 3])
def test_affine_grid(n: int, align_corners: bool) -> None:
    rng = np.random.default_rng(n)
    shapes = [rng.integers(1, 10, n).tolist() for _ in range(4)] + [[1] * n]
    for i, shape in enumerate(shapes):
        dtype = (np.float32, np.float64)[i % 2]
        theta = (2 * rng.standard_normal((16, n, n + 1))).astype(dtype)
        cotangent = rng.standard_normal((16, *shape, n)).astype(dtype)

        @jax.jit
        def run(
            theta: jax.Array, cotangent: jax.Array, shape: tuple[int, ...] = tuple(shape)
        ) -> tuple[Any, ...]:
            grid, pullback = jax.vjp(
                lambda t: stn.affine_grid(t, shape, align_corners=align_corners), theta
            )
            return grid, *pullback(cotangent)

        leaf = torch.tensor(theta, requires_grad=True)
        grid = torch.nn.functional.affine_grid(leaf, (16, 1, *shape), align_corners=align_corners)
        grid.backward(torch.tensor(cotangent))
        for ours, theirs in zip(run(theta, cotangent), (grid.detach(), leaf.grad), strict=True):
            scale = max(1.0, float(theirs.abs().max()))
            np.testing.assert_allclose(
                ours, theirs.numpy(), rtol=0, atol=scale * TOLERANCE[dtype], err_msg=str(shape)
            )
