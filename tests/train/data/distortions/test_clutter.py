"""Distortions by whole pixels: the image in the middle, and among patches of others."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from distorting import KEYS, PATCHES, batch, many
from jax import random


@pytest.mark.parametrize("canvas", [0, 42])
def test_none_centres_the_image(canvas: int, digits: jax.Array) -> None:
    out = np.asarray(batch(random.key(0), digits, jnp.arange(3), "none", canvas))
    edge = (out.shape[1] - 28) // 2
    inner = out[:, edge : edge + 28, edge : edge + 28]
    np.testing.assert_allclose(inner, np.asarray(digits[:3]).astype(np.float32) / 255, atol=1e-7)
    assert out.sum() == pytest.approx(inner.sum(), rel=1e-6)


def find_exact(out: np.ndarray, image: jax.Array) -> list[Any]:
    """Returns the positions (top, left) at which each canvas contains the image exactly."""
    h, w = image.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(out)[..., 0], (h, w), (1, 2))
    equal = (windows == np.asarray(image)[..., 0]).all(axis=(-2, -1))
    return [np.argwhere(found).tolist() for found in equal]


def test_tc_places_the_digit_unchanged_at_uniform_positions(digits: jax.Array) -> None:
    image = digits[0].astype(jnp.float32) / 255
    dark = jnp.zeros((PATCHES, 28, 28, 1), jnp.float32)
    found = find_exact(many(KEYS, image, "TC", others=dark), image)
    assert all(len(positions) == 1 for positions in found)
    corners = np.array(found)[:, 0]
    assert corners.min(axis=0).tolist() == [0, 0]
    assert corners.max(axis=0).tolist() == [32, 32]
    np.testing.assert_allclose(corners.mean(axis=0), 16, atol=4 * 9.5 / 20)


def test_tc_pastes_six_patches_of_six_by_six_pixels() -> None:
    """White clutter on a black image covers at most 6 x 36 pixels, less where patches overlap."""
    dark, bright = jnp.zeros((28, 28, 1), jnp.float32), jnp.ones((PATCHES, 28, 28, 1), jnp.float32)
    out = np.asarray(many(KEYS, dark, "TC", others=bright))
    assert set(np.unique(out)) == {0.0, 1.0}
    counts = out.sum(axis=(1, 2, 3))
    assert counts.max() == PATCHES * 36
    assert counts.min() > 3 * 36
    assert np.median(counts) > 200
    assert out.mean(axis=0)[0].max() > 0  # patches reach the border
    assert out.mean(axis=0)[-1].max() > 0


def test_tc_takes_clutter_from_other_images() -> None:
    """With one bright image of two, the other canvas contains only pieces of it."""
    square = jnp.zeros((2, 28, 28, 1), jnp.uint8).at[0, 10:18, 10:18].set(255)
    own, other = np.asarray(batch(random.key(0), square, jnp.array([0, 1]), "TC"))
    assert own.sum() == 64
    assert 0 < other.sum() < PATCHES * 36


def test_indices_may_be_int32_or_int64(digits: jax.Array) -> None:
    narrow, wide = (jnp.arange(3).astype(dtype) for dtype in (jnp.int32, jnp.int64))
    np.testing.assert_array_equal(
        batch(random.key(0), digits, narrow, "TC"), batch(random.key(0), digits, wide, "TC")
    )
