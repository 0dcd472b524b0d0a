"""Matrices compose and invert like the functions that they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import moved_by

import stn_jax as stn


@pytest.mark.parametrize("n", [2, 3])
def test_matrix_helpers_compose_like_functions(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = (jnp.asarray(rng.standard_normal((4, n, n + 1))) for _ in range(2))
    points = jnp.asarray(rng.standard_normal((4, n)))

    def apply(theta: jax.Array, p: jax.Array) -> jax.Array:
        return jnp.einsum("bij,bj->bi", theta[..., :-1], p) + theta[..., -1]

    np.testing.assert_allclose(apply(stn.compose(a, b), points), apply(a, apply(b, points)))
    np.testing.assert_allclose(apply(stn.invert(a), apply(a, points)), points, atol=1e-9)


def test_homographies_compose_and_invert_beside_affine_matrices() -> None:
    rng = np.random.default_rng(0)
    h, g = np.eye(3) + 0.1 * rng.standard_normal((2, 4, 3, 3))
    a = np.eye(2, 3) + 0.1 * rng.standard_normal((4, 2, 3))
    a3 = np.concatenate([a, np.broadcast_to([[0.0, 0.0, 1.0]], (4, 1, 3))], axis=1)
    points = rng.uniform(-1, 1, (4, 5, 2))
    for one, two, (m, n) in [((h), (g), (h, g)), (h, a, (h, a3)), (a, h, (a3, h))]:
        both = stn.compose(one, two)
        assert both.shape == (4, 3, 3)
        np.testing.assert_allclose(
            moved_by(both, points), moved_by(m, moved_by(n, points)), atol=1e-12
        )
    assert stn.compose(a, a).shape == (4, 2, 3)
    back = moved_by(np.asarray(stn.invert(h)), moved_by(h, points))
    np.testing.assert_allclose(back, points, atol=1e-12)


def test_inverses_neither_overflow_nor_underflow() -> None:
    for large, small in ((1e30, 1e-30), (1e-25, 1e-25), (2e25, 1e25)):
        theta = np.array([[0, large, large], [small, 0, small]], np.float32)
        inverse = np.asarray(stn.invert(theta), np.float64)
        by_hand = [[0, 1 / small, -1], [1 / large, 0, -1]]
        np.testing.assert_allclose(inverse, by_hand, rtol=1e-6)
    slide = np.array([[2, 0.5, 1e5], [0.25, 3, -2e5], [1e-6, -2e-6, 1]], np.float32)
    right = np.linalg.inv(slide.astype(np.float64))
    np.testing.assert_allclose(stn.invert(slide), right, rtol=1e-5)
    singular = stn.invert(np.array([[1, 2, 0], [0, 0, 0]], np.float32))
    assert not np.isfinite(singular).any(axis=1).all()
