"""Deformations of volumes: their inverse, their ranges, brightness."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from train.config import Deformation
from train.data.distortions.deformation import FIELD

pytestmark = pytest.mark.usefixtures("plain_numerics")

SHAPE = (20, 24, 16, 1)
HALF = np.array([16, 24, 20]) / 2
KEYS = random.split(random.key(0), 32)
STILL = Deformation(degrees=0, scale=(1, 1), shift=0, sigma=0, gamma=0, noise=0)


def test_backward_undoes_forward_to_a_tenth_of_a_voxel() -> None:
    deformation = Deformation().build(SHAPE)
    points = random.uniform(random.key(1), (200, 3), jnp.float32, -0.7, 0.7)

    @jax.jit
    @jax.vmap
    def there_and_back(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        params = deformation.draw(key, None)
        there = deformation.forward.apply(params, points)
        return there, deformation.backward.apply(deformation.invert(params), there)

    there, back = there_and_back(KEYS)
    moved, left = (np.linalg.norm((x - points) * HALF, axis=-1).mean() for x in (there, back))
    assert moved > 1
    assert left < 0.1


def test_what_is_drawn_keeps_to_its_ranges_in_voxels_and_grows_over_the_curriculum() -> None:
    part = Deformation(20.0, (0.5, 0.8), shift=0.2, sigma=0.1, curriculum_steps=100)
    deformation = part.build(SHAPE)
    draw = jax.jit(jax.vmap(deformation.draw, (0, None)))
    start, half, full, later = (
        [np.asarray(x) for x in deformation.forward.split(draw(KEYS, jnp.int32(step)))]
        for step in (0, 50, 100, 200)
    )
    theta, velocity = full
    theta = theta.reshape(-1, 3, 4)
    in_voxels = theta[:, :, :3] * HALF[:, None] / HALF
    scales = np.linalg.norm(in_voxels, axis=1)  # a scale along x, y and z, then a rotation
    assert 0.5 < scales.min() < 0.55
    assert 0.75 < scales.max() < 0.8
    turns = in_voxels / scales[:, None]
    expected = np.broadcast_to(np.eye(3), turns.shape)
    np.testing.assert_allclose(turns.swapaxes(1, 2) @ turns, expected, atol=1e-5)
    angles = np.rad2deg(np.arccos((np.trace(turns, axis1=1, axis2=2) - 1) / 2))
    assert 15 < angles.max() < 20 * 3**0.5
    assert 0.15 < np.abs(theta[:, :, 3]).max() < 0.2

    fields = velocity.reshape(-1, *FIELD.shape, 3)
    assert 0.05 < fields.std() < 0.1
    assert np.abs(np.diff(fields, axis=1)).mean() < fields.std() / 2

    identity = np.broadcast_to(np.eye(3, 4).reshape(-1), start[0].shape)
    np.testing.assert_allclose(start[0], identity, atol=1e-6)
    np.testing.assert_allclose(start[1], 0, atol=1e-6)
    np.testing.assert_allclose(half[1], velocity / 2, atol=1e-6)
    shifts = (slice(None), [3, 7, 11])
    np.testing.assert_allclose(half[0][shifts], full[0][shifts] / 2, atol=1e-6)
    np.testing.assert_array_equal(later[0], full[0])


def test_brightness_is_raised_to_a_power_and_noise_is_added() -> None:
    grey = jnp.full(SHAPE, 0.5)
    noisy = dataclasses.replace(STILL, noise=0.1).build(SHAPE).change_brightness(KEYS[0], grey)
    assert float(noisy.std()) == pytest.approx(0.1, rel=0.05)
    assert float(noisy.mean()) == pytest.approx(0.5, abs=0.01)
    power = dataclasses.replace(STILL, gamma=0.5).build(SHAPE)
    changed = jax.vmap(power.change_brightness, (0, None))(KEYS, grey)
    means = np.asarray(changed).mean(axis=(1, 2, 3, 4))
    exponents = np.log(np.log(means) / np.log(0.5))
    assert 0.3 < np.abs(exponents).max() <= 0.5


def test_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(28, 28, 1\); Deformation is for volumes"):
        Deformation().build((28, 28, 1))
