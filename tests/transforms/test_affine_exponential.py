"""The matrix exponential; SciPy's is compared in tests/peers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("turn", [0.0, 0.4, 3.0, 300.0, 1000.0])
@pytest.mark.parametrize("rate", [0.0, -20.0, 3.0])
def test_a_spiral_of_any_length(rate: float, turn: float, dtype: type[np.floating[Any]]) -> None:
    """The exponential of a rate and a turn is known: they commute."""
    rate, turn = float(dtype(rate)), float(dtype(turn))
    params = np.array([rate, -turn, 1, turn, rate, 2], dtype)
    matrix = np.asarray(stn.AffineDiffeomorphic().matrix(params), np.float64)
    z = complex(rate, turn)
    right = np.exp(z)
    error = 8 * np.finfo(dtype).eps * max(1, abs(z)) * abs(right)
    linear = [[right.real, -right.imag], [right.imag, right.real]]
    np.testing.assert_allclose(matrix[:, :2], linear, atol=error, rtol=0)
    shift = (1 + 2j) * ((right - 1) / z if z else 1)
    found = complex(*matrix[:, 2])
    assert abs(found - shift) < 20 * np.finfo(dtype).eps * max(1, abs(z)) * abs(shift)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_each_map_of_a_batch_is_squared_as_often_as_it_needs() -> None:
    params = np.zeros((3, 6))
    params[0] = [1e-9, 0, 1, 0, -1e-9, 2]
    params[1] = [0, -500, 0, 500, 0, 0]
    params[2] = [80, 0, 0, 0, 80, 0]
    matrix = stn.AffineDiffeomorphic().matrix(params)
    np.testing.assert_allclose(matrix[0, 0, 0] - 1, 1e-9, rtol=1e-6)
    for each, alone in zip(params, matrix, strict=True):
        np.testing.assert_allclose(stn.AffineDiffeomorphic().matrix(each), alone, rtol=1e-15)


@pytest.mark.parametrize("norm", [0.5, 80.0, 1000.0])
def test_gradients_are_finite_and_those_of_the_values(norm: float) -> None:
    turn = np.array([0, -norm, 1, norm, 0, 2.0])
    family = stn.AffineDiffeomorphic()
    jacobian = jax.jit(jax.jacrev(family.matrix))(turn)
    assert jnp.isfinite(jacobian).all()
    step = 1e-6
    for k in range(6):
        ahead, behind = (family.matrix(turn + s * np.eye(6)[k]) for s in (step, -step))
        np.testing.assert_allclose(jacobian[..., k], (ahead - behind) / (2 * step), atol=1e-5)
    still = jax.jit(jax.jacfwd(family.matrix))(np.zeros(6))
    np.testing.assert_allclose(still.reshape(6, 6), np.eye(6), atol=1e-15)


def test_beyond_its_range_it_is_nan_and_not_wrong() -> None:
    family = stn.AffineDiffeomorphic()
    assert jnp.isfinite(family.matrix(np.array([0, -5e5, 0, 5e5, 0, 0]))).all()
    assert jnp.isnan(family.matrix(np.array([0, -1e6, 0, 1e6, 0, 0]))).all()
