"""Penalties are zero where nothing is wrong, and pull the right way where something is."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn

SHAPES = {2: (5, 6), 3: (3, 4, 5)}
PENALTIES = [
    stn.outside_penalty,
    stn.identity_penalty,
    stn.folding_penalty,
    stn.smoothness_penalty,
]


def jittered(n: int, scale: float = 0.02, seed: int = 0) -> jax.Array:
    shape = SHAPES[n]
    noise = np.random.default_rng(seed).standard_normal((2, *shape, n))
    return stn.identity_grid(shape, dtype=jnp.float64)[None] + scale * noise


@pytest.mark.parametrize("n", [2, 3])
def test_the_identity_costs_nothing(n: int) -> None:
    for align_corners in (False, True):
        grid = stn.identity_grid(SHAPES[n], align_corners=align_corners, dtype=jnp.float64)
        assert stn.outside_penalty(grid) == 0
        assert stn.identity_penalty(grid, align_corners=align_corners) == 0
        assert stn.folding_penalty(grid, align_corners=align_corners) == 0
        smoothness = stn.smoothness_penalty(grid, align_corners=align_corners)
        np.testing.assert_allclose(smoothness, 0, atol=1e-28)
        determinant = stn.jacobian_determinant(grid, align_corners=align_corners)
        assert determinant.shape == tuple(size - 1 for size in SHAPES[n])
        np.testing.assert_allclose(determinant, 1, rtol=1e-12)


@pytest.mark.parametrize("n", [2, 3])
def test_determinant_of_an_affine_map_is_its_matrix_s(n: int) -> None:
    theta = jnp.asarray(np.random.default_rng(n).standard_normal((4, n, n + 1)))
    determinant = stn.jacobian_determinant(stn.affine_grid(theta, SHAPES[n]))
    expected = np.linalg.det(np.asarray(theta)[..., :n])
    np.testing.assert_allclose(determinant[:, 0, 1].reshape(4, -1)[:, 0], expected, rtol=1e-9)
    folded = stn.folding_penalty(stn.affine_grid(theta, SHAPES[n]))
    np.testing.assert_allclose(folded, np.maximum(-expected, 0), rtol=1e-9)


@pytest.mark.parametrize("n", [2, 3])
def test_smoothness_of_an_affine_map_is_its_distance_from_a_translation(n: int) -> None:
    theta = jnp.asarray(np.random.default_rng(n).standard_normal((4, n, n + 1)))
    for align_corners in (False, True):
        grid = stn.affine_grid(theta, SHAPES[n], align_corners=align_corners)
        found = stn.smoothness_penalty(grid, align_corners=align_corners)
        expected = ((np.asarray(theta)[..., :n] - np.eye(n)) ** 2).sum(axis=(1, 2))
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_smoothness_counts_every_bend() -> None:
    grid = jnp.asarray(stn.identity_grid((1, 5), dtype=jnp.float64)).repeat(2, axis=0)
    bent = grid.at[:, 2, 1].add(0.4)  # one point an axis step of 0.4 from its neighbours, twice
    difference = stn.smoothness_penalty(bent) - stn.smoothness_penalty(grid)
    np.testing.assert_allclose(difference, 2 * (0.4 / 0.4) ** 2 / 4)


def test_a_mirrored_patch_is_a_fold() -> None:
    grid = stn.identity_grid((6, 6), dtype=jnp.float64)
    folded = grid.at[2:4].set(grid[2:4][::-1])  # two rows change places
    signs = jnp.sign(stn.jacobian_determinant(folded))
    np.testing.assert_array_equal(signs[:, 0], [1, 1, -1, 1, 1])
    assert stn.folding_penalty(folded) > 0
    assert stn.folding_penalty(grid, margin=1.5) == pytest.approx(0.5)


@pytest.mark.parametrize("n", [2, 3])
def test_descent_mends_what_is_wrong(n: int) -> None:
    """A step against the gradient lowers each penalty, and the gradient is finite."""
    far = 1.5 * jittered(n, 0.5)
    for penalty in PENALTIES:
        before, gradient = jax.value_and_grad(lambda grid, f=penalty: jnp.sum(f(grid)))(far)
        assert jnp.isfinite(gradient).all()
        assert jnp.any(gradient != 0)
        assert jnp.sum(penalty(far - 1e-3 * gradient)) < before
        assert penalty(far).shape == (2,)


def test_outside_is_a_distance() -> None:
    grid = jnp.array([[[0.5, 3.0], [-2.0, 0.0]]])
    assert stn.outside_penalty(grid) == pytest.approx((2 + 1) / 2)


def test_velocity_fields_do_not_fold_where_flows_do() -> None:
    """The same strong field, once as a displacement and once as a velocity."""
    x, y = jnp.moveaxis(stn.identity_grid((32, 32)), -1, 0)
    window = (jnp.cos(jnp.pi * x / 2) * jnp.cos(jnp.pi * y / 2)) ** 2
    field = jnp.stack([jnp.sin(6 * x) * window, jnp.zeros_like(x)], axis=-1)
    assert stn.folding_penalty(stn.flow_grid(field)) > 0.01
    assert stn.folding_penalty(stn.velocity_grid(field)) == 0


@pytest.mark.parametrize("function", [*PENALTIES, stn.jacobian_determinant])
def test_errors_say_what_to_do(function: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"grid has shape \(4, 4, 4\); it must be"):
        function(jnp.zeros((4, 4, 4)))
    with pytest.raises(ValueError, match="grid has shape"):
        stn.jacobian_determinant(jnp.zeros((1, 4, 2)))


def test_values_on_a_grid_that_is_known() -> None:
    """Cells that double along x, with 2 pixels and 3 along y, in both conventions."""
    for align_corners, pitch in ((False, np.array([2 / 3, 1.0])), (True, np.array([1.0, 2.0]))):
        x, y = np.meshgrid([-1.0, 0.5, 3.0], [0.0, -0.25])
        grid = np.stack([x, y], axis=-1)
        options = {"align_corners": align_corners}
        determinant = stn.jacobian_determinant(grid, **options)
        right = np.array([[1.5 * -0.25, 2.5 * -0.25]]) / pitch.prod()
        np.testing.assert_allclose(determinant, right, rtol=1e-12)
        folded = stn.folding_penalty(grid, margin=-0.2, **options)
        np.testing.assert_allclose(folded, np.maximum(-0.2 - right, 0).mean(), rtol=1e-12)
        centres = (np.arange(3) - 1) * pitch[0], (np.arange(2) - 0.5) * pitch[1]
        still = np.stack(np.meshgrid(*centres), axis=-1)
        moved = np.sum((grid - still) ** 2, axis=-1).mean()
        np.testing.assert_allclose(stn.identity_penalty(grid, **options), moved, rtol=1e-12)
        np.testing.assert_allclose(stn.outside_penalty(grid), 4 / 6, rtol=1e-12)


@pytest.mark.usefixtures("no_annotations")
@pytest.mark.parametrize("function", [*PENALTIES, stn.jacobian_determinant])
@pytest.mark.parametrize("n", [2, 3])
def test_half_precision_is_computed_in_float32_and_any_size_is_exported(
    function: Callable[..., Any], n: int
) -> None:
    grid = jnp.asarray(np.float32(jittered(n, 0.3)), jnp.bfloat16)
    right = function(grid.astype(jnp.float32))
    assert function(grid).dtype == jnp.float32
    np.testing.assert_array_equal(function(grid), right)
    sizes = jax.export.symbolic_shape(("b, h, w, 2", "b, d, h, w, 3")[n - 2])
    program = jax.export.export(jax.jit(function))(jax.ShapeDtypeStruct(sizes, jnp.float32))
    np.testing.assert_allclose(program.call(grid.astype(jnp.float32)), right, rtol=1e-5)
