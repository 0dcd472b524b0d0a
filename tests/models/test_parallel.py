"""Spatial transformers side by side."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import random

from stn_jax.models import FCN, FullyConnectedLocalizer, ParallelSTN

PART = ParallelSTN(FCN((8,)), FullyConnectedLocalizer((8,)), output_shape=(5, 6))
IMAGES = random.uniform(random.key(0), (3, 12, 12, 2), jnp.float32)


@pytest.fixture(scope="module")
def network() -> Any:
    return PART.build((12, 12, 2), 19, rngs=nnx.Rngs(0))


def test_each_transformer_sees_all_channels_and_outputs_are_concatenated(network: Any) -> None:
    prediction = network.forward(IMAGES)
    assert prediction.logits.shape == (3, 19)
    assert [warp.features.shape for warp in prediction.warps] == [(3, 5, 6, 2)] * 2
    features = jnp.concatenate([warp.features for warp in prediction.warps], axis=-1)
    np.testing.assert_array_equal(network.classifier(features), prediction.logits)
    np.testing.assert_array_equal(network(IMAGES), prediction.logits)


def test_every_transformer_learns_a_theta_of_its_own(network: Any) -> None:
    def loss(network: Any) -> jax.Array:
        return jnp.sum(network(IMAGES)[:, 3] ** 2)

    gradient = nnx.grad(loss)(network)
    heads = [
        np.asarray(gradient.transformers[index].localization.head.kernel[...]) for index in (0, 1)
    ]
    assert all(np.abs(head).max() > 1e-6 for head in heads)
    assert not np.allclose(heads[0], heads[1])


def test_number_of_transformers() -> None:
    images = jax.ShapeDtypeStruct((2, 12, 12, 1), jnp.float32)
    three = ParallelSTN(FCN((8,)), FullyConnectedLocalizer((8,)), transformers=3)
    prediction = jax.eval_shape(three.build((12, 12, 1), 4, rngs=nnx.Rngs(0)).forward, images)
    assert [warp.features.shape for warp in prediction.warps] == [(2, 12, 12, 1)] * 3
    with pytest.raises(ValueError, match="transformers=0 is not allowed"):
        ParallelSTN(transformers=0)
