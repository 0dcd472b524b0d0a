"""One contract over every kernel, padding and algorithm: all are the double sum of eq. 3.

Each member is asked for its four maps, at points on integers and mirrors, far outside and NaN,
with cotangents that are NaN. The maps run operation by operation, which costs far less than to
compile some hundred programs; compiled programs are compared with PyTorch's values and, in
tests/peers, with PyTorch itself.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sampling.cases import SHAPES, draw, interpolation, platform_maps

from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES

# An algorithm, and the platform whose form of it is meant; None is that of platforms without one.
MEMBERS = [("gather", None), ("gather", "cpu"), ("matmul", None), ("windowed", None)]
ROWS = list(itertools.product((2, 3), MODES, PADDING_MODES, (False, True)))


def is_quick(n, mode, padding_mode, align_corners):
    """Rows that differ in what an algorithm does; ``make test-all`` takes the whole product.

    ``align_corners`` only moves mirrors, ``"fill"`` is ``"zeros"`` before the fill is added, and
    the algorithms multiply one axis after the other: volumes show the third.
    """
    if padding_mode == "fill" or (align_corners and padding_mode != "reflection"):
        return False
    if n == 3:
        return (mode, padding_mode) in {("nearest", "wrap"), ("bilinear", "zeros")}
    return mode != "lanczos3" or padding_mode in ("zeros", "wrap")


@functools.cache
def example(n):
    """Images, points, cotangents (some of them NaN) and a direction in which points move."""
    image, points, values = draw(n)
    rng = np.random.default_rng(1)
    is_nan = rng.random(values.shape[:-1]) < 0.1
    assert is_nan.any()
    assert not is_nan.all()
    values = jnp.where(is_nan[..., None], jnp.nan, values)
    direction = jnp.asarray(rng.standard_normal(points.shape))
    return image, points, values, direction, is_nan


def four_maps(algorithm, platform, n, mode, padding_mode, align_corners):
    image, points, values, direction, is_nan = example(n)
    row = interpolation(mode, padding_mode, align_corners)
    with jax.disable_jit():
        maps = platform_maps(algorithm, platform, row, SHAPES[n])
        change = maps["vjp_points"](image, values, points)
        return {
            "read": maps["read"](image, points),
            "jvp_points": maps["jvp_points"](image, direction, points),
            "splat": maps["splat"](values, points),
            "vjp_points": jnp.where(is_nan[..., None], 0, change),  # of NaN something, anything
        }


@functools.cache
def expected(*row):
    return four_maps("reference", None, *row)


@pytest.mark.parametrize(
    ("n", "mode", "padding_mode", "align_corners"),
    [pytest.param(*r, marks=[] if is_quick(*r) else pytest.mark.slow) for r in ROWS],
)
@pytest.mark.parametrize(("algorithm", "platform"), MEMBERS)
def test_equals_the_double_sum_with_both_gradients(
    algorithm, platform, n, mode, padding_mode, align_corners
):
    row = n, mode, padding_mode, align_corners
    found = four_maps(algorithm, platform, *row)
    for name, want in expected(*row).items():
        np.testing.assert_allclose(found[name], want, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize(("algorithm", "platform"), [("reference", None), *MEMBERS])
def test_a_nan_cotangent_reaches_the_pixels_that_its_point_reads(algorithm, platform):
    """Said by pencil, for all the rest is compared with the reference."""
    points = jnp.array([[[1.25, 2.0], [jnp.nan, 1.0], [3.0, 0.5]]])  # (x, y): the last is finite
    values = jnp.array([[[jnp.nan], [jnp.nan], [2.0]]])
    with jax.disable_jit():
        maps = platform_maps(algorithm, platform, interpolation("bilinear", "border"), (4, 5))
        pixels = maps["splat"](values, points)[0, ..., 0]
        change = maps["vjp_points"](jnp.ones((1, 4, 5, 1)), values, points)
    expected = np.zeros((4, 5))
    expected[2, 1:3] = np.nan  # row 2 alone: at an integer the next row has no weight
    expected[:2, 3] = 1.0
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(change[0, 1:], 0)
