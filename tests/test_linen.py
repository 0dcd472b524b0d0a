"""The Linen twins: the same results and arguments as NNX's, and they train."""

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stn_jax as stn
import stn_jax.nn as snn
from stn_jax import linen

RNG = np.random.default_rng(0)
IMAGES: Any = RNG.random((3, 14, 12, 1)).astype(np.float32)  # of NumPy, which layers take too
THETA = (np.eye(2, 3).ravel() + 0.2 * RNG.standard_normal((3, 6))).astype(np.float32)
OPTIONS = [
    {},
    {
        "downsample_factor": 1.5,
        "mode": "bicubic",
        "padding_mode": "fill",
        "fill_value": 0.5,
        "align_corners": True,
    },
]


@pytest.mark.parametrize("options", OPTIONS, ids=["defaults", "options"])
def test_the_same_as_nnx(options: dict[str, Any]) -> None:
    def localization(x: jax.Array) -> jax.Array:
        return jnp.asarray(THETA)

    ours = linen.SpatialTransformer(localization, stn.Affine(), **options)
    theirs = snn.SpatialTransformer(localization, stn.Affine(), **options)
    np.testing.assert_array_equal(ours.apply({}, IMAGES), theirs(IMAGES))
    for a, b in zip(ours.apply({}, IMAGES, method="warp"), theirs.warp(IMAGES), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["FullyConnectedLocalization", "ConvolutionalLocalization"])
def test_the_same_arguments_as_nnx(name: str) -> None:
    fields = {
        field.name: field.default
        for field in dataclasses.fields(getattr(linen, name))
        if field.name not in ("parent", "name")
    }
    signature = inspect.signature(getattr(snn, name).__init__).parameters.values()
    theirs = {
        parameter.name: dataclasses.MISSING
        if parameter.default is parameter.empty
        else parameter.default
        for parameter in signature
        if parameter.name not in ("self", "input_shape", "rngs")
    }
    assert fields == theirs


@pytest.fixture
def rank_promotion() -> Iterator[None]:
    """Flax adds biases."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("kind", ["fc", "conv"])
@pytest.mark.usefixtures("rank_promotion")
def test_localization_is_nnx_localization(kind: str) -> None:
    """With the same parameters the networks give the same theta."""
    transform, shape = stn.Projective(), (14, 12, 1)
    options: dict[str, Any] = {"hidden": (5, 4), "shrink": 2}
    net: nn.Module
    twin: Any
    if kind == "fc":
        net = linen.FullyConnectedLocalization(transform, **options)
        twin = snn.FullyConnectedLocalization(shape, transform, **options, rngs=nnx.Rngs(0))
        convolutions = []
    else:
        options |= {"filters": (3, 2), "kernel_size": 2}
        net = linen.ConvolutionalLocalization(transform, **options)
        twin = snn.ConvolutionalLocalization(shape, transform, **options, rngs=nnx.Rngs(0))
        convolutions = twin.convolutions
    params = net.init(jax.random.key(0), IMAGES)["params"]
    np.testing.assert_array_equal(params["head"]["bias"], transform.identity())
    assert not params["head"]["kernel"].any()
    params["head"]["kernel"] += 0.1
    layers: dict[str, Any] = {"head": twin.head}
    layers |= {f"Dense_{i}": layer for i, layer in enumerate(twin.hidden)}
    layers |= {f"Conv_{i}": layer for i, layer in enumerate(convolutions)}
    assert layers.keys() == params.keys()
    for name, layer in layers.items():
        layer.kernel[...], layer.bias[...] = params[name]["kernel"], params[name]["bias"]
    theta = net.apply({"params": params}, IMAGES)
    assert jnp.all(theta != transform.identity())
    np.testing.assert_array_equal(theta, twin(IMAGES))


class Net(nn.Module):
    """A transformer before a classifier, as a Linen user writes it."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        localization = linen.FullyConnectedLocalization(stn.Affine(), hidden=(4,), name="localize")
        x = linen.SpatialTransformer(localization, stn.Affine(), shape=(6, 7))(x)
        return nn.Dense(2)(x.reshape(x.shape[0], -1))


