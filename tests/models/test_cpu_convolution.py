"""The CPU's forms of convolution and pooling against XLA's own: values and both gradients."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stn_jax.models._cpu_convolution import convolve, convolve_and_pool, max_pool


def convolution(x: jax.Array, kernel: jax.Array) -> Any:
    """XLA's own."""
    n = x.ndim - 2
    letters = "DHW"[-n:]
    numbers = f"N{letters}C", f"{letters}IO", f"N{letters}C"
    return jax.lax.conv_general_dilated(x, kernel, (1,) * n, "VALID", dimension_numbers=numbers)


def value_and_derivatives(function: Callable[..., Any], x: jax.Array, kernel: jax.Array) -> Any:
    """Value, both gradients, and the derivative along one direction."""

    @jax.jit
    def compute(x: jax.Array, kernel: jax.Array) -> tuple[Any, ...]:
        y, pull = jax.vjp(function, x, kernel)
        weight = jnp.linspace(-1, 1, y.size, dtype=y.dtype).reshape(y.shape)
        _, dy = jax.jvp(function, (x, kernel), (x[::-1], kernel[..., ::-1]))
        return y, *pull(weight), dy

    return compute(x, kernel)


SHAPES = pytest.mark.parametrize(
    ("image", "kernel"),
    [
        ((2, 17, 18, 3), (7, 6, 3, 4)),  # sides odd and even, of images and of kernels
        ((2, 9, 7, 1), (2, 3, 1, 5)),
        ((3, 5, 5, 2), (4, 4, 2, 2)),  # one output
        ((2, 6, 6, 2), (1, 1, 2, 3)),
        ((2, 8, 9, 10, 2), (3, 2, 4, 2, 3)),  # a volume
        ((2, 6, 7, 2), (3, 2, 2, 40)),  # many filters
        ((1, 4, 5, 4, 2), (2, 3, 2, 2, 32)),
    ],
)


@SHAPES
def test_convolve_and_pool(image: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    arrays = jnp.asarray(random.normal(size=image)), jnp.asarray(random.normal(size=kernel))
    ours = value_and_derivatives(convolve_and_pool, *arrays)
    xlas = value_and_derivatives(lambda x, kernel: max_pool(convolution(x, kernel)), *arrays)
    for a, b in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@SHAPES
def test_convolve(image: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    arrays = jnp.asarray(random.normal(size=image)), jnp.asarray(random.normal(size=kernel))
    n = len(image) - 2
    numbers = jax.lax.conv_dimension_numbers(
        image, kernel, (f"N{'DHW'[-n:]}C", f"{'DHW'[-n:]}IO", f"N{'DHW'[-n:]}C")
    )
    ours = value_and_derivatives(
        lambda x, kernel: convolve(x, kernel, (1,) * n, "VALID", dimension_numbers=numbers), *arrays
    )
    for a, b in zip(ours, value_and_derivatives(convolution, *arrays), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "VALID"},
        {"strides": 2},
        {"strides": (1, 2)},
        {"padding": "SAME"},
        {"padding": "CIRCULAR"},
        {"padding": 1},
        {"padding": ((1, 0), (0, 2))},
        {"kernel_dilation": 2},
        {"input_dilation": 2, "padding": 0},
        {"feature_group_count": 2},
        {"precision": "highest"},
        {"preferred_element_type": jnp.float64},
    ],
    ids=str,
)
def test_convolve_equals_the_convolution_that_it_is_dropped_in_for(options: dict[str, Any]) -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 9, 2)))
    options = {"padding": "VALID", "param_dtype": jnp.float64} | options
    plain, ours = (
        nnx.Conv(2, 4, (3, 3), rngs=nnx.Rngs(0), conv_general_dilated=form, **options)
        for form in (jax.lax.conv_general_dilated, convolve)
    )
    np.testing.assert_allclose(ours(x), plain(x), atol=1e-12)


def test_convolve_with_other_layouts_and_without_any() -> None:
    x, kernel = jnp.ones((2, 3, 8, 8)), jnp.ones((4, 3, 3, 3))  # channels first, JAX's default
    expected = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID")
    np.testing.assert_allclose(convolve(x, kernel, (1, 1), "VALID"), expected)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other platforms convolve")
def test_a_plain_convolution_is_a_product_on_a_cpu() -> None:
    layer = nnx.Conv(2, 4, (3, 3), padding="VALID", rngs=nnx.Rngs(0), conv_general_dilated=convolve)
    shape = jax.ShapeDtypeStruct((2, 8, 8, 2), jnp.float32)
    assert " convolution(" not in str(jax.jit(layer.__call__).lower(shape).compile().as_text())


def test_max_pool_is_the_maximum_of_whole_windows() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 7, 3)))
    expected = x[:, :4, :6].reshape(2, 2, 2, 3, 2, 3).max((2, 4))
    np.testing.assert_array_equal(max_pool(x), expected)
    volumes = jnp.asarray(np.random.default_rng(0).normal(size=(1, 6, 4, 3, 2)))
    expected = volumes[:, :, :3].reshape(1, 2, 3, 1, 3, 1, 3, 2).max((2, 4, 6))
    np.testing.assert_array_equal(max_pool(volumes, 3), expected)


def test_at_a_tie_the_first_pixel_gets_the_gradient() -> None:
    x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((1, 1, 1, 1))
    expected = np.zeros((4, 4))
    expected[::2, ::2] = 1
    for pool in (lambda x: convolve_and_pool(x, kernel), max_pool):
        gradient = jax.grad(lambda x, pool=pool: pool(x).sum())(x)
        np.testing.assert_array_equal(gradient[0, ..., 0], expected)
