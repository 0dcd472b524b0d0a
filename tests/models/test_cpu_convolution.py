"""Convolution and pooling in the CPU's forms against XLA's own, values and both gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.nn.convolution import convolve_and_pool, max_pool


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
