"""Matrices from rotation, scale, shear, translation and crop."""

import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax import coordinates


def test_rotation_turns_x_towards_y() -> None:
    theta = stn.rotation(jnp.asarray(jnp.pi / 2))
    x, y = stn.Affine().apply(theta.ravel(), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose([x, y], [0.0, 1.0], atol=1e-7)
    for axis, (start, end) in {"z": (0, 1), "x": (1, 2), "y": (2, 0)}.items():
        turned = stn.rotation(jnp.asarray(jnp.pi / 2), axis=axis)[:, :3]
        np.testing.assert_allclose(turned[:, start], jnp.eye(3)[end], atol=1e-7)


def test_shear_and_scaling_put_entries_where_they_say() -> None:
    np.testing.assert_array_equal(stn.shear(jnp.array([2.0, 3.0]))[:, :2], [[1, 2], [3, 1]])
    six = stn.shear(jnp.arange(1.0, 7.0))[:, :3]
    np.testing.assert_array_equal(six, [[1, 1, 2], [3, 1, 4], [5, 6, 1]])
    np.testing.assert_array_equal(stn.scaling(jnp.array([2.0, 3.0]))[:, :2], [[2, 0], [0, 3]])


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_crop_reads_its_pixels(align_corners: bool) -> None:
    image = jnp.arange(36.0).reshape(6, 6, 1)
    box = coordinates.pixel_to_normalized(
        jnp.array([1.0, 2.0, 3.0, 4.0]), 6, align_corners=align_corners
    )
    if not align_corners:  # edges, not centres: half a pixel further out
        box += jnp.array([-1, -1, 1, 1]) / 6
    grid = stn.affine_grid(stn.crop(box), (3, 3), align_corners=align_corners)
    crop = stn.grid_sample(image, grid, align_corners=align_corners)
    np.testing.assert_allclose(crop[..., 0], image[2:5, 1:4, 0], atol=1e-5)
