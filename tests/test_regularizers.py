"""Penalties are zero where nothing is wrong, and pull the right way where something is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn

SHAPES = {2: (5, 6), 3: (3, 4, 5)}
PENALTIES = [stn.outside_penalty, stn.identity_penalty, stn.folding_penalty]


def jittered(n, scale=0.02, seed=0):
    shape = SHAPES[n]
    noise = np.random.default_rng(seed).standard_normal((2, *shape, n))
    return stn.identity_grid(shape, dtype=jnp.float64) + scale * noise


@pytest.mark.parametrize("n", [2, 3])
def test_the_identity_costs_nothing(n):
    for align_corners in (False, True):
        grid = stn.identity_grid(SHAPES[n], align_corners=align_corners, dtype=jnp.float64)
        assert stn.outside_penalty(grid) == 0
        assert stn.identity_penalty(grid, align_corners=align_corners) == 0
        assert stn.folding_penalty(grid, align_corners=align_corners) == 0
        determinant = stn.jacobian_determinant(grid, align_corners=align_corners)
        assert determinant.shape == tuple(size - 1 for size in SHAPES[n])
        np.testing.assert_allclose(determinant, 1, rtol=1e-12)


@pytest.mark.parametrize("n", [2, 3])
def test_determinant_of_an_affine_map_is_its_matrix_s(n):
    theta = jnp.asarray(np.random.default_rng(n).standard_normal((4, n, n + 1)))
    determinant = stn.jacobian_determinant(stn.affine_grid(theta, SHAPES[n]))
    expected = np.linalg.det(np.asarray(theta)[..., :n])
    np.testing.assert_allclose(determinant[:, 0, 1].reshape(4, -1)[:, 0], expected, rtol=1e-9)
    folded = stn.folding_penalty(stn.affine_grid(theta, SHAPES[n]))
    np.testing.assert_allclose(folded, np.maximum(-expected, 0), rtol=1e-9)


def test_a_mirrored_patch_is_a_fold():
    grid = stn.identity_grid((6, 6), dtype=jnp.float64)
    folded = grid.at[2:4].set(grid[2:4][::-1])  # two rows change places
    signs = jnp.sign(stn.jacobian_determinant(folded))
    np.testing.assert_array_equal(signs[:, 0], [1, 1, -1, 1, 1])
    assert stn.folding_penalty(folded) > 0
    assert stn.folding_penalty(grid, margin=1.5) == pytest.approx(0.5)


@pytest.mark.parametrize("n", [2, 3])
def test_descent_mends_what_is_wrong(n):
    """A step against the gradient lowers each penalty, and the gradient is finite."""
    far = 1.5 * jittered(n, 0.5)
    for penalty in PENALTIES:
        before, gradient = jax.value_and_grad(lambda grid, f=penalty: jnp.sum(f(grid)))(far)
        assert jnp.isfinite(gradient).all()
        assert jnp.any(gradient != 0)
        assert jnp.sum(penalty(far - 1e-3 * gradient)) < before
        assert penalty(far).shape == (2,)


def test_outside_is_a_distance():
    grid = jnp.array([[[0.5, 3.0], [-2.0, 0.0]]])
    assert stn.outside_penalty(grid) == pytest.approx((2 + 1) / 2)


def test_velocity_fields_do_not_fold_where_flows_do():
    """The same strong field, once as a displacement and once as a velocity."""
    x, y = jnp.moveaxis(stn.identity_grid((32, 32)), -1, 0)
    window = (jnp.cos(jnp.pi * x / 2) * jnp.cos(jnp.pi * y / 2)) ** 2
    field = jnp.stack([jnp.sin(6 * x) * window, jnp.zeros_like(x)], axis=-1)
    assert stn.folding_penalty(stn.flow_grid(field)) > 0.01
    assert stn.folding_penalty(stn.velocity_grid(field)) == 0


@pytest.mark.parametrize("function", [*PENALTIES, stn.jacobian_determinant])
def test_errors_say_what_to_do(function):
    with pytest.raises(ValueError, match=r"grid has shape \(4, 4, 4\); it must be"):
        function(jnp.zeros((4, 4, 4)))
    with pytest.raises(ValueError, match="grid has shape"):
        stn.jacobian_determinant(jnp.zeros((1, 4, 2)))
