"""One contract over every kernel, padding and algorithm: all are the double sum of eq. 3.

Each member is asked for samples and both gradients, at points on integers and mirrors, far outside
and NaN, with cotangents that are NaN. Most run operation by operation, which costs far less than to
compile some hundred programs; compiled ones are compared with PyTorch's values (test_torch_values).
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sampling.cases import SHAPES, draw, interpolation, platform_maps
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES
from stn_jax.sampling.platforms import ALGORITHMS, native

# An algorithm, and the platform whose form of it is meant; None is that of platforms without one.
MEMBERS = [("gather", None), ("gather", "cpu"), ("matmul", "tpu"), ("windowed", None)]
MAPS_OF_THEIR_OWN = {("gather", "cpu"), ("matmul", "tpu")}  # not those that JAX derives
if native.IS_INSTALLED:
    MEMBERS.append(("native", "cpu"))
    MAPS_OF_THEIR_OWN.add(("native", "cpu"))
ROWS = list(itertools.product((2, 3), MODES, PADDING_MODES, (False, True)))


def is_quick(n: int, mode: str, padding_mode: str, align_corners: bool) -> bool:
    """Rows that differ in what an algorithm does; ``make test-all`` takes the whole product.

    Bilinear sampling shows each padding, two paddings (one pads taps, one repeats) each kernel, one
    row the third axis. ``align_corners`` only moves mirrors; ``"fill"`` is ``"zeros"`` until the
    fill is added.
    """
    if padding_mode == "fill" or (align_corners and padding_mode != "reflection"):
        return False
    if n == 3:
        return (mode, padding_mode, align_corners) == ("bilinear", "reflection", False)
    if mode == "bilinear":
        return True
    return padding_mode in (("border",) if mode == "lanczos3" else ("zeros", "wrap"))


@functools.cache
def example(n: int) -> tuple[Any, ...]:
    """Images, points, cotangents (some of them NaN), and where these are NaN."""
    image, points, values = draw(n)
    is_nan = np.random.default_rng(1).random(values.shape[:-1]) < 0.1
    assert is_nan.any()
    assert not is_nan.all()
    values = jnp.where(is_nan[..., None], jnp.nan, values)
    return image, points, values, is_nan


def sample_and_gradients(
    algorithm: str, platform: str | None, n: int, mode: str, padding_mode: str, align_corners: bool
) -> tuple[Any, ...]:
    """Samples, and what cotangents make of both gradients; at NaN cotangents 0, not compared."""
    image, points, values, is_nan = example(n)
    row = interpolation(mode, padding_mode, align_corners)

    def run(image: jax.Array, points: jax.Array, values: jax.Array) -> tuple[Any, ...]:
        if (algorithm, platform) in MAPS_OF_THEIR_OWN:
            maps = platform_maps(algorithm, platform, row, SHAPES[n])
            read, splat = maps["read"](image, points), maps["splat"](values, points)
            return read, splat, maps["vjp_points"](image, values, points)
        sample = ALGORITHMS[algorithm]
        read, pull = jax.vjp(jax.vmap(lambda u, x: sample(u, x, row)), image, points)
        return read, *pull(values)

    # Whole programs where single operations, each of its own shape, would take longer to compile.
    whole = n == 3 or algorithm == "windowed"
    with jax.disable_jit(not whole):
        read, splat, change = (jax.jit(run) if whole else run)(image, points, values)
    return read, splat, np.where(is_nan[..., None], 0, change)


@functools.cache
def expected(*row: Any) -> tuple[Any, ...]:
    return sample_and_gradients("reference", None, *row)


@pytest.mark.parametrize(
    ("n", "mode", "padding_mode", "align_corners"),
    [pytest.param(*r, marks=[] if is_quick(*r) else pytest.mark.slow) for r in ROWS],
)
@pytest.mark.parametrize(("algorithm", "platform"), MEMBERS)
def test_equals_the_double_sum_with_both_gradients(
    algorithm: str, platform: str | None, n: int, mode: str, padding_mode: str, align_corners: bool
) -> None:
    row = n, mode, padding_mode, align_corners
    found = sample_and_gradients(algorithm, platform, *row)
    names = "samples", "image's gradient", "points' gradient"
    for name, ours, want in zip(names, found, expected(*row), strict=True):
        np.testing.assert_allclose(ours, want, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize(("algorithm", "platform"), [("reference", None), *MEMBERS])
def test_a_nan_cotangent_reaches_the_pixels_that_its_point_reads(
    algorithm: str, platform: str | None
) -> None:
    """Said by pencil, for all the rest is compared with the reference."""
    points = np.full((2, 4, 7, 2), (3.0, 0.5))  # (x, y)
    values = np.zeros((2, 4, 7, 2))
    points[0, 0, :2] = (1.25, 2.0), (np.nan, 1.0)
    values[0, 0, :3] = [[np.nan], [np.nan], [2.0]]
    x, cotangents = jnp.asarray(points), jnp.asarray(values)
    with jax.disable_jit():
        row = interpolation("bilinear", "border")
        maps = platform_maps(algorithm, platform, row, SHAPES[2])
        pixels = maps["splat"](cotangents, x)
        change = maps["vjp_points"](jnp.ones((2, 4, 5, 2)), cotangents, x)
    expected = np.zeros((2, 4, 5, 2))
    expected[0, 2, 1:3] = np.nan  # row 2 alone: at an integer the next row has no weight
    expected[0, :2, 3] = 1.0
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(np.delete(change.reshape(-1, 2), [0, 1], axis=0), 0)
