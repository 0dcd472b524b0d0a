"""Convolution and pooling in the CPU's forms against XLA's own, values and both gradients."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.nn.layers import convolve_and_pool, made_once, max_pool


def convolution(x, kernel):
    """XLA's own."""
    n = x.ndim - 2
    letters = "DHW"[-n:]
    numbers = f"N{letters}C", f"{letters}IO", f"N{letters}C"
    return jax.lax.conv_general_dilated(x, kernel, (1,) * n, "VALID", dimension_numbers=numbers)


def outcome(function, x, kernel):
    """Value, both gradients, and both derivatives forward."""
    y, pull = jax.vjp(function, x, kernel)
    weight = jnp.linspace(-1, 1, y.size, dtype=y.dtype).reshape(y.shape)
    _, dy = jax.jvp(function, (x, kernel), (x[::-1], kernel[..., ::-1]))
    return y, *pull(weight), dy


@pytest.mark.parametrize(
    ("image", "kernel"),
    [
        ((2, 17, 18, 3), (7, 6, 3, 4)),  # sides odd and even, of images and of kernels
        ((2, 9, 7, 1), (2, 3, 1, 5)),
        ((3, 5, 5, 2), (4, 4, 2, 2)),  # one output
        ((2, 6, 6, 2), (1, 1, 2, 3)),
        ((2, 8, 9, 10, 2), (3, 2, 4, 2, 3)),  # a volume
    ],
)
def test_convolve_and_pool(image, kernel):
    random = np.random.default_rng(0)
    arrays = jnp.asarray(random.normal(size=image)), jnp.asarray(random.normal(size=kernel))
    ours = outcome(convolve_and_pool, *arrays)
    xlas = outcome(lambda x, kernel: max_pool(convolution(x, kernel)), *arrays)
    for a, b in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("bad", [0, 3])
def test_what_is_made_once_is_what_it_was(bad):
    """Also where the branch that nobody takes is taken: after a NaN."""
    x = jnp.arange(12.0).reshape(4, 3).at[bad, 0].set(jnp.nan)
    np.testing.assert_array_equal(jax.jit(made_once)(x), x)
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(3 * made_once(x)))(x), 3)
    np.testing.assert_array_equal(jax.vmap(made_once)(x), x)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="it is about XLA:CPU")
def test_what_is_made_once_is_made_once():
    """Without it XLA:CPU takes a sine for each of the nine windows that read it."""
    windows = np.arange(20, dtype=np.int32)[:, None] + np.arange(9, dtype=np.int32)

    def loops_that_read_and_take_sines(keep):
        function = jax.jit(lambda x: jnp.take(keep(jnp.sin(x)), windows, axis=1, mode="clip"))
        text = function.lower(jnp.ones((8, 28), jnp.float32)).compile().as_text()
        bodies = re.findall(r"^%.*?^}", text, flags=re.MULTILINE | re.DOTALL)
        return sum(" sine(" in body and " gather(" in body for body in bodies)

    assert loops_that_read_and_take_sines(made_once) == 0
    assert loops_that_read_and_take_sines(lambda y: y) > 0
