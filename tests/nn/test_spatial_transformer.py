"""The layer: begins as the identity, trains its localization network, works in NNX's tree mode."""

from collections.abc import Callable
from typing import Any

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
# Of NumPy, which layers take too.
IMAGES: Any = np.random.default_rng(0).random((3, 20, 24, 1)).astype(np.float32)


def layer(transform: stn.Transform, kind: str = "fc", **options: Any) -> snn.SpatialTransformer:
    rngs = nnx.Rngs(0)
    net: Callable[[jax.Array], jax.Array]
    if kind == "fc":
        net = snn.FullyConnectedLocalization((20, 24, 1), transform, shrink=2, rngs=rngs)
    else:
        net = snn.ConvolutionalLocalization((20, 24, 1), transform, filters=(4, 4), rngs=rngs)
    return snn.SpatialTransformer(net, transform, **options)


@pytest.mark.parametrize(("transform", "kind"), CASES, ids=str)
def test_untrained_moves_nothing_and_learns(transform: stn.Transform, kind: str) -> None:
    graph, params, *rest = nnx.split(layer(transform, kind), nnx.Param, ...)

    @jax.jit
    def evaluate(params: Any) -> Any:
        def loss(params: Any) -> tuple[Any, ...]:
            features = nnx.merge(graph, params, *rest, copy=True)(IMAGES)
            return jnp.mean(features[:, :10] ** 2), features

        return jax.grad(loss, has_aux=True)(params)

    gradient, features = evaluate(params)
    np.testing.assert_allclose(features, IMAGES, atol=1e-4)
    head = gradient["localization"]["head"]
    assert jnp.all(head["bias"][...] != 0)
    assert jnp.isfinite(head["kernel"][...]).all()
    assert jnp.any(head["kernel"][...] != 0)


def test_output_shapes() -> None:
    transform = stn.Affine()
    assert layer(transform, shape=(7, 5))(IMAGES).shape == (3, 7, 5, 1)
    assert layer(transform, downsample_factor=3)(IMAGES).shape == (3, 6, 8, 1)


def test_warp_returns_features_theta_and_grid() -> None:
    warp = layer(stn.Affine(), shape=(7, 5), padding_mode="border").warp(jnp.asarray(IMAGES))
    assert warp.theta.shape == (3, 6)
    np.testing.assert_allclose(warp.grid, stn.affine_grid(warp.theta.reshape(3, 2, 3), (7, 5)))
    np.testing.assert_allclose(
        warp.features, stn.grid_sample(IMAGES, warp.grid, padding_mode="border")
    )


@pytest.mark.parametrize("transform", [stn.Attention(), stn.Rigid()], ids=str)
def test_antialias_is_that_of_spatial_transform(transform: stn.Transform) -> None:
    """By matrices for attention, from the pyramid for a rotation; both smooth noise."""
    small = layer(transform, shape=(5, 6), padding_mode="border", antialias=True)
    identity = jnp.asarray(transform.identity())
    expected = stn.spatial_transform(
        IMAGES, identity, (5, 6), transform=transform, antialias=True, padding_mode="border"
    )
    np.testing.assert_allclose(small(IMAGES), expected, atol=1e-6)
    plain = layer(transform, shape=(5, 6), padding_mode="border")(IMAGES)
    assert jnp.std(small(IMAGES)) < 0.7 * jnp.std(plain)


def test_any_function_can_localize() -> None:
    shift = snn.SpatialTransformer(lambda x: jnp.zeros((len(x), 2), x.dtype), stn.Translation())
    np.testing.assert_allclose(shift(IMAGES), IMAGES, atol=1e-5)


@pytest.mark.parametrize("fill", [0.25, np.float32(0.25), [0.25], jnp.array([0.25])])
def test_a_fill_value_is_no_parameter(fill: Any) -> None:
    away = snn.SpatialTransformer(
        lambda x: jnp.full((len(x), 2), 9, x.dtype),
        stn.Translation(),
        padding_mode="fill",
        fill_value=fill,
    )
    graph, params = nnx.split(away, nnx.Param)
    assert not jax.tree.leaves(params)
    with jax.enable_x64(False):
        np.testing.assert_array_equal(nnx.merge(graph, params)(IMAGES), np.full_like(IMAGES, 0.25))


def test_theta_may_be_matrices() -> None:
    theta = np.tile(np.array([[-1, 0, 0], [0, 1, 0]], np.float32), (3, 1, 1))
    warp = snn.SpatialTransformer(lambda x: jnp.asarray(theta)).warp(IMAGES)
    assert warp.theta.shape == (3, 6)
    np.testing.assert_allclose(warp.features, IMAGES[:, :, ::-1], atol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"params has shape \(3, 2\); Affine.* needs \(\*batch, 6\)"
    ):
        snn.SpatialTransformer(lambda x: jnp.zeros((3, 2)))(IMAGES)
    with pytest.raises(ValueError, match=r"x has shape \(20, 24\); Affine.*\(b, h, w, c\)"):
        snn.SpatialTransformer(lambda x: jnp.zeros(6))(IMAGES[0, ..., 0])
    with pytest.raises(ValueError, match=r"\(3, 1, 20, 24\).*\(b, 20, 24, 1\): move channels last"):
        layer(stn.Affine())(jnp.asarray(IMAGES).transpose(0, 3, 1, 2))


