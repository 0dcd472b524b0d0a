"""The residual backbone: sizes, new blocks that change nothing, groups that divide the channels."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import random

from stn_jax.models._residual import ResidualBackbone, ResidualBlock, normalization


def test_sides_are_halved_by_the_stem_the_pooling_and_each_later_group() -> None:
    network = nnx.eval_shape(
        lambda: ResidualBackbone((4, 8, 16), (1, 2, 1)).build((40, 24, 3), rngs=nnx.Rngs(0))
    )
    assert network.output_shape == (3, 2, 16)
    out = nnx.eval_shape(lambda net, x: net(x), network, jnp.zeros((2, 40, 24, 3), jnp.float32))
    assert out.shape == (2, 3, 2, 16)
    assert len(network.blocks) == 4


def test_the_default_has_the_parameters_of_resnet_18() -> None:
    """11,176,512 of its convolutions and normalisations, in 20 convolutions."""
    network = nnx.eval_shape(lambda: ResidualBackbone().build((224, 224, 3), rngs=nnx.Rngs(0)))
    leaves = [leaf for _, leaf in nnx.to_flat_state(nnx.state(network, nnx.Param))]
    kernels = sum(int(np.prod(leaf.shape)) for leaf in leaves if len(leaf.shape) == 4)
    assert sum(len(leaf.shape) == 4 for leaf in leaves) == 20
    assert kernels == 11_166_912
    assert network.output_shape == (7, 7, 512)


def test_a_new_block_changes_nothing() -> None:
    x = random.uniform(random.key(0), (2, 5, 5, 4), jnp.float32)
    block = ResidualBlock(4, 4, 1, nnx.Rngs(0))
    np.testing.assert_array_equal(block(x), x)
    scale: Any = block.second_norm.scale
    scale[...] = jnp.ones(4, jnp.float32)
    assert np.abs(np.asarray(block(x) - x)).max() > 0.1


def test_sizes_that_do_not_fit() -> None:
    assert normalization(2, nnx.Rngs(0)).num_groups == 2
    assert normalization(48, nnx.Rngs(0)).num_groups == 24
    assert normalization(512, nnx.Rngs(0)).num_groups == 32
    with pytest.raises(ValueError, match=r"blocks=\(1,\) does not fit; filters=\(4, 8\)"):
        ResidualBackbone((4, 8), (1,))
