"""Augmentation: small movements in training, none in evaluation, a function of (key, index)."""

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from distorting import KEYS, centroids, dot
from jax import random

from train.config import RTS, Augmentation, Augmented, Classification
from train.data.batches import make_examples
from train.data.dataset import DataSpec
from train.data.distortions.augmentation import spline_weights


@functools.partial(jax.jit, static_argnames="part")
def many(part: Any, image: jax.Array, step: int = 1) -> Any:
    """Augments one image once for each key."""
    apply = part.build(image.shape).apply
    return jax.vmap(lambda key: apply(key, image, image[None][:0], jnp.int32(step)))(KEYS)


@functools.partial(jax.jit, static_argnames="part")
def batch(part: Any, seed: int, images: jax.Array, indices: Any, step: Any) -> Any:
    arrays = {"images": (images.shape[1:], "uint8"), "labels": ((), "int32")}
    spec = DataSpec("test", {}, arrays, {"class_names": ["0", "1"]}, "")
    data = {"images": images, "labels": jnp.zeros(len(images), jnp.int32)}
    task = Classification().build(spec, part)
    return make_examples(task, random.key(seed), data, indices, step)[0]


def test_evaluation_sees_the_image_as_it_is(digits: jax.Array) -> None:
    out = batch(Augmentation(flip=True), 0, digits, jnp.arange(3), None)
    np.testing.assert_array_equal(out, digits[:3].astype(jnp.float32) / 255)


def test_an_image_is_a_function_of_seed_step_and_index(digits: jax.Array) -> None:
    """The same bits in any batch; other bits with another seed, and early in a curriculum."""
    part = Augmented(RTS(), Augmentation(flip=True, curriculum_steps=10, sigma=2))
    whole = np.asarray(batch(part, 1, digits, jnp.arange(16), jnp.int32(4)))
    few = jnp.array([5, 11, 0])
    np.testing.assert_array_equal(batch(part, 1, digits, few, jnp.int32(4)), whole[few])
    for seed, step in ((2, 4), (1, 5)):
        assert (np.asarray(batch(part, seed, digits, few, jnp.int32(step))) != whole[few]).any()


def test_movements_are_uniform_within_their_ranges() -> None:
    """Dots at the centre and 8 pixels beside it, with the same keys, give all parameters."""
    part = Augmentation(degrees=20, scale=(0.8, 1.1), translation=0.1)
    middle = centroids(many(part, dot((28, 28), (0.0, 0.0))))
    side = centroids(many(part, dot((28, 28), (8.0, 0.0)))) - middle
    angle, scale = np.degrees(np.arctan2(side[:, 1], side[:, 0])), np.hypot(*side.T) / 8
    for values, low, high in (
        (angle, -20, 20),
        (scale, 0.8, 1.1),
        (middle[:, 0], -2.8, 2.8),
        (middle[:, 1], -2.8, 2.8),
    ):
        slack = 0.03 * (high - low)
        assert low - slack < values.min() < low + slack
        assert high - slack < values.max() < high + slack
        assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * len(KEYS))


def test_half_of_the_images_are_mirrored_left_to_right() -> None:
    part = Augmentation(degrees=0, scale=(1, 1), translation=0, flip=True)
    out = centroids(many(part, dot((28, 20), (5.0, 3.0))))
    np.testing.assert_allclose(out[:, 1], 3, atol=0.01)
    np.testing.assert_allclose(np.abs(out[:, 0]), 5, atol=0.01)
    assert 0.4 < (out[:, 0] < 0).mean() < 0.6


def test_padding_fills_what_moves_in_from_outside() -> None:
    white = jnp.ones((12, 12, 3), jnp.float32)
    assert np.asarray(many(Augmentation(), white)).min() < 0.5
    np.testing.assert_allclose(many(Augmentation(padding_mode="border"), white), 1, atol=1e-6)


def test_bending_shifts_every_point_like_a_cubic_spline_of_normal_points() -> None:
    """Its standard deviation is sigma times the norm of the spline's weights at that point."""
    sigma, places = 1.5, [(14, 14), (4, 20)]
    still = Augmentation(degrees=0, scale=(1, 1), translation=0, sigma=sigma)

    weights = spline_weights(4, 28)
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-12)
    for column, row in places:
        place = np.array([column - 13.5, row - 13.5])
        moved = centroids(many(still, dot((28, 28), place, 0.7)))
        expected = sigma * float(
            np.linalg.norm(weights[:, column]) * np.linalg.norm(weights[:, row])
        )
        np.testing.assert_allclose((moved - place).mean(axis=0), 0, atol=4 * expected / 20)
        np.testing.assert_allclose(moved.std(axis=0), expected, rtol=0.2)
    same = many(replace(still, curriculum_steps=9), dot((28, 28), place), 0)
    np.testing.assert_allclose(same, same[:1].repeat(len(same), axis=0), atol=1e-6)


def test_augmented_distorts_images_of_training_and_leaves_evaluation_as_it_is(
    digits: jax.Array,
) -> None:
    part = Augmented(RTS(), Augmentation(sigma=3))
    few = jnp.arange(4)
    plain, augmented = (np.asarray(batch(one, 3, digits, few, None)) for one in (RTS(), part))
    np.testing.assert_array_equal(augmented, plain)
    plain, augmented = (
        np.asarray(batch(one, 3, digits, few, jnp.int32(0))) for one in (RTS(), part)
    )
    assert augmented.shape == (4, 42, 42, 1)
    assert (np.abs(augmented - plain).max(axis=(1, 2, 3)) > 0.1).all()
    shifts = centroids(augmented) - centroids(plain)  # the same place on the canvas
    assert np.abs(shifts).max() < 6


def test_values_not_allowed_are_refused() -> None:
    with pytest.raises(ValueError, match=r"distortion.scale=\(0.0, 1.0\) .* above 0"):
        Augmentation(scale=(0, 1))
    with pytest.raises(ValueError, match=r"distortion\.cells=0 .* above 0"):
        Augmentation(cells=0)
