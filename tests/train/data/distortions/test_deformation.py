"""Deformations of volumes: their inverse, their ranges, brightness."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import stn_jax as stn
from train.config import Deformation
from train.data.distortions.deformation import FIELD, VolumeDeformation

pytestmark = pytest.mark.usefixtures("plain_numerics")

SHAPE = (20, 24, 16, 1)
HALF = np.array([16, 24, 20]) / 2
KEYS = random.split(random.key(0), 32)
STILL = Deformation(degrees=0, scale=(1, 1), shift=0, sigma=0, gamma=0, noise=0)


def draw(part: Deformation, step: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Returns matrices ``(n, 3, 4)`` and velocities ``(n, p)``."""
    params = drawing(part)(KEYS, jnp.int32(step))
    theta, velocity = VolumeDeformation.forward.split(params)
    return np.asarray(theta).reshape(-1, 3, 4), np.asarray(velocity)


@functools.cache
def drawing(part: Deformation) -> Callable[..., jax.Array]:
    return jax.jit(jax.vmap(part.build(SHAPE).draw, (0, None)))


def test_a_bright_blob_moves_to_where_forward_says_and_backward_undoes_it() -> None:
    deformation = dataclasses.replace(Deformation(), noise=0.0, gamma=0.0).build(SHAPE)
    points = random.uniform(random.key(1), (200, 3), jnp.float32, -0.7, 0.7)
    grid = stn.identity_grid(SHAPE[:-1])
    blob = jnp.exp(-jnp.sum(((grid - points[0]) * HALF) ** 2, axis=-1) / 8)[..., None]

    @jax.jit
    @jax.vmap
    def deform(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        params = deformation.draw(random.split(key)[0], None)
        there = deformation.forward.apply(params, points)
        back = deformation.backward.apply(deformation.invert(params), there)
        deformed = deformation.apply(key, blob, None, None)
        return there, back, jnp.sum(deformed * grid, axis=(0, 1, 2)) / jnp.sum(deformed)

    there, back, found = deform(KEYS)
    moved, left = (np.linalg.norm((x - points) * HALF, axis=-1).mean() for x in (there, back))
    assert moved > 1
    assert left < 0.1
    np.testing.assert_allclose(found * HALF, there[:, 0] * HALF, atol=0.5)


def test_rotations_are_those_of_voxels_and_velocities_are_smooth() -> None:
    matrices, velocity = draw(dataclasses.replace(STILL, degrees=20.0, sigma=0.1))
    turns = matrices[:, :, :3] * HALF[:, None] / HALF
    expected = np.broadcast_to(np.eye(3), turns.shape)
    np.testing.assert_allclose(turns @ turns.swapaxes(1, 2), expected, atol=1e-5)
    angles = np.rad2deg(np.arccos((np.trace(turns, axis1=1, axis2=2) - 1) / 2))
    assert 15 < angles.max() < 20 * 3**0.5
    fields = velocity.reshape(-1, *FIELD.shape, 3)
    assert 0.05 < fields.std() < 0.1
    assert np.abs(np.diff(fields, axis=1)).mean() < fields.std() / 2


def test_scales_and_shifts_keep_to_ranges_that_grow_over_the_curriculum() -> None:
    part = dataclasses.replace(STILL, scale=(0.5, 0.8), shift=0.2, sigma=0.1, curriculum_steps=100)
    (start, still), (half, slow), (full, fast) = (draw(part, step) for step in (0, 50, 100))
    scales = np.diagonal(full[:, :, :3], axis1=1, axis2=2)
    assert 0.5 < scales.min() < 0.55
    assert 0.75 < scales.max() < 0.8
    assert 0.15 < np.abs(full[:, :, 3]).max() < 0.2
    np.testing.assert_allclose(start, np.broadcast_to(np.eye(3, 4), start.shape), atol=1e-6)
    np.testing.assert_allclose(still, 0, atol=1e-6)
    np.testing.assert_allclose(half - start, (full - start) / 2, atol=1e-6)
    np.testing.assert_allclose(slow, fast / 2, atol=1e-6)
    np.testing.assert_array_equal(draw(part, 200)[0], full)


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
