"""Order of convergence: how fast a smooth function's samples approach it as its lattice refines."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn

KERNELS = {
    "bilinear": {"mode": "bilinear"},
    "keys": {"mode": "bicubic", "cubic_coefficient": -0.5},
    "pytorch": {"mode": "bicubic", "cubic_coefficient": -0.75},
}
ORDERS = [("bilinear", 2), ("keys", 3), ("pytorch", 1)]


def smooth(*axes):
    """A product of ``exp(sin)``, each factor with another frequency and phase."""
    factors = [np.exp(np.sin((3 - 0.4 * k) * x + 0.7 * k)) for k, x in enumerate(axes)]
    return functools.reduce(np.multiply, factors)


def error(intervals, n, kernel):
    """Root mean square error at fixed random points, from samples at spacing 1 / intervals."""
    points = np.random.default_rng(0).uniform(0.2, 0.8, (4000, n))
    ticks = np.linspace(0, 1, intervals + 1)
    image = smooth(*np.meshgrid(*[ticks] * n, indexing="ij"))[..., None]
    coordinates = (points * intervals)[:, ::-1].reshape((1,) * (n - 1) + (4000, n))
    value = np.asarray(stn.sample_pixels(image, coordinates, **KERNELS[kernel])).reshape(-1)
    return np.sqrt(np.mean((value - smooth(*points.T)) ** 2))


@pytest.mark.parametrize(("kernel", "order"), ORDERS)
@pytest.mark.parametrize(("n", "sizes"), [(2, (32, 64, 128, 256)), (3, (16, 32, 64))])
def test_order_of_convergence(n, sizes, kernel, order):
    errors = [error(size, n, kernel) for size in sizes]
    slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.1, f"slope {slope:.3f}, errors {errors}"


@pytest.mark.parametrize("n", [2, 3])
def test_only_the_third_order_kernel_reproduces_a_linear_function(n):
    """PyTorch's coefficient reads a ramp at 3.25 as 3.297: its weights' first moment."""
    ramp = jnp.broadcast_to(jnp.arange(8.0)[:, None], (*[8] * n, 1))
    point = jnp.full((*[1] * n, n), 3.25)
    keys, pytorch = (
        float(stn.sample_pixels(ramp, point, **KERNELS[kernel]).squeeze())
        for kernel in ("keys", "pytorch")
    )
    np.testing.assert_allclose(keys, 3.25, rtol=0, atol=1e-14)
    np.testing.assert_allclose(pytorch, 3.296875, rtol=0, atol=1e-14)
