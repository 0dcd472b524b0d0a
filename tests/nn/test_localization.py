"""Localization networks: they begin as the identity and know the input that they were built for."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType

import stn_jax as stn
import stn_jax.nn as snn
from stn_jax.nn.localization import average_pool, convolved_shape

NETWORKS = [snn.FullyConnectedLocalization, snn.ConvolutionalLocalization]
each_network = pytest.mark.parametrize("network", NETWORKS, ids=["fc", "conv"])


def kernel(network: Any, size: int = 3) -> dict[str, int]:
    return {"kernel_size": size} if network is snn.ConvolutionalLocalization else {}


@each_network
@pytest.mark.parametrize(
    "transform", [stn.Affine(), stn.Projective(), stn.ThinPlateSpline((3, 3))], ids=str
)
def test_begins_as_the_identity_of_any_transform(
    network: type[Any], transform: stn.Transform
) -> None:
    net = network((12, 14, 2), transform, rngs=nnx.Rngs(0), **kernel(network))
    x = np.random.default_rng(0).random((3, 12, 14, 2)).astype(np.float32)
    np.testing.assert_array_equal(net(x), np.tile(transform.identity(), (3, 1)))


def test_the_convolutional_network_is_what_its_docstring_says() -> None:
    """Against NumPy: convolution - relu - max-pool 2 - convolution - relu - linear."""
    net = snn.ConvolutionalLocalization(
        (9, 8, 2), stn.Affine(), filters=(3, 4), kernel_size=2, hidden=(), rngs=nnx.Rngs(0)
    )
    net.head.kernel[...] = jnp.linspace(-1, 1, net.head.kernel.size).reshape(-1, 6).astype("f4")
    x = np.random.default_rng(0).standard_normal((2, 9, 8, 2)).astype(np.float32)

    def convolve(x: np.ndarray, layer: Any) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (1, 2))
        y = np.einsum("bhwcij,ijcf->bhwf", windows, np.asarray(layer.kernel))
        return np.asarray(np.maximum(y + np.asarray(layer.bias), 0))

    y = convolve(x, net.convolutions[0])[:, :8, :6].reshape(2, 4, 2, 3, 2, 3).max((2, 4))
    y = convolve(y, net.convolutions[1]).reshape(2, -1)
    expected = y @ np.asarray(net.head.kernel) + stn.Affine().identity()
    np.testing.assert_allclose(net(jnp.asarray(x)), expected, atol=1e-4)


@each_network
def test_promotes_no_rank_and_keeps_the_batch_split_on_an_explicit_mesh(network: type[Any]) -> None:
    net = network((12, 14, 2), stn.Affine(), shrink=2, rngs=nnx.Rngs(0), **kernel(network, 2))
    mesh = jax.make_mesh((1,), ("b",), axis_types=(AxisType.Explicit,))
    with jax.numpy_rank_promotion("raise"), jax.set_mesh(mesh):
        x = jax.device_put(jnp.ones((3, 12, 14, 2), jnp.float32), jax.P("b"))
        theta = net(x)
    assert jax.typeof(theta).sharding.spec == jax.P("b", None)


@each_network
@pytest.mark.parametrize(
    ("built", "given", "hint"),
    [
        ((28, 28, 3), (2, 3, 28, 28), "move channels last"),
        ((28, 28, 1), (28, 28, 1), "add a batch axis"),
        ((28, 28, 1), (2, 28, 28), "add the channel axis"),
        ((28, 28, 1), (2, 32, 32, 1), "build it for this size"),
        ((8, 8, 3), (2, 8, 24, 1), "build it for this size"),  # as many numbers
        ((28, 28, 1), (4, 2, 28, 28, 1), "build it for this size"),
        ((28, 28, 1), (), "build it for this size"),
    ],
)
def test_an_input_of_another_shape_is_refused_with_a_remedy(
    network: type[Any], built: tuple[int, ...], given: tuple[int, ...], hint: str
) -> None:
    net = network(built, stn.Affine(), rngs=nnx.Rngs(0), **kernel(network))
    message = f"x has shape {given}; this network was built for (b, {str(built)[1:]}: {hint}"
    with pytest.raises(ValueError, match=re.escape(message)):
        jax.eval_shape(net, jax.ShapeDtypeStruct(given, jnp.float32))


@each_network
@pytest.mark.parametrize(
    ("input_shape", "options", "words"),
    [
        ((4, 5, 6, 1), {}, r"input_shape=\(4, 5, 6, 1\) does not fit .*\(h, w, c\)"),
        ((5, 6, 1), {"transform": stn.Affine(3)}, r"\(5, 6, 1\) does not fit .*\(d, h, w, c\)"),
        ((0, 6, 1), {}, r"input_shape=\(0, 6, 1\) does not fit"),
        ((9, 9, 1), {"hidden": (4, 0)}, r"hidden=\(4, 0\) does not fit"),
        ((9, 9, 1), {"hidden": 4}, "hidden=4 does not fit; give a tuple"),
        ((9, 9, 1), {"shrink": 1.5}, r"shrink=1\.5 does not fit"),
        ((9, 9, 1), {"shrink": 0}, "shrink=0 does not fit"),
        ((9, 8, 1), {"shrink": 9}, "shrink=9 leaves nothing of an input of 9x8 pixels"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_at_construction(
    network: type[Any], input_shape: tuple[int, ...], options: dict[str, Any], words: str
) -> None:
    options = {"transform": stn.Affine()} | options
    with pytest.raises(ValueError, match=words):
        network(input_shape, rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize("options", [{"filters": (4, 0)}, {"kernel_size": 0}], ids=str)
def test_convolutions_without_size_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        snn.ConvolutionalLocalization((9, 9, 1), stn.Affine(), rngs=nnx.Rngs(0), **options)


def test_average_pool_is_the_mean_of_whole_windows() -> None:
    x = jnp.arange(2 * 5 * 7 * 3, dtype=np.float32).reshape(2, 5, 7, 3)
    expected = x[:, :4, :6].reshape(2, 2, 2, 3, 2, 3).mean((2, 4))
    np.testing.assert_allclose(average_pool(x, 2), expected, rtol=1e-6)
    volumes = jnp.arange(4 * 3 * 5 * 2, dtype=np.float32).reshape(1, 4, 3, 5, 2)
    expected = volumes[:, :, :2, :4].reshape(1, 2, 2, 1, 2, 2, 2, 2).mean((2, 4, 6))
    np.testing.assert_allclose(average_pool(volumes, 2), expected, rtol=1e-6)
    assert average_pool(x, 1) is x


def test_the_shape_after_convolutions() -> None:
    assert convolved_shape((42, 42), (9, 7), pool_last=True) == (5, 5)
    assert convolved_shape((21, 21), (5, 5), pool_last=False) == (4, 4)
    assert convolved_shape((5, 6, 7), (), pool_last=True) == (5, 6, 7)
    with pytest.raises(
        ValueError, match="9x9 pixels is too small: convolution 1 has kernel_size 3"
    ):
        convolved_shape((9, 9), (5, 3), pool_last=True)
    with pytest.raises(ValueError, match="sees 3x9 pixels, which are pooled by 2"):
        convolved_shape((3, 9), (3,), pool_last=True)
