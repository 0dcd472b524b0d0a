"""Thin plate splines: interpolation, derivatives, many and learnt control points."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import ON_PIXELS, near_identity
from jax.test_util import check_grads

import stn_jax as stn


def test_spline_passes_through_its_offsets() -> None:
    spline = stn.ThinPlateSpline((3, 4))
    offsets = jnp.asarray(np.random.default_rng(0).standard_normal((12, 2)))
    moved = spline.apply(offsets.ravel(), jnp.asarray(spline.points))
    np.testing.assert_allclose(moved, spline.points + offsets, atol=1e-10)
    jacobian = jax.jacfwd(lambda p: spline.apply(offsets.ravel(), p))(jnp.asarray(spline.points[0]))
    assert jnp.isfinite(jacobian).all()
    smooth = stn.ThinPlateSpline((3, 4), regularization=10.0)
    short = smooth.apply(offsets.ravel(), jnp.asarray(spline.points)) - spline.points
    assert jnp.sum(short**2) < jnp.sum(offsets**2)


def test_spline_of_an_affine_map_is_that_map() -> None:
    spline = stn.ThinPlateSpline((4, 4))
    theta = jnp.array([[1.1, 0.2, 0.3], [-0.1, 0.9, -0.2]], jnp.float64)
    offsets = stn.Affine().apply(theta.ravel(), jnp.asarray(spline.points)) - spline.points
    grid = stn.thin_plate_spline_grid(offsets, (5, 6))
    np.testing.assert_allclose(grid, stn.affine_grid(theta, (5, 6)), atol=1e-10)
    explicit = stn.thin_plate_spline_grid(offsets, (5, 6), control_points=spline.points)
    np.testing.assert_allclose(explicit, grid, atol=1e-12)


def test_second_derivatives_at_a_control_point_on_a_pixel_centre() -> None:
    points = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])  # of a 2 x 2 output
    offsets = 0.1 * np.random.default_rng(0).standard_normal((4, 2))

    @jax.jit
    def grid(offsets: jax.Array) -> jax.Array:
        return jnp.sin(stn.thin_plate_spline_grid(offsets, (2, 2), control_points=points))

    np.testing.assert_allclose(
        np.arcsin(grid(offsets)).reshape(4, 2)[[0, 1, 3, 2]], points + offsets, atol=1e-12
    )
    check_grads(grid, (offsets,), 2, ("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-5)


def test_a_point_that_moves_off_a_control_point_has_a_gradient() -> None:
    """The map inside a chain moves the spline's points: r^2 log r^2 is differentiated at r = 0."""
    chain = stn.Chain(ON_PIXELS, stn.Affine())
    params = near_identity(chain, 0.1).at[-6:].set(near_identity(stn.Affine(), 0.0))
    jacobian = jax.jit(jax.jacrev(lambda p: chain.grid(p, (3, 4))))(params)
    assert jnp.isfinite(jacobian).all()
    centre = chain.grid(params, (3, 4))[1, 0] - jnp.array([-0.75, 0.0])
    np.testing.assert_allclose(centre, params[:2], atol=1e-12)  # it is that point


