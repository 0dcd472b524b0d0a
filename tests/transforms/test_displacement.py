"""Displacement fields read where they point."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax import coordinates


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4)])
def test_a_flow_reads_where_it_points(shape: tuple[int, ...], align_corners: bool) -> None:
    n = len(shape)
    rng = np.random.default_rng(0)
    image, flow = rng.random((*shape, 1)), rng.uniform(-1, 1, (*shape, n))
    corners: dict[str, Any] = {"align_corners": align_corners}
    at = np.moveaxis(np.indices(shape)[::-1], 0, -1) + flow
    expected = stn.sample_pixels(image, at)
    by_pixels = stn.flow_grid(flow, units="pixels", **corners)
    np.testing.assert_allclose(stn.grid_sample(image, by_pixels, **corners), expected, atol=1e-12)
    pitch = [coordinates.pixel_pitch(size, **corners) for size in shape[::-1]]
    grid = stn.flow_grid(flow * pitch, **corners)
    np.testing.assert_allclose(grid, by_pixels, atol=1e-14)
    fine = stn.Flow(shape, align_corners=align_corners).grid(
        (flow * pitch).ravel(), shape, **corners
    )
    np.testing.assert_allclose(fine, grid, atol=1e-14)
    still = stn.velocity_grid(0 * flow, units="pixels", **corners)
    np.testing.assert_allclose(
        still, stn.identity_grid(shape, dtype=np.float64, **corners), atol=1e-15
    )
    velocity = stn.velocity_grid(0.1 * flow, units="pixels", **corners)
    expected = stn.velocity_grid(0.1 * flow * pitch, **corners)
    np.testing.assert_allclose(velocity, expected, atol=1e-14)


def test_a_flow_on_a_coarse_lattice_is_interpolated_and_held_beyond_it() -> None:
    flow = np.arange(4.0).reshape(2, 2, 1) * np.array([0.1, -0.2])
    transform = stn.Flow((2, 2))
    points = jnp.array([[-0.5, -0.5], [0.0, 0.0], [0.0, 0.5], [1.0, 1.0], [9.0, -9.0]])
    moved = transform.apply(jnp.asarray(flow.ravel()), points) - points
    times = np.array([0, 1.5, 2.5, 3, 1])[:, None]
    np.testing.assert_allclose(moved, times * [0.1, -0.2], atol=1e-12)


@pytest.mark.parametrize("family", [stn.Flow, stn.Velocity])
def test_an_unknown_mode_is_refused_at_construction(family: type[Any]) -> None:
    with pytest.raises(ValueError, match="mode='cubic' is not known"):
        family((4, 4), mode="cubic")


@pytest.mark.parametrize("shape", [(1, 3), (1, 1), (2, 1, 2)])
def test_a_lattice_of_one_point_on_an_axis_does_not_vary_along_it(shape: tuple[int, ...]) -> None:
    n, rng = len(shape), np.random.default_rng(0)
    flow, points = rng.normal(size=(*shape, n)), rng.uniform(-1, 1, (6, n))
    along = points.copy()
    along[:, shape[::-1].index(1)] += 0.7
    family, params = stn.Flow(shape), flow.ravel()
    moved, moved_along = (family.apply(params, p) - p for p in (points, along))
    np.testing.assert_allclose(moved_along, moved, atol=1e-12)
    assert np.abs(moved).max() > 0.1
