"""Sampling by gathers, by pencil; every kernel and padding is in test_contract."""

import jax.numpy as jnp
import numpy as np
import pytest
from sampling.cases import interpolation, primitives

from stn_jax.sampling import gather


def test_pixels_count_row_by_row():
    indices = np.indices((3, 4, 5)).reshape(3, -1)
    found = gather.row_major(list(jnp.asarray(indices)), (3, 4, 5))
    np.testing.assert_array_equal(found, np.ravel_multi_index(indices, (3, 4, 5)))


def test_whole_pixels_are_read():
    image = np.arange(24.0).reshape(3, 4, 2)
    found = gather.read_pixels(jnp.asarray(image), jnp.array([[0, 11], [5, 5]]))
    np.testing.assert_array_equal(found, image.reshape(12, 2)[[[0, 11], [5, 5]]])


@pytest.mark.parametrize(("mode", "count"), [("nearest", 1), ("bilinear", 4), ("bicubic", 16)])
def test_taps_of_an_image_are_products_over_its_axes(mode, count):
    row = interpolation(mode, "border")
    taps = gather.product_taps([jnp.array([1.25]), jnp.array([2.5])], (4, 5), row)
    assert len(taps) == count
    np.testing.assert_allclose(sum(w for _, w in taps), 1, atol=1e-12)
    if mode == "bilinear":
        found = [(int(place[0]), float(weight[0])) for place, weight in taps]
        assert found == [(7, 0.375), (8, 0.375), (12, 0.125), (13, 0.125)]


def test_a_sample_is_the_weighted_sum_of_its_pixels():
    image = jnp.arange(20.0).reshape(4, 5, 1)
    points = jnp.array([[2.5, 1.25], [np.nan, 0.0], [-0.5, 3.0]])
    found = gather.sample(image, points, interpolation("bilinear", "zeros"))
    np.testing.assert_array_equal(found[:, 0], [8.75, np.nan, 7.5])


def test_each_tap_is_one_gather():
    row, image, points = interpolation("bilinear", "zeros"), jnp.ones((4, 5, 3)), jnp.ones((7, 2))
    assert primitives(lambda u, x: gather.sample(u, x, row), image, points)["gather"] == 4
