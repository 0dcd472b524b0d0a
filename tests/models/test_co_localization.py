"""The network of co-localization: its sizes, its window, gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import random

import stn_jax as stn
from stn_jax.models import CoLocalizer, StridedLocalizer

PART = CoLocalizer(StridedLocalizer(3, 4, 2, (5,)), output_shape=(6, 6))
IMAGES = random.uniform(random.key(0), (2, 18, 18, 1), jnp.float32)


def test_the_localization_network_is_strided_and_pooled() -> None:
    """Against patches of the image, one product with the kernel each."""
    network: Any = PART.build((18, 18, 1), 0, rngs=nnx.Rngs(0)).transformer.localization
    kernel = np.asarray(network.convolution.kernel[...])
    maps = np.zeros((2, 8, 8, 3), np.float32)
    for row, column in np.ndindex(8, 8):
        patch = np.asarray(IMAGES)[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4]
        maps[:, row, column] = np.einsum("byxc,yxcf->bf", patch, kernel)
    pooled = np.maximum(maps.reshape(2, 4, 2, 4, 2, 3).max(axis=(2, 4)), 0)
    hidden = network.connected.hidden[0]
    expected = np.maximum(pooled.reshape(2, -1) @ np.asarray(hidden.kernel[...]), 0)
    head = network.connected.head
    head.kernel[...] = random.normal(random.key(1), head.kernel.shape, jnp.float32)
    theta = expected @ np.asarray(head.kernel[...]) + np.asarray(stn.Attention().identity())
    np.testing.assert_allclose(network(IMAGES), theta, rtol=1e-4, atol=1e-4)


def test_the_window_is_what_the_transformer_reads_and_its_gradient_moves_it() -> None:
    network = PART.build((18, 18, 1), 0, rngs=nnx.Rngs(0))

    def loss(network: Any, images: jax.Array) -> tuple[Any, ...]:
        [warp] = network.forward(images).warps
        return jnp.sum(warp.features**2), warp

    gradient, warp = nnx.jit(nnx.grad(loss, has_aux=True))(network, IMAGES)
    np.testing.assert_allclose(
        warp.features, stn.grid_sample(IMAGES, stn.identity_grid((6, 6))), atol=1e-6
    )
    head = gradient.transformer.localization.connected.head
    assert np.abs(np.asarray(head.kernel[...])).max() > 1e-3
    assert np.abs(np.asarray(head.bias[...])).min() > 1e-3


def test_the_papers_sizes() -> None:
    shape = jax.ShapeDtypeStruct((100, 84, 84, 1), jnp.float32)
    network = CoLocalizer().build((84, 84, 1), 0, rngs=nnx.Rngs(0))
    [warp] = jax.eval_shape(network.forward, shape).warps
    assert (warp.theta.shape, warp.features.shape) == ((100, 3), (100, 28, 28, 1))
    localization: Any = network.transformer.localization
    assert localization.connected.input_shape == (9, 9, 8)


def test_images_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match=r"input_shape=\(12, 12, 1\) is too small: kernel_size=9"):
        CoLocalizer().build((12, 12, 1), 0, rngs=nnx.Rngs(0))
