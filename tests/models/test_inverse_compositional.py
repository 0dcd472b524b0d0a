"""IC-STN: its composition against matrix products, one composition against the STN, gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import random

import stn_jax as stn
from stn_jax.models import FCN, STN, GeometricPredictor, InverseCompositionalSTN

PREDICTOR = GeometricPredictor((2, 3), 3, (5,))
PART = InverseCompositionalSTN(FCN((8,)), PREDICTOR, compositions=3, window=(10, 8))
IMAGES = random.uniform(random.key(0), (2, 16, 16, 1), jnp.float32)


def moving(network: Any) -> Any:
    """Gives a network's head weights, so that its windows move."""
    head = network.transformer.localization.layers[-1].head
    head.kernel[...] = random.normal(random.key(1), head.kernel.shape, jnp.float32) / 20
    return network


@pytest.fixture(scope="module")
def network() -> Any:
    return moving(PART.build((16, 16, 1), 4, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def prediction(network: Any) -> Any:
    return nnx.jit(lambda network, images: network.forward(images))(network, IMAGES)


def test_an_untrained_window_is_the_middle_of_the_image() -> None:
    network = PART.build((16, 16, 1), 4, rngs=nnx.Rngs(0))
    for warp in jax.jit(network.forward)(IMAGES).warps:
        np.testing.assert_array_equal(warp.theta, np.tile(stn.Projective().identity(), (2, 1)))
        np.testing.assert_allclose(warp.features, IMAGES[:, 3:13, 4:12], atol=1e-5)


def test_warps_are_products_of_matrices_and_read_the_image_itself(
    network: Any, prediction: Any
) -> None:
    """Each update multiplies from the right: it is applied to the output's points first."""

    def matrices(theta: np.ndarray) -> np.ndarray:
        return np.concatenate([theta, np.ones((2, 1), np.float32)], 1).reshape(2, 3, 3)

    seen, product = IMAGES[:, 3:13, 4:12], np.eye(3)
    for warp in prediction.warps:
        product = product @ matrices(np.asarray(network.transformer.localization(seen)))
        product = product / product[:, 2:, 2:]
        np.testing.assert_allclose(matrices(np.asarray(warp.theta)), product, atol=1e-4)
        to_image = np.diag([8 / 16, 10 / 16, 1.0]) @ product
        grid = stn.projective_grid(to_image.astype(np.float32), (10, 8))
        np.testing.assert_allclose(warp.grid, grid, atol=1e-4)
        np.testing.assert_allclose(warp.features, stn.grid_sample(IMAGES, grid), atol=1e-3)
        seen = warp.features
    assert np.abs(product - np.eye(3)).max() > 0.05
    np.testing.assert_allclose(prediction.logits, network.classifier(seen), rtol=1e-4, atol=1e-5)


def test_one_composition_on_the_whole_image_is_the_stn() -> None:
    one = InverseCompositionalSTN(FCN((8,)), PREDICTOR, compositions=1, window=None)
    networks = [
        moving(part.build((16, 16, 1), 4, rngs=nnx.Rngs(0)))
        for part in (one, STN(FCN((8,)), PREDICTOR, stn.Projective()))
    ]
    ours, theirs = (jax.jit(network.forward)(IMAGES) for network in networks)
    np.testing.assert_allclose(ours.logits, theirs.logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.warps[0].theta, theirs.warps[0].theta, rtol=1e-4, atol=1e-5)


def test_the_gradient_comes_through_every_composition(network: Any) -> None:
    """The last of the logits' weights moves every layer of the predictor, which is one for all."""

    def loss(network: Any) -> jax.Array:
        return jnp.sum(network(IMAGES)[:, 3] ** 2)

    gradient = nnx.jit(nnx.grad(loss))(network).transformer.localization
    for index in (0, 1):
        assert np.abs(np.asarray(gradient.layers[index].layers[0].kernel[...])).max() > 1e-7
    assert np.abs(np.asarray(gradient.layers[2].head.kernel[...])).max() > 1e-6


def test_the_papers_sizes() -> None:
    network = nnx.eval_shape(
        lambda: InverseCompositionalSTN().build((56, 56, 1), 10, rngs=nnx.Rngs(0))
    )
    sizes = [np.prod(x.shape) for x in jax.tree.leaves(nnx.state(network, nnx.Param))]
    assert sum(sizes) == 39_048


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"window=\(28, 28\) does not fit; .* \(16, 16\) pixels"):
        InverseCompositionalSTN().build((16, 16, 1), 10, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="compositions=0 does not fit"):
        InverseCompositionalSTN(compositions=0)
