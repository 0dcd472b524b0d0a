"""Values and both gradients against PyTorch, live: a random differential test."""

import jax
import numpy as np
import pytest

import stn_jax as stn

torch = pytest.importorskip("torch")

DRAWS = 5  # cases that share one compiled program
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}


def coordinates(rng, shape, sizes, align_corners, dtype):
    """Points in [-2, 2], some of them exactly on pixel centres, edges, or far outside."""
    points = rng.uniform(-2, 2, shape)
    whole = np.stack(
        [
            np.asarray(
                stn.pixel_to_normalized(
                    rng.integers(-2, size + 2, shape[:-1]).astype(np.float64),
                    size,
                    align_corners=align_corners,
                )
            )
            for size in sizes[::-1]
        ],
        axis=-1,
    )
    points = np.where(rng.random(shape) < 0.3, whole, points)
    return np.where(
        rng.random(shape) < 0.05, rng.choice([-1.0, 1.0, 0.0, 57.3], shape), points
    ).astype(dtype)


def torch_sample(image, grid, cotangent, **options):
    n = grid.shape[-1]
    first, last = (0, n + 1, *range(1, n + 1)), (0, *range(2, n + 2), 1)
    image = torch.tensor(image.transpose(first), requires_grad=True)
    grid = torch.tensor(grid, requires_grad=True)
    value = torch.nn.functional.grid_sample(image, grid, **options)
    value.backward(torch.tensor(cotangent.transpose(first)))
    return (
        value.detach().numpy().transpose(last),
        image.grad.numpy().transpose(last),
        grid.grad.numpy(),
    )


def knots(grid, sizes, align_corners, mode):
    """Points so near a knot that float32 may fall on either side of it."""
    near = np.zeros(grid.shape[:-1], bool)
    for axis, size in enumerate(sizes[::-1]):
        pixel = np.asarray(
            stn.normalized_to_pixel(
                grid[..., axis].astype(np.float64), size, align_corners=align_corners
            )
        )
        pixel = pixel - 0.5 if mode == "nearest" else pixel
        near |= np.abs(pixel - np.round(pixel)) < 1e-4
        near |= np.abs(2 * pixel - np.round(2 * pixel)) < 1e-4  # mirrors lie on half pixels
    return near


def compare(seed):
    """Compares a few random draws of one random set of options and shapes."""
    rng = np.random.default_rng(seed)
    dtype = (np.float32, np.float64)[seed % 2]
    n = (2, 2, 3)[seed % 3]
    options = {
        "mode": str(rng.choice(["nearest", "bilinear", "bicubic"][: 5 - n])),
        "padding_mode": str(rng.choice(["zeros", "border", "reflection"])),
        "align_corners": bool(rng.integers(2)),
    }
    sizes, out = rng.integers(1, 10, n).tolist(), rng.integers(1, 6, n).tolist()
    batch, channels = int(rng.integers(1, 4)), int(rng.integers(1, 5))

    @jax.jit
    def run(image, grid, cotangent):
        value, pullback = jax.vjp(lambda i, g: stn.grid_sample(i, g, **options), image, grid)
        return value, *pullback(cotangent)

    for draw in range(DRAWS):
        image = rng.standard_normal((batch, *sizes, channels)).astype(dtype)
        grid = coordinates(rng, (batch, *out, n), sizes, options["align_corners"], dtype)
        cotangent = rng.standard_normal((batch, *out, channels)).astype(dtype)
        if dtype == np.float32:  # on a knot, rounding decides the derivative (nearest: the value)
            knot = knots(grid, sizes, options["align_corners"], options["mode"])
            grid = np.where(knot[..., None], grid + dtype(1e-2), grid)
            knot = knots(grid, sizes, options["align_corners"], options["mode"])
            cotangent = np.where(knot[..., None], 0, cotangent).astype(dtype)
            keep = ~knot[..., None] if options["mode"] == "nearest" else True
        else:
            keep = True
        ours = run(image, grid, cotangent)
        theirs = torch_sample(image, grid, cotangent, **options)
        for name, a, b in zip(("value", "d image", "d grid"), ours, theirs, strict=True):
            mask = keep if name == "value" else True
            scale = max(1.0, float(np.abs(b).max(initial=0)))
            error = float(np.abs(np.where(mask, np.asarray(a) - b, 0)).max(initial=0)) / scale
            assert error < TOLERANCE[dtype], (
                f"{name} off by {error:.1e}, seed {seed}, draw {draw}: {options}, {image.shape}"
            )


@pytest.mark.parametrize("block", range(4))
def test_grid_sample(block):
    """200 cases."""
    for seed in range(10 * block, 10 * (block + 1)):
        compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(40))
def test_grid_sample_long(block):
    """2,000 cases more."""
    for seed in range(1000 + 10 * block, 1000 + 10 * (block + 1)):
        compare(seed)
