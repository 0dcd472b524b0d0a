"""Blocks of the models: the same numbers as the plain networks of `stn_jax.nn`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType

import stn_jax as stn
import stn_jax.nn as snn
from stn_jax.models._blocks import ConvolutionalFeatures, convolutional_localization


@pytest.mark.parametrize("shape", [(17, 14, 2), (12, 10, 11, 1)], ids=["images", "volumes"])
def test_the_localization_network_is_that_of_nn(shape: tuple[int, ...]) -> None:
    transform = stn.Affine(len(shape) - 1)
    sizes: dict[str, Any] = {"filters": (3, 2), "hidden": (4,), "shrink": 2}
    plain = snn.ConvolutionalLocalization(
        shape, transform, kernel_size=2, **sizes, rngs=nnx.Rngs(0)
    )
    plain.head.kernel[...] += 0.1
    ours = convolutional_localization(
        shape, transform, kernel_sizes=(2, 2), pool_last=False, **sizes, rngs=nnx.Rngs(1)
    )
    parts: Any = ours.layers
    features, head = parts
    pairs: list[tuple[Any, Any]] = [
        *zip(features.layers, plain.convolutions, strict=True),
        *zip(head.hidden, plain.hidden, strict=True),
        (head.head, plain.head),
    ]
    for mine, its in pairs:
        mine.kernel[...], mine.bias[...] = its.kernel[...], its.bias[...] + 0.05
        its.bias[...] += 0.05
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32)

    def loss(net: Any, x: jax.Array) -> tuple[Any, ...]:
        theta = net(x)
        return jnp.sum(theta**2), theta

    found, expected = (
        jax.jit(jax.grad(functools.partial(loss, net), has_aux=True))(x) for net in (ours, plain)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("pool_last", [True, False])
def test_features_say_their_shape_and_know_their_input(pool_last: bool) -> None:
    net = ConvolutionalFeatures(
        (20, 16, 3), filters=(4, 5), kernel_sizes=(3, 2), shrink=2, pool_last=pool_last,
        rngs=nnx.Rngs(0),
    )  # fmt: skip
    assert net(jnp.ones((2, 20, 16, 3), jnp.float32)).shape == (2, *net.output_shape)
    assert net.output_shape == ((1, 1, 5) if pool_last else (3, 2, 5))
    with pytest.raises(ValueError, match=r"\(2, 3, 20, 16\).*\(b, 20, 16, 3\): move channels last"):
        net(jnp.ones((2, 3, 20, 16), jnp.float32))


@pytest.mark.parametrize("pool_last", [True, False])
def test_features_keep_the_batch_split_on_an_explicit_mesh(pool_last: bool) -> None:
    sizes: dict[str, Any] = {"filters": (2, 3), "kernel_sizes": (3, 2), "pool_last": pool_last}
    net = ConvolutionalFeatures((10, 9, 1), **sizes, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).random((4, 10, 9, 1), np.float32))
    mesh = jax.make_mesh((1,), ("b",), axis_types=(AxisType.Explicit,))
    with jax.numpy_rank_promotion("raise"), jax.set_mesh(mesh):
        features = net(jax.device_put(x, jax.P("b")))
    assert jax.typeof(features).sharding.spec[0] == "b"
    np.testing.assert_allclose(features, net(x), atol=1e-6)


def test_images_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="too small: convolution 1"):
        ConvolutionalFeatures((9, 9, 1), filters=(2, 2), kernel_sizes=(5, 3), rngs=nnx.Rngs(0))


def test_padded_convolutions_equal_flax() -> None:
    shape, rngs = (7, 6, 2), nnx.Rngs(0)
    features = ConvolutionalFeatures(
        shape, filters=(3,), kernel_sizes=(5,), pad=2, pool_last=False, rngs=rngs
    )
    plain = nnx.Conv(2, 3, (5, 5), padding="SAME", rngs=rngs)
    plain.kernel[...] = features.layers[0].kernel[...]
    x = jax.random.normal(jax.random.key(0), (4, *shape), jnp.float32)
    assert features.output_shape == (7, 6, 3)
    np.testing.assert_allclose(features(x), jax.nn.relu(plain(x)), atol=1e-5)
