"""Rotations by their vectors; SciPy's are compared in tests/peers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax.transforms.rotations import compose_rotations, rotation_matrix


def test_a_third_of_a_turn_about_the_diagonal_permutes_the_axes() -> None:
    vector = jnp.full(3, 2 * np.pi / 3 / np.sqrt(3))
    permutation = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])  # x to y, y to z, z to x
    np.testing.assert_allclose(rotation_matrix(vector), permutation, atol=1e-15)
    np.testing.assert_allclose(
        rotation_matrix(jnp.array([np.pi / 2])), [[0, -1], [1, 0]], atol=1e-15
    )


@pytest.mark.parametrize("size", [1e-9, 1e-3, 3e-3, 4e-3, 0.09, 0.11, 1.0, 3.0])
def test_composed_vectors_are_those_of_the_product(size: float) -> None:
    """Sizes on both sides of where series replace closed forms."""
    for dtype, error in ((np.float64, 4e-15), (np.float32, 2e-6)):
        p, q = (size * np.random.default_rng(0).standard_normal((2, 50, 3))).astype(dtype)
        p[0], q[1] = -q[0], 0
        p, q = jnp.asarray(p), jnp.asarray(q)
        product = np.matmul(rotation_matrix(p), rotation_matrix(q))
        both = compose_rotations(p, q)
        np.testing.assert_allclose(rotation_matrix(both), product, atol=error * max(1, size))
        assert jnp.linalg.norm(both, axis=-1).max() <= np.pi * 1.0001
        if size < 1:  # else the vector may be that of the shorter way round
            np.testing.assert_allclose(both[1], p[1], atol=error * size, rtol=0)


def test_derivatives_at_no_turn_are_the_generators() -> None:
    turned = jax.jacfwd(rotation_matrix)(jnp.zeros(3))
    for k, (i, j) in enumerate([(2, 1), (0, 2), (1, 0)]):
        right = np.zeros((3, 3))
        right[i, j], right[j, i] = 1, -1
        np.testing.assert_allclose(turned[..., k], right, atol=1e-15)
    second = jax.hessian(lambda v: rotation_matrix(v)[0, 0])(jnp.zeros(3))
    np.testing.assert_allclose(second, np.diag([0, -1, -1]), atol=1e-15)  # 1 - (y^2 + z^2) / 2


@pytest.mark.parametrize("family", [stn.Rigid(3), stn.Similarity(3)], ids=str)
def test_turns_of_half_precision_compose_in_float32(family: stn.Transform) -> None:
    step = jnp.asarray(family.identity(), jnp.bfloat16).at[-3].set(1)
    right = family.identity() + 2 * np.eye(family.num_params)[-3]
    np.testing.assert_array_equal(family.compose(step, step), right)
