"""Deformations of volumes: their inverse, their ranges, brightness."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import stn_jax as stn
from train.config import Deformation
from train.data.distortions.deformation import FIELD

pytestmark = pytest.mark.usefixtures("plain_numerics")

SHAPE = (20, 24, 16, 1)
HALF = np.array([16, 24, 20]) / 2
KEYS = random.split(random.key(0), 32)
STILL = Deformation(degrees=0, scale=(1, 1), shift=0, sigma=0, gamma=0, noise=0)


def draw(part: Deformation, step: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns matrices ``(n, 3, 4)`` and velocities ``(n, p)``."""
    deformation = part.build(SHAPE)
    given = None if step is None else jnp.int32(step)
    params = jax.jit(jax.vmap(lambda key: deformation.draw(key, given)))(KEYS)
    theta, velocity = deformation.forward.split(params)
    return np.asarray(theta).reshape(-1, 3, 4), np.asarray(velocity)


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


def test_a_bright_blob_moves_to_where_forward_says() -> None:
    deformation = dataclasses.replace(Deformation(), noise=0.0, gamma=0.0).build(SHAPE)
    points = stn.identity_grid(SHAPE[:-1])
    centre = jnp.array([0.2, -0.1, 0.15])
    blob = jnp.exp(-jnp.sum(((points - centre) * HALF) ** 2, axis=-1) / 8)[..., None]

    @jax.jit
    @jax.vmap
    def find(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        warp_key, _ = random.split(key)
        deformed = deformation.apply(key, blob, None, None)
        mean = jnp.sum(deformed * points, axis=(0, 1, 2)) / jnp.sum(deformed)
        return mean, deformation.forward.apply(deformation.draw(warp_key, None), centre[None])[0]

    found, expected = find(KEYS[:8])
    assert np.abs((expected - centre) * HALF).max() > 1
    np.testing.assert_allclose(found * HALF, expected * HALF, atol=0.5)


def test_affine_maps_keep_to_their_ranges_in_voxels() -> None:
    matrices, velocity = draw(dataclasses.replace(STILL, degrees=20.0))
    in_voxels = matrices[:, :, :3] * HALF[:, None] / HALF
    np.testing.assert_allclose(in_voxels @ in_voxels.swapaxes(1, 2), np.eye(3)[None], atol=1e-5)
    angles = np.rad2deg(np.arccos((np.trace(in_voxels, axis1=1, axis2=2) - 1) / 2))
    assert 15 < angles.max() < 20 * 3**0.5
    assert not np.any(velocity)
    matrices, _ = draw(dataclasses.replace(STILL, scale=(0.5, 0.8), shift=0.2))
    scales = np.diagonal(matrices[:, :, :3], axis1=1, axis2=2)
    assert 0.5 < scales.min() < 0.55
    assert 0.75 < scales.max() < 0.8
    assert 0.15 < np.abs(matrices[:, :, 3]).max() < 0.2


def test_velocities_are_smooth_and_grow_with_sigma() -> None:
    _, velocity = draw(dataclasses.replace(STILL, sigma=0.1))
    fields = velocity.reshape(-1, *FIELD.shape, 3)
    assert 0.05 < fields.std() < 0.1
    assert np.abs(np.diff(fields, axis=1)).mean() < fields.std() / 3


def test_they_grow_over_the_curriculum() -> None:
    part = dataclasses.replace(Deformation(), curriculum_steps=100)
    identity = np.eye(3, 4)
    (start, still), (half, _), (full, _) = (draw(part, step) for step in (0, 50, 100))
    np.testing.assert_allclose(start, np.broadcast_to(identity, start.shape), atol=1e-6)
    assert not np.any(still)
    np.testing.assert_allclose((half - identity)[:, :, 3], (full - identity)[:, :, 3] / 2)
    np.testing.assert_array_equal(full, draw(Deformation())[0])


def test_brightness_is_raised_to_a_power_and_noise_is_added() -> None:
    grey = jnp.full(SHAPE, 0.5)
    noisy = dataclasses.replace(STILL, noise=0.1).build(SHAPE).apply(KEYS[0], grey, None, None)
    inner = np.asarray(noisy)[4:-4, 4:-4, 4:-4]
    assert inner.std() == pytest.approx(0.1, rel=0.2)
    assert inner.mean() == pytest.approx(0.5, abs=0.02)
    power = dataclasses.replace(STILL, gamma=0.5).build(SHAPE)
    means = np.array([power.change_brightness(key, grey).mean() for key in KEYS])
    exponents = np.log(np.log(means) / np.log(0.5))
    assert 0.3 < np.abs(exponents).max() <= 0.5


def test_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(28, 28, 1\); Deformation is for volumes"):
        Deformation().build((28, 28, 1))
