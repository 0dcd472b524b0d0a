"""Projective maps: the horizon, and the sign of W."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn


def test_horizon_reads_outside_and_has_no_nan() -> None:
    theta = jnp.eye(3).at[2, 0].set(-1.0)  # W = 1 - x: the horizon is the line x = 1

    def total(theta: jax.Array) -> jax.Array:
        grid = stn.projective_grid(theta, (3, 3), align_corners=True)
        return jnp.sum(stn.grid_sample(jnp.ones((4, 4, 1)), grid, align_corners=True))

    grid = stn.projective_grid(theta, (3, 3), align_corners=True)
    assert jnp.all(grid[:, 2] > 100)
    assert jnp.isfinite(jax.grad(total)(theta)).all()
    behind = stn.projective_grid(theta.at[2, 0].set(-3.0), (3, 3), align_corners=True)
    assert jnp.all(behind[:, 2] > 100)


def birds_eye() -> tuple[np.ndarray, np.ndarray]:
    """A road seen from above: its horizon is at y = -1.5, so the way back has one inside it."""
    theta = np.array([[0.6, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.4, 0.6]])
    return theta, theta.ravel()[:8] / theta[2, 2]


def test_what_its_parameters_cannot_express_is_refused_or_nan() -> None:
    _, params = birds_eye()
    shift = np.array([1, 0, 0, 0, 1, -1.6, 0, 0])  # the origin goes beyond the horizon
    family = stn.Projective()
    with pytest.raises(ValueError, match=r"Projective.compose gives .* = -0.0667"):
        family.compose(params, shift)
    with pytest.raises(ValueError, match=r"stn.compose\(transform.matrix"):
        family.compose(np.stack([family.identity(), params]), shift)
    assert jnp.isnan(jax.jit(family.compose)(params, shift)).all()
    beyond = np.array([1.0, 0, 0.5, 0, 1, 0, 4, 0])  # det = 1 - 4 * 0.5: the inverse has -1
    with pytest.raises(ValueError, match=r"Projective.invert gives .* = -1:"):
        family.invert(beyond)
    assert jnp.isnan(jax.jit(family.invert)(beyond)).all()
    assert np.isfinite(family.invert(np.array([1.0, 0, 0.5, 0, 1, 0, 1.9, 0]))).all()


def test_matrices_keep_what_is_in_front_in_front() -> None:
    theta, params = birds_eye()
    shift = np.array([[1, 0, 0], [0, 1, -1.6], [0, 0, 1.0]])
    points = np.asarray(stn.identity_grid((8, 8), dtype=np.float64)).reshape(-1, 2)
    for matrix in (stn.compose(theta, shift), stn.compose(theta, shift[:2]), 3 * (theta @ shift)):
        for grid in (stn.projective_grid(matrix, (8, 8)), stn.Projective().grid(matrix, (8, 8))):
            x, y, w = (theta @ shift) @ np.c_[points, np.ones(64)].T
            assert 10 < (w > 1e-5).sum() < 60
            right = np.where((w > 1e-5)[:, None], np.c_[x, y] / w[:, None], 1e6)
            np.testing.assert_allclose(grid.reshape(-1, 2), right, rtol=1e-9)
    np.testing.assert_allclose(
        stn.Projective().grid(params, (8, 8)), stn.projective_grid(theta, (8, 8)), atol=1e-12
    )


def test_the_inverse_matrix_has_the_sign_of_the_map() -> None:
    theta, _ = birds_eye()
    back = np.asarray(stn.invert(theta))
    np.testing.assert_allclose(back @ theta, np.eye(3), atol=1e-14)
    points = np.c_[np.random.default_rng(0).uniform(-1, 1, (20, 2)), np.ones(20)] @ theta.T
    assert (points[:, 2] > 0).all()
    assert ((points / points[:, 2:]) @ back.T)[:, 2].min() > 0
