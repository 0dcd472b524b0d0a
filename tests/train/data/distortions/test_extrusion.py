"""Extruded images: the volume of a matrix, the ranges of what is drawn, room in the cube."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import stn_jax as stn
from train.config import Extruded

pytestmark = pytest.mark.usefixtures("plain_numerics")

IMAGE = random.uniform(random.key(0), (6, 8, 2), jnp.float32)
KEYS = random.split(random.key(1), 64)


def angle_of(turn: np.ndarray) -> float:
    return float(np.degrees(np.arccos((np.trace(turn) - 1) / 2)))


def test_a_volume_is_the_trilinear_sample_of_the_extruded_image() -> None:
    part = Extruded(side=12, depth=3, degrees=70.0)
    theta = part.matrix(random.key(3), (8, 6), 1.0)
    assert angle_of(np.asarray(theta[:, :3])) > 10
    extruded = jnp.broadcast_to(IMAGE, (3, 6, 8, 2))
    matrix = stn.compose(
        stn.scaling(2 / jnp.array([8.0, 6, 3])), theta, stn.scaling(jnp.full(3, 6.0))
    )
    expected = stn.grid_sample(extruded, stn.affine_grid(matrix, (12, 12, 12)))
    assert expected.max() > 0.3
    np.testing.assert_allclose(part.sample(IMAGE, theta), expected, atol=1e-5)


def test_without_angles_and_shifts_the_image_stands_in_the_middle() -> None:
    volume = Extruded(side=12, depth=4, degrees=0.0, shift=0.0).build((6, 8, 2))
    assert volume.shape == (12, 12, 12, 2)
    assert volume.others == 0
    found = np.asarray(jax.jit(volume.apply)(KEYS[0], IMAGE, IMAGE[None][:0], None))
    expected = np.zeros(volume.shape, np.float32)
    expected[4:8, 3:9, 2:10] = IMAGE
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_turned_images_stay_in_the_cube_and_use_all_of_it() -> None:
    """Corners of the extruded image, mapped by the inverse of what is drawn."""
    part = Extruded(side=20, depth=4, degrees=45.0, curriculum_steps=100)
    signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(-1, 3)
    corners = signs * np.array([8, 6, 4]) / 2

    def corners_in_the_cube(level: float) -> tuple[np.ndarray, np.ndarray]:
        theta = jax.vmap(lambda key: part.matrix(key, (8, 6), level))(KEYS)
        turn, shift = np.split(np.asarray(jax.vmap(stn.invert)(theta)), [3], axis=-1)
        return np.einsum("nij,cj->nci", turn, corners) + shift[:, None, :, 0], turn

    moved, turns = corners_in_the_cube(1.0)
    assert np.abs(moved).max() <= 10 + 1e-4
    assert np.abs(moved).max() > 9.5
    angles = np.array([angle_of(turn) for turn in turns])
    assert angles.max() > 45  # three angles of up to 45 degrees
    assert angles.mean() > 20
    still, turns = corners_in_the_cube(0.0)
    np.testing.assert_allclose(still, np.broadcast_to(corners, still.shape), atol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"distortion.side=7 is too small .* 8 x 6.*8 or above"):
        Extruded(side=7, depth=3).build((6, 8, 1))
    with pytest.raises(ValueError, match=r"Extruded needs \(h, w, c\)"):
        Extruded().build((6, 8, 8, 1))
    with pytest.raises(ValueError, match=r"distortion.depth=0 is not allowed"):
        Extruded(depth=0)
