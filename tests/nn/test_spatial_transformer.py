"""The layer: starts as the identity, sends a gradient to its localization net, survives NNX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stn_jax as stn
import stn_jax.nn as snn

NO_SHEAR = ((True, False, True), (False, True, True))
TRANSFORMS = [
    stn.Affine(),
    stn.Affine(free=NO_SHEAR),
    stn.AffineDiffeomorphic(),
    stn.Attention(),
    stn.Chain(stn.Rigid(), stn.ThinPlateSpline((3, 3))),
    stn.Projective(),
    stn.Rigid(),
    stn.Similarity(),
    stn.ThinPlateSpline((4, 4)),
    stn.Translation(),
]
CASES = [(transform, "fc") for transform in TRANSFORMS] + [(stn.Affine(), "conv")]
IMAGES = np.random.default_rng(0).random((3, 20, 24, 1)).astype(np.float32)


def layer(transform, kind="fc", **options):
    rngs = nnx.Rngs(0)
    if kind == "fc":
        net = snn.FullyConnectedLocalization((20, 24, 1), transform, shrink=2, rngs=rngs)
    else:
        net = snn.ConvolutionalLocalization((20, 24, 1), transform, filters=(4, 4), rngs=rngs)
    return snn.SpatialTransformer(net, transform, **options)


@pytest.mark.parametrize(("transform", "kind"), CASES, ids=str)
def test_untrained_moves_nothing_and_learns(transform, kind):
    graph, params, rest = nnx.split(layer(transform, kind), nnx.Param, ...)

    @jax.jit
    def evaluate(params):
        def loss(params):
            features = nnx.merge(graph, params, rest, copy=True)(IMAGES)
            return jnp.mean(features[:, :10] ** 2), features

        return jax.grad(loss, has_aux=True)(params)

    gradient, features = evaluate(params)
    np.testing.assert_allclose(features, IMAGES, atol=1e-4)
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
    with pytest.raises(ValueError, match="downsample_factor=0 must be positive"):
        layer(transform, downsample_factor=0)


def test_warp_says_what_was_done():
    warp = layer(stn.Affine(), shape=(7, 5), padding_mode="border").warp(jnp.asarray(IMAGES))
    assert warp.theta.shape == (3, 6)
    np.testing.assert_allclose(warp.grid, stn.affine_grid(warp.theta.reshape(3, 2, 3), (7, 5)))
    np.testing.assert_allclose(
        warp.features, stn.grid_sample(IMAGES, warp.grid, padding_mode="border")
    )


@pytest.mark.parametrize("transform", [stn.Attention(), stn.Rigid()], ids=str)
def test_antialias_is_that_of_spatial_transform(transform):
    """Weights an axis for attention, the pyramid for a turn; noise comes out smoother by both."""
    small = layer(transform, shape=(5, 6), padding_mode="border", antialias=True)
    identity = jnp.asarray(transform.identity())
    expected = stn.spatial_transform(
        IMAGES, identity, (5, 6), transform=transform, antialias=True, padding_mode="border"
    )
    np.testing.assert_allclose(small(IMAGES), expected, atol=1e-6)
    plain = layer(transform, shape=(5, 6), padding_mode="border")(IMAGES)
    assert jnp.std(small(IMAGES)) < 0.7 * jnp.std(plain)


def test_any_function_can_localize():
    shift = snn.SpatialTransformer(lambda x: jnp.zeros((len(x), 2), x.dtype), stn.Translation())
    np.testing.assert_allclose(shift(IMAGES), IMAGES, atol=1e-5)


def test_fill_value():
    away = snn.SpatialTransformer(
        lambda x: jnp.full((len(x), 2), 9, x.dtype),
        stn.Translation(),
        padding_mode="fill",
        fill_value=0.25,
    )
    np.testing.assert_array_equal(away(IMAGES), np.full_like(IMAGES, 0.25))


def test_misfits_are_named():
    with pytest.raises(
        ValueError, match=r"params has shape \(3, 2\); Affine.* needs \(\*batch, 6\)"
    ):
        snn.SpatialTransformer(lambda x: jnp.zeros((3, 2)))(IMAGES)
    with pytest.raises(ValueError, match=r"x has shape \(20, 24\); Affine.*\(b, h, w, c\)"):
        snn.SpatialTransformer(lambda x: jnp.zeros(6))(IMAGES[0, ..., 0])
    for network in (snn.FullyConnectedLocalization, snn.ConvolutionalLocalization):
        with pytest.raises(ValueError, match=r"\(4, 5, 6, 1\) does not fit .*\(h, w, c\)"):
            network((4, 5, 6, 1), stn.Affine(), rngs=nnx.Rngs(0))
        with pytest.raises(ValueError, match=r"\(5, 6, 1\) does not fit .*\(d, h, w, c\)"):
            network((5, 6, 1), stn.Affine(3), rngs=nnx.Rngs(0))


def test_pools():
    x = jnp.arange(2 * 5 * 7 * 3.0).reshape(2, 5, 7, 3)
    volumes = jnp.arange(2 * 4 * 3 * 5.0).reshape(1, 4, 3, 5, 2)
    for pool, reduce in ((snn.average_pool, np.mean), (snn.max_pool, np.max)):
        expected = reduce(np.asarray(x)[:, :4, :6].reshape(2, 2, 2, 3, 2, 3), axis=(2, 4))
        np.testing.assert_allclose(pool(x, 2), expected, rtol=1e-6)
        windows = np.asarray(volumes)[:, :, :2, :4].reshape(1, 2, 2, 1, 2, 2, 2, 2)
        np.testing.assert_allclose(pool(volumes, 2), reduce(windows, axis=(2, 4, 6)), rtol=1e-6)
    with pytest.raises(ValueError, match="too small: convolution 1"):
        snn.ConvolutionalFeatures((9, 9, 1), filters=(2, 2), kernel_sizes=(5, 3), rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((9, 8), ("NHWC", "HWIO", "NHWC")), ((6, 5, 7), ("NDHWC", "DHWIO", "NDHWC"))],
)
def test_the_convolution_is_the_convolution(shape, layout):
    """The CPU's window product equals XLA's own convolution."""
    net = snn.ConvolutionalFeatures(
        (*shape, 3), filters=(4,), kernel_sizes=(5,), pool_last=False, rngs=nnx.Rngs(0)
    )
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, *shape, 3)), jnp.float32)
    kernel = net.layers[0].kernel[...]
    expected = jax.lax.conv_general_dilated(
        x, kernel, (1,) * len(shape), "VALID", dimension_numbers=layout
    )
    assert net.num_features == expected[0].size
    np.testing.assert_allclose(net(x), jax.nn.relu(expected), atol=1e-5)
