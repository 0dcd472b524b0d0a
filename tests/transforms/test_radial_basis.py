"""Radial basis functions: the kernel, its linear system, products of many terms."""

import jax
import jax.numpy as jnp
import numpy as np

from stn_jax.transforms import radial_basis


def test_bump_is_r2_log_r2_and_flat_at_zero() -> None:
    r2 = jnp.array([0.0, 0.25, 1.0, 4.0])
    expected = [0.0, 0.25 * np.log(0.25), 0.0, 4 * np.log(4)]
    np.testing.assert_allclose(radial_basis.bump(jnp, r2), expected, atol=1e-15)
    slope = jax.vmap(jax.grad(lambda r: radial_basis.bump(jnp, r)))(r2)
    np.testing.assert_allclose(slope, [0.0, np.log(0.25) + 1, 1.0, np.log(4) + 1], atol=1e-14)


def test_the_system_holds_kernel_plane_and_zeros() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    matrix = radial_basis.system(np, points, 0.5)
    four, five = 4 * np.log(4), 5 * np.log(5)
    np.testing.assert_allclose(
        matrix,
        [
            [0.5, 0.0, four, 1, 0, 0],
            [0.0, 0.5, five, 1, 1, 0],
            [four, five, 0.5, 1, 0, 2],
            [1, 1, 1, 0, 0, 0],
            [0, 1, 0, 0, 0, 0],
            [0, 0, 2, 0, 0, 0],
        ],
        atol=1e-15,
    )


def test_a_product_of_any_number_of_terms() -> None:
    for k in (1, 31, 32, 33, 100):
        a, b = np.random.default_rng(k).standard_normal((2, 5, k))
        ours = radial_basis.product(jnp.asarray(a), jnp.asarray(b.T))
        np.testing.assert_allclose(ours, a @ b.T, atol=1e-12)


def test_the_unit_is_the_mean_and_the_longest_extent() -> None:
    centre, size = radial_basis.unit(np, np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 6.0]]))
    np.testing.assert_allclose(centre, [0.0, 2.0])
    assert size == 6.0
