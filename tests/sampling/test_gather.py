"""Sampling by gathers, by pencil; every kernel and padding is in test_contract."""

import jax.numpy as jnp
import numpy as np
import pytest

from sampling.cases import interpolation, primitives
from stn_jax.sampling import gather


def test_pixels_count_row_by_row() -> None:
    indices = np.indices((3, 4, 5)).reshape(3, -1)
    found = gather.row_major(list(jnp.asarray(indices)), (3, 4, 5))
    np.testing.assert_array_equal(found, np.ravel_multi_index(indices, (3, 4, 5)))


def test_pixels_of_an_image_too_large_for_float32_count_exactly() -> None:
    indices = np.array([[4199, 4198, 3995], [4001, 4199, 217]])  # beyond 2 ** 24, odd
    found = gather.row_major(list(jnp.asarray(indices, jnp.int32)), (4200, 4200))
    np.testing.assert_array_equal(found, indices[0] * 4200 + indices[1])


def test_whole_pixels_are_read() -> None:
    image = np.arange(24.0).reshape(3, 4, 2)
    indices = np.array([[0, 2], [1, 1]]), np.array([[0, 3], [1, 0]])
    found = gather.read_pixels(jnp.asarray(image), [jnp.asarray(i) for i in indices])
    np.testing.assert_array_equal(found, image[indices])


@pytest.mark.parametrize(("mode", "count"), [("nearest", 1), ("bilinear", 4), ("bicubic", 16)])
def test_taps_of_an_image_are_products_over_its_axes(mode: str, count: int) -> None:
    row = interpolation(mode, "border")
    taps = gather.product_taps([jnp.array(1.25), jnp.array(2.5)], (4, 5), row)
    found = {tuple(map(int, index)): float(w[0] * w[1]) for index, w in taps}
    assert len(taps) == len(found) == count
    assert abs(sum(found.values()) - 1) < 1e-12
    if mode == "bilinear":
        assert found == {(1, 2): 0.375, (1, 3): 0.375, (2, 2): 0.125, (2, 3): 0.125}


def test_a_sample_is_the_weighted_sum_of_its_pixels() -> None:
    image = jnp.arange(20.0).reshape(4, 5, 1)
    points = jnp.array([[2.5, 1.25], [np.nan, 0.0], [-0.5, 3.0]])
    found = gather.sample(image, points, interpolation("bilinear", "zeros"))
    np.testing.assert_array_equal(found[:, 0], [8.75, np.nan, 7.5])


def test_each_tap_is_one_gather() -> None:
    row, image, points = interpolation("bilinear", "zeros"), jnp.ones((4, 5, 3)), jnp.ones((7, 2))
    assert primitives(lambda u, x: gather.sample(u, x, row), image, points)["gather"] == 4