def test_a_network_trains() -> None:
    net, x = Net(), jnp.asarray(IMAGES)
    params = net.init(jax.random.key(0), x)

    @jax.jit
    @jax.value_and_grad
    def loss(params: Any) -> jax.Array:
        logits: Any = net.apply(params, x)
        return jnp.mean((logits - 1) ** 2)

    before, gradient = loss(params)
    localization = gradient["params"]["localize"]
    assert jnp.all(localization["head"]["bias"] != 0)
    assert jnp.any(localization["head"]["kernel"] != 0)
    params = jax.tree.map(lambda p, g: p - jnp.float32(0.02) * g, params, gradient)
    after, gradient = loss(params)
    assert after < before
    assert jnp.any(gradient["params"]["localize"]["Dense_0"]["kernel"] != 0)


def test_starts_as_the_identity_under_jit_and_vmap() -> None:
    layer = linen.SpatialTransformer(
        linen.FullyConnectedLocalization(stn.Attention()), stn.Attention()
    )
    params = layer.init(jax.random.key(0), IMAGES)
    y = jax.jit(layer.apply)(params, IMAGES)
    np.testing.assert_allclose(y, IMAGES, atol=1e-5)
    stacked: Any = jax.vmap(lambda x: layer.apply(params, x))(jnp.stack([IMAGES, IMAGES[::-1]]))
    np.testing.assert_allclose(stacked, [IMAGES, IMAGES[::-1]], atol=1e-5)


def test_volumes() -> None:
    volumes = jnp.asarray(IMAGES.reshape(3, 4, 6, 7, 1))
    localization = linen.ConvolutionalLocalization(
        stn.Affine(3), filters=(2,), kernel_size=2, hidden=()
    )
    layer = linen.SpatialTransformer(localization, stn.Affine(3))
    y, _ = layer.init_with_output(jax.random.key(0), volumes)
    np.testing.assert_allclose(y, volumes, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "shape", "words"),
    [
        (linen.ConvolutionalLocalization(stn.Affine()), (3, 14, 12, 1),
         "convolution 1 has kernel_size 5 and sees 5x4 pixels"),
        (linen.FullyConnectedLocalization(stn.Affine(), shrink=20), (3, 14, 12, 1),
         "shrink=20 leaves nothing of an input of 14x12 pixels"),
        (linen.FullyConnectedLocalization(stn.Affine(3)), (3, 14, 12, 1),
         r"x has shape \(3, 14, 12, 1\); .* needs \(b, d, h, w, c\)"),
        (linen.ConvolutionalLocalization(stn.Affine()), (14, 12, 1),
         r"x has shape \(14, 12, 1\); .* needs \(b, h, w, c\)"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused(
    network: Any, shape: tuple[int, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        network.init(jax.random.key(0), jnp.ones(shape))


@pytest.mark.parametrize(
    ("network", "shape", "words"),
    [
        (linen.FullyConnectedLocalization(stn.Affine()), (3, 14, 14, 1),
         r"x has shape \(3, 14, 14, 1\), which gives Dense_0 196 inputs; .* initialised for 168"),
        (linen.FullyConnectedLocalization(stn.Affine(), hidden=()), (3, 12, 12, 1),
         "gives head 144 inputs; .* initialised for 168"),
        (linen.ConvolutionalLocalization(stn.Affine(), kernel_size=2), (3, 14, 12, 3),
         r"x has shape \(3, 14, 12, 3\), which gives Conv_0 3 inputs; .* initialised for 1"),
        (linen.ConvolutionalLocalization(stn.Affine(), kernel_size=2), (3, 16, 12, 1),
         r"x has shape \(3, 16, 12, 1\), which gives Dense_0 .* inputs"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_the_parameters_are_refused(
    network: Any, shape: tuple[int, ...], words: str
) -> None:
    variables = network.init(jax.random.key(0), IMAGES)
    with pytest.raises(ValueError, match=words):
        network.apply(variables, jnp.ones(shape, jnp.float32))


@pytest.mark.parametrize(
    "options", [{"hidden": (4, 0)}, {"shrink": 0}, {"filters": (0,)}, {"kernel_size": 0}], ids=str
)
def test_sizes_that_are_not_positive_are_refused_at_construction(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}=.* give positive integers"):
        linen.ConvolutionalLocalization(stn.Affine(), **options)
