"""The layer: starts as the identity, sends a gradient to its localization net, survives NNX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stn_jax as stn
import stn_jax.nn as snn

TRANSFORMS = [stn.Affine(), stn.Projective(), stn.ThinPlateSpline((4, 4)), stn.Attention()]
IMAGES = np.random.default_rng(0).random((3, 20, 24, 1)).astype(np.float32)


def layer(transform, kind="fc", **options):
    rngs = nnx.Rngs(0)
    if kind == "fc":
        net = snn.FullyConnectedLocalization((20, 24, 1), transform, shrink=2, rngs=rngs)
    else:
        net = snn.ConvolutionalLocalization((20, 24, 1), transform, filters=(4, 4), rngs=rngs)
    return snn.SpatialTransformer(net, transform, **options)


@pytest.mark.parametrize("kind", ["fc", "conv"])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_untrained_moves_nothing_and_learns(transform, kind):
    model = layer(transform, kind)
    np.testing.assert_allclose(model(IMAGES), IMAGES, atol=1e-4)
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params):
        return jnp.mean(nnx.merge(graph, params, rest, copy=True)(IMAGES)[:, :10] ** 2)

    gradient = jax.jit(jax.grad(loss))(params)
    head = gradient["localization"]["head"]
    assert jnp.all(head["bias"][...] != 0)
    assert jnp.isfinite(head["kernel"][...]).all()
    assert jnp.any(head["kernel"][...] != 0)


def test_output_shapes():
    transform = stn.Affine()
    assert layer(transform, shape=(7, 5))(IMAGES).shape == (3, 7, 5, 1)
    assert layer(transform, downsample_factor=3)(IMAGES).shape == (3, 6, 8, 1)
    assert layer(transform, downsample_factor=1.5)(IMAGES).shape == (3, 13, 16, 1)
    with pytest.raises(ValueError, match="give one of them"):
        layer(transform, shape=(7, 5), downsample_factor=2)


def test_warp_says_what_was_done():
    warp = layer(stn.Affine(), shape=(7, 5), padding_mode="border").warp(jnp.asarray(IMAGES))
    assert warp.theta.shape == (3, 6)
    np.testing.assert_allclose(warp.grid, stn.affine_grid(warp.theta.reshape(3, 2, 3), (7, 5)))
    np.testing.assert_allclose(
        warp.features, stn.grid_sample(IMAGES, warp.grid, padding_mode="border")
    )


def test_any_function_can_localize():
    shift = snn.SpatialTransformer(lambda x: jnp.zeros((len(x), 2), x.dtype), stn.Translation())
    np.testing.assert_allclose(shift(IMAGES), IMAGES, atol=1e-5)


def test_volumes():
    volumes = np.random.default_rng(0).random((2, 4, 5, 6, 1)).astype(np.float32)
    transform = stn.Affine(3)
    identity = jnp.asarray(transform.identity())
    model = snn.SpatialTransformer(lambda x: jnp.broadcast_to(identity, (len(x), 12)), transform)
    np.testing.assert_allclose(model(volumes), volumes, atol=1e-5)


def test_tree_mode():
    """The module is a plain tree: no reference is shared, so tree mode takes it."""
    model = layer(stn.Affine())
    leaves = jax.tree.leaves(nnx.split(model)[1])
    assert len(leaves) == len({id(leaf) for leaf in leaves}) == 8

    @jax.jit
    def run(model, x):
        return model(x)

    np.testing.assert_allclose(run(model, IMAGES), model(IMAGES), atol=1e-6)


def test_pools():
    x = jnp.arange(2 * 5 * 7 * 3.0).reshape(2, 5, 7, 3)
    for pool, reduce in ((snn.average_pool, np.mean), (snn.max_pool, np.max)):
        expected = reduce(np.asarray(x)[:, :4, :6].reshape(2, 2, 2, 3, 2, 3), axis=(2, 4))
        np.testing.assert_allclose(pool(x, 2), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="too small: convolution 1"):
        snn.ConvolutionalFeatures((9, 9, 1), filters=(2, 2), kernel_sizes=(5, 3), rngs=nnx.Rngs(0))


def test_the_convolution_is_the_convolution():
    """The CPU's window product equals XLA's own convolution."""
    net = snn.ConvolutionalFeatures(
        (9, 8, 3), filters=(4,), kernel_sizes=(5,), pool_last=False, rngs=nnx.Rngs(0)
    )
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 9, 8, 3)), jnp.float32)
    kernel = net.layers[0].kernel[...]
    expected = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(net(x), jax.nn.relu(expected), atol=1e-5)
