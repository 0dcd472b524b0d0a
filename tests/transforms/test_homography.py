"""The homography of four points, at every scale and place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import moved_by
from jax.test_util import check_grads

import stn_jax as stn


def test_homography_takes_points_to_points() -> None:
    rng = np.random.default_rng(0)
    square = jnp.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    source = square[None] + 0.2 * rng.standard_normal((5, 4, 2))
    theta = stn.homography_from_points(square, source)
    for k in range(5):
        found = stn.Projective().apply(theta[k].ravel()[:-1], square)
        np.testing.assert_allclose(found, source[k], atol=1e-12)


def test_a_homography_has_its_points_in_front_wherever_the_origin_is() -> None:
    """And the solve through NumPy's linear system gives the same matrix, up to its scale."""
    rng = np.random.default_rng(0)
    square = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    target = square * 0.5 + rng.uniform(-5, 5, (50, 1, 2)) + 0.1 * rng.standard_normal((50, 4, 2))
    source = square * 0.3 + rng.uniform(-5, 5, (50, 1, 2)) + 0.05 * rng.standard_normal((50, 4, 2))
    theta = stn.homography_from_points(target, source)
    np.testing.assert_allclose(moved_by(theta, target), source, atol=1e-9)
    shifted = stn.compose(theta, stn.translation(target.mean(1)))  # looks at the quadrilateral
    inside = stn.compose(shifted, stn.scaling(jnp.full(2, 0.3)))
    grid = np.asarray(stn.projective_grid(inside, (5, 5)))
    assert np.abs(grid).max() < 10  # and not OUTSIDE
    for k in range(3):
        rows = []
        for (x, y), (u, v) in zip(target[k], source[k], strict=True):
            rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, -u], [0, 0, 0, x, y, 1, -v * x, -v * y, -v]]
        null = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
        np.testing.assert_allclose(theta[k] / theta[k, 0, 0], null / null[0, 0], rtol=1e-6)


SQUARE = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
TRAPEZOID = np.array([(0.25, 0.5), (0.75, 0.5), (0, 1), (1, 1)])


def reprojection_error(
    theta: jax.Array | np.ndarray, target: np.ndarray, source: np.ndarray
) -> float:
    moved = np.c_[target, np.ones(4)] @ np.asarray(theta, np.float64).T
    return float(np.abs(moved[:, :2] / moved[:, 2:] - source).max())


def solved(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The homography by NumPy's linear system in float64."""
    rows = []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return np.append(np.linalg.solve(rows, np.ravel(source)), 1).reshape(3, 3)


@pytest.mark.parametrize("side", [100, 1000])
def test_integer_points_are_cast(side: int) -> None:
    theta = np.asarray(stn.homography_from_points(SQUARE * side, SQUARE * (side // 2)))
    assert theta.dtype == np.float32
    np.testing.assert_allclose(theta / theta[2, 2], np.diag([0.5, 0.5, 1]), atol=1e-4)


@pytest.mark.parametrize("side", [1e-4, 1, 3e4, 1e5])
def test_points_of_every_unit(side: float) -> None:
    target, source = (np.asarray(p * side, np.float32) for p in (TRAPEZOID, SQUARE))
    assert reprojection_error(stn.homography_from_points(target, source), target, source) < (
        3e-6 * side
    )


@pytest.mark.parametrize("offset", [(40_000, 60_000), (-100_000, 5)])
def test_points_far_from_the_origin(offset: tuple[int, ...]) -> None:
    """As well as a matrix that is exact and then rounded to float32 can, times ten."""
    corners = np.array([(0, 0), (100, 10), (-10, 100), (90, 110)])
    target = np.asarray(corners + offset, np.float32)
    source = np.asarray(SQUARE * [640, 480], np.float32)
    exact = solved(target.astype(np.float64), source.astype(np.float64))
    bar = 10 * reprojection_error(exact.astype(np.float32), target, source)
    assert reprojection_error(stn.homography_from_points(target, source), target, source) < bar


@pytest.mark.parametrize("scale", [1, 1e5])
def test_three_points_on_a_line_are_refused_where_they_are_known(scale: float) -> None:
    line = scale * np.array([(0, 0), (0.1, 0.3), (0.2, 0.6), (1, 0)])
    square = scale * SQUARE
    with pytest.raises(ValueError, match=r"target has points \[0, 1, 2\] on one line"):
        stn.homography_from_points(np.float32(line), square)
    with pytest.raises(ValueError, match=r"source has points .* two of them in one place"):
        stn.homography_from_points(square, np.stack([square, square[[0, 1, 2, 2]]]))
    traced = jax.jit(stn.homography_from_points)(np.float32(line), np.float32(square))
    assert not np.linalg.det(np.asarray(traced, np.float64)) > 1e-4
    nearly = line + scale * np.array([(0, 0), (1e-3, 0), (0, 0), (0, 0)])
    assert np.isfinite(stn.homography_from_points(nearly, square)).all()


def test_gradients_are_those_of_the_values() -> None:
    rng = np.random.default_rng(0)
    target, source = SQUARE + 0.1 * rng.normal(size=(2, 4, 2))
    check_grads(jax.jit(stn.homography_from_points), (target, source), 2, atol=1e-5, rtol=1e-5)
