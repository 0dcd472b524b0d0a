"""The convention in numbers."""

import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax import coordinates
from stn_jax.coordinates import coordinate_dtype, pixels


@pytest.mark.parametrize("size", [1, 2, 5])
def test_edges_and_centres(size):
    edges = coordinates.normalized_to_pixel(jnp.array([-1.0, 1.0]), size)
    np.testing.assert_allclose(edges, [-0.5, size - 0.5])
    centres = coordinates.normalized_to_pixel(jnp.array([-1.0, 1.0]), size, align_corners=True)
    np.testing.assert_allclose(centres, [0, size - 1])


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [2, 5, 224])
def test_round_trip(size, align_corners):
    x = jnp.linspace(-3.0, size + 3.0, 11, dtype=jnp.float64)
    there = coordinates.pixel_to_normalized(x, size, align_corners=align_corners)
    back = coordinates.normalized_to_pixel(there, size, align_corners=align_corners)
    np.testing.assert_allclose(back, x, atol=1e-12)


def test_an_axis_of_one_pixel_has_coordinate_0():
    assert stn.identity_grid((1, 1), align_corners=True).ravel().tolist() == [0.0, 0.0]
    assert stn.identity_grid((1, 1)).ravel().tolist() == [0.0, 0.0]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_lattice_is_the_pixels_x_first(shape, align_corners):
    grid = stn.identity_grid(shape, align_corners=align_corners, dtype=jnp.float64)
    found = pixels(grid, shape, align_corners=align_corners)
    for axis, expected in zip(found, np.indices(shape), strict=True):
        np.testing.assert_allclose(axis, expected, atol=1e-12)


def test_coordinates_are_never_coarse():
    bfloat = jnp.ones(1, jnp.bfloat16)
    assert coordinate_dtype(bfloat) == jnp.float32
    assert coordinate_dtype(bfloat, jnp.ones(1, jnp.float64)) == jnp.float64
    assert stn.affine_grid(jnp.eye(2, 3, dtype=jnp.bfloat16), (2, 2)).dtype == jnp.float32