def test_one_program_for_every_batch() -> None:
    model = layer(stn.Affine(), downsample_factor=1.5)
    (b,) = jax.export.symbolic_shape("b")
    shape = jax.ShapeDtypeStruct((b, *IMAGES.shape[1:]), IMAGES.dtype)
    exported = jax.export.export(jax.jit(model.__call__))(shape)
    np.testing.assert_allclose(exported.call(IMAGES), model(IMAGES), atol=1e-6)


# ---- in networks: side by side, one behind the other, on volumes ---------------------------------

BATCH: Any = np.random.default_rng(0).random((2, 12, 10, 1)).astype(np.float32)
VOLUMES: Any = np.random.default_rng(0).random((2, 8, 6, 7, 1)).astype(np.float32)


def transformer(
    input_shape: tuple[int, ...], transform: stn.Transform, **options: Any
) -> snn.SpatialTransformer:
    net = snn.FullyConnectedLocalization(input_shape, transform, hidden=(4,), rngs=nnx.Rngs(0))
    return snn.SpatialTransformer(net, transform, **options)


class Parallel(nnx.Module):
    """Two transformers look at the same images (paper, section 4.3)."""

    def __init__(self) -> None:
        self.window = transformer((12, 10, 1), stn.Attention(), shape=(6, 5))
        self.bend = transformer((12, 10, 1), stn.ThinPlateSpline((3, 3)), shape=(6, 5))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.concatenate([self.window(x), self.bend(x)], axis=-1)


class Deep(nnx.Module):
    """A transformer on images, and one on the feature maps of a convolution (section 4.3)."""

    def __init__(self) -> None:
        self.first = transformer((12, 10, 1), stn.Affine(), padding_mode="border")
        self.conv = nnx.Conv(1, 3, (3, 3), rngs=nnx.Rngs(0))
        self.second = transformer((12, 10, 3), stn.Translation(), downsample_factor=2)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.second(nnx.relu(self.conv(self.first(x))))


class Volumetric(nnx.Module):
    """A transformer of volumes that a convolutional network localizes."""

    def __init__(self) -> None:
        transform = stn.Affine(3)
        net = snn.ConvolutionalLocalization(
            (8, 6, 7, 1), transform, filters=(2, 2), kernel_size=2, hidden=(3,), rngs=nnx.Rngs(0)
        )
        self.layer = snn.SpatialTransformer(net, transform, shape=(4, 5, 5))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(x)


def evaluate(model: Any, x: jax.Array) -> tuple[Any, Any]:
    """Returns the model's output and the gradient of its parameters, jitted, in tree mode."""
    graph, params, *rest = nnx.split(model, nnx.Param, ..., graph=False)

    @jax.jit
    def run(params: Any, rest: Any, x: jax.Array) -> Any:
        def loss(params: Any) -> tuple[Any, ...]:
            y = nnx.merge(graph, params, *rest)(x)
            weight = jnp.linspace(0, 1, y.size, dtype=y.dtype).reshape(y.shape)
            return jnp.mean(weight * y**2), y

        return jax.grad(loss, has_aux=True)(params)

    gradient, y = run(params, rest, x)
    return y, gradient


@pytest.mark.parametrize(
    ("build", "x", "shape", "layers"),
    [
        (Parallel, BATCH, (2, 6, 5, 2), ("window", "bend")),
        (Deep, BATCH, (2, 6, 5, 3), ("first", "second")),
        (Volumetric, VOLUMES, (2, 4, 5, 5, 1), ("layer",)),
    ],
    ids=["parallel", "deep", "volumes"],
)
def test_gradients_reach_every_transformer(
    build: type[Any], x: Any, shape: tuple[int, ...], layers: tuple[str, ...]
) -> None:
    y, gradient = evaluate(build(), x)
    assert y.shape == shape
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    for name in layers:
        head = gradient[name]["localization"]["head"]
        assert jnp.all(head["bias"][...] != 0)
        assert jnp.any(head["kernel"][...] != 0)


def test_parallel_transformers_do_not_influence_each_other() -> None:
    model = Parallel()
    y = model(BATCH)
    np.testing.assert_array_equal(y[..., :1], model.window(BATCH))
    np.testing.assert_array_equal(y[..., 1:], model.bend(BATCH))


def test_volumes() -> None:
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


def test_tree_mode() -> None:
    """The modules are plain trees: no reference is shared, and nothing is sown by a call."""
    model = Deep()
    before = nnx.split(model, graph=False)[1]
    leaves = jax.tree.leaves(before)
    assert len(leaves) == len({id(leaf) for leaf in leaves}) == 10
    y = jax.jit(lambda model, x: model(x))(model, BATCH)
    model(BATCH)
    graph, after = nnx.split(model, graph=False)
    structures: list[Any] = [jax.tree.structure(tree) for tree in (before, after)]
    assert structures[0] == structures[1]
    np.testing.assert_allclose(nnx.merge(graph, after)(BATCH), y, atol=1e-6)

    model.second.localization = model.first.localization
    with pytest.raises(ValueError, match="shared"):
        nnx.split(model, graph=False)
