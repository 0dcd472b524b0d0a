"""`Interpolation`: from points to taps, and where the fill value shows."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from sampling.cases import axes, interpolation
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES

RAMP = np.arange(16.0).reshape(4, 4, 1)


@pytest.mark.parametrize("align_corners", [False, True])
def test_normalised_points_become_pixels_in_image_order(align_corners: bool) -> None:
    row = interpolation("bilinear", "zeros", align_corners, normalized=True)
    grid = stn.identity_grid((3, 4), align_corners=align_corners, dtype=jnp.float64)
    (y, x), nan_mask = row.coordinates(axes(grid), (3, 4))
    np.testing.assert_allclose([y, x], np.indices((3, 4)), atol=1e-12)
    assert not nan_mask.any()


def test_a_point_with_one_nan_coordinate_is_masked_and_finite() -> None:
    points = jnp.array([[1.0, np.nan], [np.nan, 2.0], [np.inf, 1.0]])
    (y, x), nan_mask = interpolation("bilinear", "border").coordinates(axes(points), (4, 5))
    np.testing.assert_array_equal(nan_mask, [True, True, False])
    np.testing.assert_array_equal(x, [0, 0, 4])
    np.testing.assert_array_equal(y, [0, 0, 1])


@pytest.mark.parametrize(("mode", "padding_mode"), list(itertools.product(MODES, PADDING_MODES)))
def test_every_tap_lies_in_the_image(mode: str, padding_mode: str) -> None:
    row = interpolation(mode, padding_mode)
    for size in (1, 4):
        x = jnp.array([[-1e30, -4.0, -0.5, 0.0, 0.3, size - 0.5, size + 3.9, np.inf]])
        (x, _), _ = row.coordinates([x, x], (size, size))
        taps = row.taps(x, size)
        assert len(taps) == row.kernel.num_taps
        assert all(np.all((i >= 0) & (i < size)) for i, _ in taps)
        total: Any = sum(w for _, w in taps)
        if row.padding.zero_outside:
            np.testing.assert_array_equal(total[0, [0, 1, -2, -1]], 0)  # no weight outside
        else:
            np.testing.assert_allclose(total, 1, atol=1e-12)


def test_equal_interpolations_are_one_to_jit() -> None:
    one, other = interpolation("bicubic", "wrap"), interpolation("bicubic", "wrap")
    assert one == other
    assert hash(one) == hash(other)
    assert one != interpolation("bicubic", "wrap", align_corners=True)


# What lies outside is mixed in where it is touched, and nowhere else.


@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf, 1e9])
def test_a_blended_fill_reaches_points_that_touch_the_outside(fill: float) -> None:
    points = np.array([(1.5, 1.5), (0.25, 2.75), (-0.5, 1.0), (3.25, 2.0), (9.5, 9.25)])
    value = stn.sample_pixels(RAMP, points[None], padding_mode="fill", fill_value=fill)
    inside = [RAMP[1:3, 1:3].mean(), 11.25, 4.0, 11.0]
    with np.errstate(invalid="ignore"):
        expected = [*inside[:2], 0.5 * inside[2] + 0.5 * fill, 0.75 * inside[3] + 0.25 * fill, fill]
    np.testing.assert_allclose(value[0, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("fill", [np.nan, -np.inf, 7.0])
@pytest.mark.parametrize("mode", MODES)
def test_a_crisp_fill_shows_whole_where_the_point_is_outside(fill: float, mode: str) -> None:
    """As ``scipy.ndimage.map_coordinates(mode="constant")``; tests/peers compares with it."""
    x = np.array([-0.01, 0.0, 0.25, 1.0, 3.0, 3.01, 40.0, -np.inf])
    points = np.stack([x, np.full_like(x, 2.0)], axis=-1)[None]
    value = stn.sample_pixels(RAMP, points, mode=mode, padding_mode="constant", fill_value=fill)
    near = stn.sample_pixels(RAMP, points, mode=mode, padding_mode="zeros")
    outside = (x < 0) | (x > 3)
    np.testing.assert_array_equal(value[0, outside, 0], fill)
    np.testing.assert_array_equal(value[0, [1, 3, 4], 0], [8, 9, 11])
    if mode in ("nearest", "bilinear"):
        np.testing.assert_allclose(value[0, 2], near[0, 2], atol=1e-12)
    assert np.isfinite(value[0, ~outside]).all()


@pytest.mark.parametrize("padding_mode", ["fill", "constant"])
@pytest.mark.parametrize(("dtype", "fill"), [("float32", np.nan), ("bfloat16", 255.0)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_the_identity_keeps_every_pixel_whatever_the_fill(
    padding_mode: str, dtype: str, fill: float, align_corners: bool
) -> None:
    """Also where rounding carries the border's coordinates beyond it: 7 and 13 divide badly."""
    image = jnp.arange(91.0).reshape(7, 13, 1).astype(dtype)
    options: dict[str, Any] = {
        "padding_mode": padding_mode,
        "fill_value": fill,
        "align_corners": align_corners,
    }
    value = stn.grid_sample(
        image, stn.identity_grid((7, 13), align_corners=align_corners), **options
    )
    assert value.dtype == image.dtype
    np.testing.assert_allclose(
        np.asarray(value, np.float64), np.asarray(image, np.float64), rtol=1e-5, atol=1e-4
    )


def test_points_moved_onto_the_border_keep_their_derivative() -> None:
    row = interpolation("bilinear", "fill", normalized=True)
    grid = stn.identity_grid((7, 13), dtype=jnp.float32)
    grid = jnp.stack([grid[..., 0] - 1e-8, grid[..., 1]], axis=-1)

    def pixels(grid: jax.Array) -> list[jax.Array]:
        return row.coordinates(axes(grid), (7, 13))[0]

    (y, x), (dy, dx) = jax.jvp(pixels, (grid,), (jnp.ones_like(grid),))
    assert x.min() == y.min() == 0
    assert (x.max(), y.max()) == (12, 6)
    np.testing.assert_allclose(dx, 13 / 2)
    np.testing.assert_allclose(dy, 7 / 2)


def test_the_fill_has_a_derivative_and_one_value_for_each_channel() -> None:
    image, points = jnp.ones((4, 4, 2)), jnp.array([[[-0.25, 1.0], [1.0, 1.0], [9.0, 9.0]]])

    def sample(fill: jax.Array) -> jax.Array:
        return stn.sample_pixels(image, points, padding_mode="fill", fill_value=fill)

    value, change = jax.jvp(sample, (jnp.array([3.0, 5.0]),), (jnp.array([1.0, 0.0]),))
    np.testing.assert_allclose(value[0], [[1.5, 2.0], [1.0, 1.0], [3.0, 5.0]], atol=1e-12)
    np.testing.assert_allclose(change[0], [[0.25, 0.0], [0.0, 0.0], [1.0, 0.0]], atol=1e-12)


def test_a_fill_at_a_nan_point_is_nan() -> None:
    points = jnp.array([[[np.nan, 1.0]]])
    for padding_mode in ("fill", "constant"):
        value = stn.sample_pixels(jnp.ones((4, 4, 1)), points, padding_mode=padding_mode)
        assert np.isnan(value).all()