def solved(
    points: np.ndarray, offsets: np.ndarray, at: np.ndarray, regularization: float = 0.0
) -> np.ndarray:
    """The spline through NumPy's solver, in float64, with the kernel as the docstring has it."""
    k = len(points)

    def bump(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        r2 = np.sum((a[:, None] - b) ** 2, axis=-1)
        return np.asarray(r2 * np.log(np.where(r2 > 0, r2, 1)))

    plane = np.c_[np.ones(k), points]
    kernel = bump(points, points) + regularization * np.eye(k)
    system = np.block([[kernel, plane], [plane.T, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.r_[offsets, np.zeros((3, 2))])
    return np.asarray(at + np.c_[bump(at, points), np.ones(len(at)), at] @ weights)


@pytest.mark.parametrize("regularization", [0.0, 0.3])
@pytest.mark.parametrize("size", [1.0, 0.01])
def test_learnt_control_points_give_the_same_spline(size: float, regularization: float) -> None:
    rng = np.random.default_rng(0)
    points = size * rng.uniform(-1, 1, (2, 9, 2)) + 0.2
    offsets = 0.1 * rng.standard_normal((3, 1, 9, 2))
    options: dict[str, Any] = {"regularization": regularization * size**2}
    grids = stn.thin_plate_spline_grid(offsets, (4, 5), control_points=points, **options)
    assert grids.shape == (3, 2, 4, 5, 2)
    at = np.asarray(stn.identity_grid((4, 5), dtype=np.float64)).reshape(-1, 2)
    for i, j in np.ndindex(3, 2):
        right = solved(points[j], offsets[i, 0], at, **options)
        scale = np.abs(right).max()
        np.testing.assert_allclose(grids[i, j].reshape(-1, 2), right, atol=1e-8 * scale)
        known = stn.thin_plate_spline_grid(
            offsets[i, 0], (4, 5), control_points=points[j], **options
        )
        np.testing.assert_allclose(known, grids[i, j], atol=1e-8 * scale)


def test_learnt_control_points_have_derivatives() -> None:
    rng = np.random.default_rng(0)
    offsets, points = 0.1 * rng.standard_normal((6, 2)), rng.uniform(-1, 1, (6, 2))

    @jax.jit
    def grid(offsets: jax.Array, points: jax.Array) -> jax.Array:
        return stn.thin_plate_spline_grid(offsets, (2, 3), control_points=points)

    check_grads(grid, (offsets, points), 1, ("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-6)
    single = jax.jit(jax.grad(lambda p: grid(np.float32(offsets), p).sum()))(np.float32(points))
    assert jnp.isfinite(single).all()


def test_many_control_points_in_float32() -> None:
    """By the table, and beyond it; SciPy's spline is compared in tests/peers."""
    offsets = np.float32(0.05 * np.random.default_rng(0).normal(size=(900, 2)))
    spline = stn.ThinPlateSpline((30, 30))
    grid = spline.grid(offsets.ravel(), (30, 30), align_corners=True)
    np.testing.assert_allclose(grid.reshape(-1, 2), spline.points + offsets, atol=2e-6)
    moved = spline.apply(offsets.ravel(), np.float32(spline.points))
    np.testing.assert_allclose(moved, spline.points + offsets, atol=3e-4)


def test_a_large_spline_is_evaluated_in_pieces_with_the_same_derivatives() -> None:
    spline = stn.ThinPlateSpline((40, 40))
    rng = np.random.default_rng(0)
    offsets, points = 0.05 * rng.normal(size=(3200,)), rng.uniform(-1, 1, (40, 33, 2))
    assert points[..., 0].size * 1600 > 2**20  # pairs that are evaluated at once
    moved = spline.apply(offsets, points)
    right = solved(spline.points, offsets.reshape(-1, 2), points.reshape(-1, 2))
    np.testing.assert_allclose(moved.reshape(-1, 2), right, atol=1e-9)
    weights = rng.normal(size=points.shape)
    slope = jax.grad(lambda o: jnp.sum(weights * spline.apply(o, points)))(jnp.asarray(offsets))
    change = np.sum(weights * (spline.apply(2 * offsets, points) - moved))
    np.testing.assert_allclose(np.sum(slope * offsets), change, rtol=1e-7)


def test_a_table_has_at_most_as_many_entries_as_documented() -> None:
    """Up to 2^22 pairs of a pixel and a control point are read; more are computed."""
    spline = stn.ThinPlateSpline(((-1, -1), (1, -1), (1, 1), (-1, 1)))
    for shape, computes in (((1024, 1024), False), ((1025, 1024), True)):
        program = jax.make_jaxpr(lambda p, shape=shape: spline.grid(p, shape))(jnp.zeros(8))
        assert (" log " in str(program)) == computes, shape


def test_a_spline_does_not_write_down_pixels_times_control_points() -> None:
    offsets = jax.ShapeDtypeStruct((400, 2), jnp.float32)

    def spline(offsets: jax.Array) -> jax.Array:
        return stn.thin_plate_spline_grid(offsets, (1024, 1024), control_points=(20, 20))

    gradient = jax.grad(lambda offsets: jnp.sum(spline(offsets) ** 2))
    for call in (spline, gradient):
        memory: Any = jax.jit(call).lower(offsets).compile().memory_analysis()
        assert memory.temp_size_in_bytes < 500e6


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (((0, 0), (1, 0), (0, 1), (0, 0)), "more than once"),
        (((0, 0), (1, 0), (0, 1), (np.nan, 1)), "finite"),
        (((0, 0), (0.5, 0.5), (1, 1)), "line"),
        (((0, 0), (1, 1)), "line"),
        ((4, 4, 4), "two whole numbers"),
        ((4.7, 4), "two whole numbers"),
        ((0, 4), "two whole numbers"),
        ((1, 4), "line"),
    ],
)
def test_control_points_that_determine_no_spline_are_refused(points: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"control_points.*{words}"):
        stn.ThinPlateSpline(points)
    if np.ndim(points) == 2:
        with pytest.raises(ValueError, match=f"control_points.*{words}"):
            stn.thin_plate_spline_grid(
                np.zeros((1, len(points), 2)), (2, 2), control_points=np.array([points])
            )
