"""Images of blobs."""

import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(scope="module")
def digits():
    """Forty images of random blobs with dark borders, as digits have."""
    noise = np.random.default_rng(0).normal(size=(40, 28, 28))
    y, x = np.indices((28, 28)) - 13.5
    low = np.exp(-(np.indices((28, 28)) ** 2).sum(axis=0) / 18)
    blobs = np.abs(np.fft.ifft2(np.fft.fft2(noise) * np.fft.fft2(low))) * (np.hypot(x, y) < 9)
    images = 255 * blobs / blobs.max(axis=(1, 2), keepdims=True)
    return jnp.asarray(images.astype(np.uint8)[..., None])
