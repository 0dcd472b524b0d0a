"""Pixels that are not finite show where they have a weight, for every algorithm."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from sampling.cases import interpolation, platform_maps
from stn_jax.sampling import nonfinite

MEMBERS = [("gather", None), ("gather", "cpu"), ("matmul", "tpu"), ("windowed", None),
           ("reference", None)]  # fmt: skip


def product(array: jax.Array) -> jax.Array:
    return MATRIX.astype(array.dtype) @ array


MATRIX = jnp.array([[0.5, 0.5, 0.0], [0.0, 2.0**-48, 1.0], [0.0, 0.0, 0.25], [1.0, -1.0, 0.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_a_product_shows_what_is_not_finite_where_it_has_a_weight(
    dtype: type[np.generic], scale: float
) -> None:
    run = jax.jit(nonfinite.finite_product(product))
    array = np.array([4.0, 2.0, 1.0], dtype) * dtype(scale)
    expected = np.array([3.0, 1 + 2.0**-47, 0.25, 2.0]) * scale
    np.testing.assert_allclose(run(array), expected, rtol=1e-6)
    for bad, at in itertools.product((np.nan, np.inf, -np.inf), range(3)):
        spoiled = array.copy()
        spoiled[at] = bad
        with np.errstate(invalid="ignore"):
            terms = np.where(np.asarray(MATRIX) != 0, np.asarray(MATRIX) * spoiled, 0)
        np.testing.assert_allclose(run(spoiled), terms.sum(1), rtol=1e-6, err_msg=f"{bad} {at}")


def test_a_sum_of_a_million_pixels_with_large_weights_is_finite() -> None:
    run = nonfinite.finite_product(lambda array: 2.0**10 * jnp.sum(array, keepdims=True))
    array = jnp.full(2**20, 3.0, jnp.float32)
    np.testing.assert_allclose(run(array), 3 * 2.0**30, rtol=1e-6)
    assert not np.isfinite(run(array.at[7].set(jnp.inf)))


def test_a_product_of_zeros_and_of_nothing_finite() -> None:
    run = nonfinite.finite_product(product)
    np.testing.assert_array_equal(run(jnp.zeros(3)), 0)
    np.testing.assert_array_equal(run(jnp.full(3, jnp.nan)), np.nan)


def test_infinities_of_both_signs_are_nan_together() -> None:
    image, point = jnp.array([[[jnp.inf], [-jnp.inf]]]), jnp.array([[[0.5, 0.0]]])
    for backend in ("gather", "windowed", "reference"):
        assert np.isnan(stn.sample_pixels(image, point, backend=backend)), backend
    assert not np.isfinite(stn.sample_pixels(image, point, backend="matmul"))


def test_the_derivative_of_a_product_is_the_product() -> None:
    run, x = nonfinite.finite_product(product), jnp.array([4.0, 2.0, 1.0])
    np.testing.assert_allclose(jax.jacfwd(run)(x), MATRIX, rtol=1e-12)
    np.testing.assert_allclose(jax.jacrev(run)(x), MATRIX, rtol=1e-12)


def test_scaling_is_exact_and_undone() -> None:
    values = jnp.array([[3.0, -5e-30], [7e30, 1e-3], [0.0, 0.0], [jnp.nan, 2.0]], jnp.float32)
    scaled, exponent, is_bad = nonfinite.normalize(values)
    largest = np.abs(scaled).max(-1)
    assert np.all((largest[[0, 1]] >= 0.5) & (largest[[0, 1]] < 1))
    np.testing.assert_array_equal(is_bad[:, 0], [False, False, False, True])
    back = nonfinite.scale(scaled, exponent)
    np.testing.assert_array_equal(back[:3], values[:3])


@pytest.mark.parametrize(("algorithm", "platform"), MEMBERS)
@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_bad_pixel_spreads_no_further_than_its_neighbours(
    algorithm: str, platform: str | None, bad: float
) -> None:
    image = np.ones((2, 8, 8, 2))
    image[0, 2, 3, 0] = bad
    x = np.append(np.arange(7) * 0.75 + 0.125, 2.0)  # an integer last
    points = np.broadcast_to(np.stack(np.meshgrid(x, x), axis=-1), (2, 8, 8, 2))
    maps = platform_maps(algorithm, platform, interpolation("bilinear", "zeros"), (8, 8))

    @jax.jit
    def run(image: jax.Array, points: jax.Array) -> tuple[Any, ...]:
        return maps["read"](image, points), maps["vjp_points"](image, jnp.ones_like(image), points)

    value, change = map(np.asarray, run(image, points))
    near = (abs(x - 2) < 1)[:, None] & (abs(x - 3) < 1)
    np.testing.assert_array_equal(value[0, ..., 0][near], bad)
    np.testing.assert_array_equal(np.isfinite(value[0, ..., 0]), ~near)
    assert np.isfinite(value[..., 1]).all()
    assert np.isfinite(value[1]).all()
    assert np.isfinite(change[1]).all()
    # At an integer, these gradients see the next pixel: its weight is 0, and has a slope.
    known = slice(7 if algorithm in ("matmul", "windowed") else None)
    finite = np.isfinite(change[0]).all(-1)
    np.testing.assert_array_equal(finite[known, known], ~near[known, known])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_separable_and_antialiased_sampling_keep_bad_pixels_in_place(bad: float) -> None:
    image = np.ones((8, 8, 1), np.float32)
    image[2, 3] = bad
    x = np.arange(8) * 0.75 + 0.125
    near = (abs(x - 2) < 1)[:, None] & (abs(x - 3) < 1)
    scale = np.array([0.75, 0.75], np.float32)  # the same points
    shift = np.array([-0.1875, -0.1875], np.float32)
    value = stn.separable_sample(image, scale, shift, (8, 8))
    np.testing.assert_array_equal(~np.isfinite(value[..., 0]), near)
    theta = np.array([0.75, -0.1875, -0.1875], np.float32)
    value = stn.spatial_transform(image, theta, (8, 8), transform=stn.Attention(), antialias=True)
    np.testing.assert_array_equal(~np.isfinite(value[..., 0]), near)
    points = np.float32(np.stack(np.meshgrid(x, x), axis=-1))
    value = stn.sample_pixels(image, points, antialias=True)  # nothing shrinks: level 0 alone
    np.testing.assert_array_equal(~np.isfinite(value[..., 0]), near)


def test_the_identity_keeps_an_image_of_bad_pixels() -> None:
    rng = np.random.default_rng(0)
    image = rng.choice([1.0, np.nan, np.inf, -np.inf], (6, 7, 1)).astype(np.float32)
    points = np.float32(np.stack(np.meshgrid(np.arange(7), np.arange(6)), axis=-1))
    for mode in ("nearest", "bilinear", "bicubic", "lanczos3"):
        value = stn.sample_pixels(image, points, mode=mode)
        np.testing.assert_array_equal(value, image, err_msg=mode)
