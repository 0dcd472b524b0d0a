"""The tutorial's network: its size, its dropout; PyTorch's own is in benchmarks/train_step.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stn_jax.models._blocks import dropout
from stn_jax.models.tutorial import TutorialNet

IMAGES = np.random.default_rng(0).random((4, 28, 28, 1)).astype(np.float32)


def test_size_is_the_tutorials() -> None:
    model = TutorialNet().build((28, 28, 1), 10, rngs=nnx.Rngs(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))) == 27_360
    prediction = jax.eval_shape(model.forward, IMAGES)
    assert prediction.logits.shape == (4, 10)
    assert prediction.warps[0].theta.shape == (4, 6)


def test_dropout_depends_on_each_images_own_key() -> None:
    model = TutorialNet().build((28, 28, 1), 10, rngs=nnx.Rngs(0))
    keys, images = jax.random.split(jax.random.key(1), 4), jnp.asarray(IMAGES)

    @jax.jit
    def forward(images: jax.Array, keys: jax.Array) -> jax.Array:
        return model.forward(images, keys=keys).logits

    whole = forward(images, keys)
    np.testing.assert_allclose(forward(images[::-1], keys[::-1]), whole[::-1], atol=1e-5)
    assert jnp.abs(whole - forward(images, None)).max() > 1e-3
    twins = jnp.stack([images[0]] * 4)
    assert len(np.unique(forward(twins, keys), axis=0)) == 4


def test_dropout_keeps_the_mean_and_drops_whole_channels() -> None:
    keys = jax.random.split(jax.random.key(0), 1000)
    values = dropout(keys, jnp.ones((1000, 3, 2, 5), jnp.float32), shared=2)
    assert abs(values.mean() - 1) < 0.05
    assert jnp.all(values == values[:, :1, :1])
    assert 0 < values[0, 0, 0].sum() < 10


def test_a_number_of_classes_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes=0 does not fit"):
        TutorialNet().build((28, 28, 1), 0, rngs=nnx.Rngs(0))
