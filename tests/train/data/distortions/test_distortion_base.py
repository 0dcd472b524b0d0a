"""Curricula: distortions grow from the image as it is to their full ranges."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from distorting import PARTS, PATCHES
from jax import random

from train.data.distortions.base import difficulty

OF_VOLUMES = {"deformation"}  # see test_deformation.py
GROWING = [kind for kind in PARTS if hasattr(PARTS[kind], "curriculum_steps")]
GROWING = [kind for kind in GROWING if kind not in OF_VOLUMES]
KEYS = random.split(random.key(0), 8)


@functools.partial(jax.jit, static_argnames=("kind", "steps"))
def distort(kind: str, steps: Any, images: jax.Array, step: jax.Array) -> Any:
    """Distorts images with a curriculum of a length."""
    part = dataclasses.replace(PARTS[kind], curriculum_steps=steps)
    apply = part.build(images.shape[1:]).apply
    others = images[:PATCHES] if kind == "TC" else images[:0]
    return jax.vmap(lambda key, image: apply(key, image, others, step))(KEYS, images)


def test_all_distortions_of_the_paper_can_grow() -> None:
    assert set(GROWING) >= {"R", "RTS", "P", "E", "TC"}


def test_difficulty_grows_linearly_in_training_and_is_full_in_evaluation() -> None:
    levels = [float(difficulty(jnp.int32(step), 40, jnp.float32)) for step in (0, 10, 40, 90)]
    assert levels == [0, 0.25, 1, 1]
    assert difficulty(None, 40, jnp.float32) == difficulty(jnp.int32(0), 0, jnp.float32) == 1.0


@pytest.mark.parametrize("kind", GROWING)
def test_a_curriculum_starts_at_the_image_and_ends_at_the_distortion(
    kind: str, digits: jax.Array
) -> None:
    images = digits[:8].astype(jnp.float32) / 255
    start, half, end = (
        np.asarray(distort(kind, 40, images, jnp.int32(step))) for step in (0, 20, 40)
    )
    if start.ndim == 5:  # a volume starts as the image, extruded
        start, seen = start.max(axis=1), half.max(axis=1)
    else:
        seen = half
    edge = (start.shape[1] - 28) // 2
    middle = np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    np.testing.assert_allclose(start, middle, atol=1e-4)
    np.testing.assert_array_equal(end, distort(kind, 0, images, jnp.int32(0)))
    assert np.abs(seen - start).max() > 0.05
    assert np.abs(half - end).max() > 0.05
    np.testing.assert_array_equal(
        distort(kind, 40, images, None), distort(kind, 0, images, None)
    )  # evaluation
