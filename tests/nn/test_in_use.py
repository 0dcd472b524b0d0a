"""The layer in networks: side by side, one behind the other, on volumes, in NNX's tree mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stn_jax as stn
import stn_jax.nn as snn

IMAGES = np.random.default_rng(0).random((2, 12, 10, 1)).astype(np.float32)
VOLUMES = np.random.default_rng(0).random((2, 8, 6, 7, 1)).astype(np.float32)


def transformer(input_shape, transform, **options):
    net = snn.FullyConnectedLocalization(input_shape, transform, hidden=(4,), rngs=nnx.Rngs(0))
    return snn.SpatialTransformer(net, transform, **options)


class Parallel(nnx.Module):
    """Two transformers look at the same images (paper, section 4.3)."""

    def __init__(self):
        self.window = transformer((12, 10, 1), stn.Attention(), shape=(6, 5))
        self.bend = transformer((12, 10, 1), stn.ThinPlateSpline((3, 3)), shape=(6, 5))

    def __call__(self, x):
        return jnp.concatenate([self.window(x), self.bend(x)], axis=-1)


class Deep(nnx.Module):
    """A transformer on images, and one on the feature maps of a convolution (section 4.3)."""

    def __init__(self):
        self.first = transformer((12, 10, 1), stn.Affine(), padding_mode="border")
        self.conv = nnx.Conv(1, 3, (3, 3), rngs=nnx.Rngs(0))
        self.second = transformer((12, 10, 3), stn.Translation(), downsample_factor=2)

    def __call__(self, x):
        return self.second(nnx.relu(self.conv(self.first(x))))


class Volumetric(nnx.Module):
    """A transformer of volumes that a convolutional network localizes."""

    def __init__(self):
        transform = stn.Affine(3)
        net = snn.ConvolutionalLocalization(
            (8, 6, 7, 1), transform, filters=(2, 2), kernel_size=2, hidden=(3,), rngs=nnx.Rngs(0)
        )
        self.layer = snn.SpatialTransformer(net, transform, shape=(4, 5, 5))

    def __call__(self, x):
        return self.layer(x)


def evaluate(model, x):
    """Returns the model's output and the gradient of its parameters, jitted, in tree mode."""
    graph, params, rest = nnx.split(model, nnx.Param, ..., graph=False)

    @jax.jit
    def run(params, rest, x):
        def loss(params):
            y = nnx.merge(graph, params, rest)(x)
            weight = jnp.linspace(0, 1, y.size, dtype=y.dtype).reshape(y.shape)
            return jnp.mean(weight * y**2), y

        return jax.grad(loss, has_aux=True)(params)

    gradient, y = run(params, rest, x)
    return y, gradient


@pytest.mark.parametrize(
    ("build", "x", "shape", "layers"),
    [
        (Parallel, IMAGES, (2, 6, 5, 2), ("window", "bend")),
        (Deep, IMAGES, (2, 6, 5, 3), ("first", "second")),
        (Volumetric, VOLUMES, (2, 4, 5, 5, 1), ("layer",)),
    ],
    ids=["parallel", "deep", "volumes"],
)
def test_gradients_reach_every_transformer(build, x, shape, layers):
    y, gradient = evaluate(build(), x)
    assert y.shape == shape
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    for name in layers:
        head = gradient[name]["localization"]["head"]
        assert jnp.all(head["bias"][...] != 0)
        assert jnp.any(head["kernel"][...] != 0)


def test_parallel_is_each_by_itself():
    model = Parallel()
    y = model(IMAGES)
    np.testing.assert_array_equal(y[..., :1], model.window(IMAGES))
    np.testing.assert_array_equal(y[..., 1:], model.bend(IMAGES))


def test_volumes():
    identity = jnp.asarray(stn.Affine(3).identity())
    function = snn.SpatialTransformer(
        lambda x: jnp.broadcast_to(identity, (len(x), 12)), stn.Affine(3)
    )
    np.testing.assert_allclose(function(VOLUMES), VOLUMES, atol=1e-5)
    network = transformer((8, 6, 7, 1), stn.Affine(3))
    np.testing.assert_allclose(network(VOLUMES), VOLUMES, atol=1e-5)
    half = snn.SpatialTransformer(
        snn.FullyConnectedLocalization((8, 6, 7, 1), stn.Affine(3), shrink=3, rngs=nnx.Rngs(0)),
        stn.Affine(3),
        downsample_factor=2,
    )
    assert half(VOLUMES).shape == (2, 4, 3, 3, 1)


def test_tree_mode():
    """The modules are plain trees: no reference is shared, and nothing is sown by a call."""
    model = Deep()
    before = nnx.split(model, graph=False)[1]
    leaves = jax.tree.leaves(before)
    assert len(leaves) == len({id(leaf) for leaf in leaves}) == 10
    y = jax.jit(lambda model, x: model(x))(model, IMAGES)
    model(IMAGES)
    graph, after = nnx.split(model, graph=False)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    np.testing.assert_allclose(nnx.merge(graph, after)(IMAGES), y, atol=1e-6)

    model.second.localization = model.first.localization
    with pytest.raises(ValueError, match="shared"):
        nnx.split(model, graph=False)
