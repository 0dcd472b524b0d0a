"""How unlike volumes are: zero for equals, whatever the contrast, and one for strangers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.config import CrossCorrelation, SquaredError
from train.tasks.similarity import window_mean

pytestmark = pytest.mark.usefixtures("plain_numerics")

RANDOM = np.random.default_rng(0)
ONE, OTHER = (jnp.asarray(RANDOM.uniform(size=(2, 8, 9, 7, 1)), jnp.float32) for _ in range(2))


def test_squared_error_of_each_pair() -> None:
    expected = ((np.asarray(ONE) - np.asarray(OTHER)) ** 2).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(SquaredError()(ONE, OTHER), expected, rtol=1e-6)


def test_correlation_does_not_depend_on_brightness_and_contrast() -> None:
    unlike = CrossCorrelation(window=5, epsilon=1e-6)
    np.testing.assert_allclose(unlike(ONE, ONE), 0, atol=1e-3)
    np.testing.assert_allclose(unlike(0.3 + 0.5 * ONE, ONE), 0, atol=1e-3)
    np.testing.assert_allclose(unlike(1 - ONE, ONE), 0, atol=1e-3)
    strangers = unlike(ONE, OTHER)
    assert strangers.shape == (2,)
    assert float(strangers.min()) > 0.9
    assert float(jnp.abs(unlike(OTHER, ONE) - strangers).max()) < 1e-6


def test_windows_without_structure_count_as_unlike() -> None:
    flat = jnp.zeros_like(ONE)
    np.testing.assert_allclose(CrossCorrelation()(flat, flat), 1)
    gradient = jax.grad(lambda moved: CrossCorrelation()(moved, flat).sum())(flat)
    assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize("size", [1, 3, 4, 20])
def test_means_of_windows_as_far_as_they_lie_in_the_volume(size: int) -> None:
    volume = np.asarray(ONE[:1])
    found = window_mean(ONE[:1], size)
    low, high = (size - 1) // 2, size // 2  # voxels before and after
    for z, y, x in itertools.product((0, 3, 7), (0, 4, 8), (0, 6)):
        depth, height, width = (slice(max(0, place - low), place + high + 1) for place in (z, y, x))
        window = volume[0, depth, height, width, 0]
        np.testing.assert_allclose(found[0, z, y, x, 0], window.mean(), rtol=1e-5)


def test_windows_of_no_voxels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"task.similarity.window=0 is not allowed"):
        CrossCorrelation(window=0)
