"""The convention in numbers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax import coordinates
from stn_jax.coordinates import coordinate_dtype


@pytest.mark.parametrize("size", [1, 2, 5])
def test_edges_and_centres(size: int) -> None:
    edges = coordinates.normalized_to_pixel(jnp.array([-1.0, 1.0]), size)
    np.testing.assert_allclose(edges, [-0.5, size - 0.5])
    centres = coordinates.normalized_to_pixel(jnp.array([-1.0, 1.0]), size, align_corners=True)
    np.testing.assert_allclose(centres, [0, size - 1])


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [2, 5, 224])
def test_round_trip(size: int, align_corners: bool) -> None:
    x = jnp.linspace(-3.0, size + 3.0, 11, dtype=jnp.float64)
    there = coordinates.pixel_to_normalized(x, size, align_corners=align_corners)
    back = coordinates.normalized_to_pixel(there, size, align_corners=align_corners)
    np.testing.assert_allclose(back, x, atol=1e-12)


@pytest.mark.parametrize("align_corners", [False, True])
def test_an_axis_of_one_pixel_has_coordinate_0(align_corners: bool) -> None:
    grid = stn.identity_grid((1, 1), align_corners=align_corners)
    assert grid.ravel().tolist() == [0.0, 0.0]
    points = stn.normalize_grid(grid, (1, 1), align_corners=align_corners)
    np.testing.assert_array_equal(points, 0)
    pixels = stn.denormalize_grid(grid, (1, 1), align_corners=align_corners)
    np.testing.assert_array_equal(pixels, 0)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_the_identity_grid_is_the_pixels_x_first(
    shape: tuple[int, ...], align_corners: bool
) -> None:
    options = {"align_corners": align_corners}
    grid = stn.identity_grid(shape, dtype=jnp.float64, **options)
    indices = np.moveaxis(np.indices(shape)[::-1], 0, -1)
    np.testing.assert_allclose(stn.denormalize_grid(grid, shape, **options), indices, atol=1e-12)
    np.testing.assert_allclose(stn.normalize_grid(indices, shape, **options), grid, atol=1e-7)
    for axis, along in enumerate(coordinates.open_grid(shape, dtype=jnp.float64, **options)):
        np.testing.assert_array_equal(np.broadcast_to(along, shape), grid[..., axis])


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_pitch_is_the_distance_of_neighbours(size: int, align_corners: bool) -> None:
    pitch = coordinates.pixel_pitch(size, align_corners=align_corners)
    grid = stn.identity_grid((1, size), align_corners=align_corners, dtype=jnp.float64)
    assert pitch == (2 / size if not align_corners else 2 / (size - 1) if size > 1 else 0)
    np.testing.assert_allclose(np.diff(grid[0, :, 0]), np.full(size - 1, pitch), atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grids_are_rounded_once(align_corners: bool, dtype: type[np.generic]) -> None:
    """Compiled, a division by the size would become a product, off by a rounding."""
    exact = [(2 * k / 48 if align_corners else (2 * k + 1) / 49) - 1 for k in range(49)]
    grid = stn.identity_grid((1, 49), align_corners=align_corners, dtype=dtype)
    np.testing.assert_array_equal(grid[0, :, 0], np.asarray(exact, dtype))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (1, 5)])
@pytest.mark.usefixtures("no_annotations")  # a size that is a symbol is no int, as they have it
def test_one_program_makes_grids_of_any_size(shape: tuple[int, ...], align_corners: bool) -> None:
    sizes = jax.ShapeDtypeStruct(jax.export.symbolic_shape("h, w"), jnp.float32)

    def call(image: jax.Array) -> tuple[Any, ...]:
        grid = stn.identity_grid(image.shape, align_corners=align_corners)
        pixels = stn.denormalize_grid(grid, image.shape, align_corners=align_corners)
        return grid, pixels, stn.normalize_grid(pixels, image.shape, align_corners=align_corners)

    found = jax.export.export(jax.jit(call))(sizes).call(jnp.zeros(shape, jnp.float32))
    for ours, expected in zip(found, call(jnp.zeros(shape, jnp.float32)), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize("convert", [stn.normalize_grid, stn.denormalize_grid])
def test_points_and_shape_must_have_as_many_axes(convert: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"last axis must hold 3 coordinates.*shape=\(2, 3, 4\)"):
        convert(jnp.zeros((5, 2)), (2, 3, 4))
    with pytest.raises(ValueError, match="last axis"):
        convert(jnp.zeros(()), (2, 3))


def test_coordinates_are_never_coarse() -> None:
    bfloat = jnp.ones(1, jnp.bfloat16)
    assert coordinate_dtype(bfloat) == jnp.float32
    assert coordinate_dtype(bfloat, jnp.ones(1, jnp.float64)) == jnp.float64
    assert stn.affine_grid(jnp.eye(2, 3, dtype=jnp.bfloat16), (2, 2)).dtype == jnp.float32
    assert stn.denormalize_grid(jnp.zeros((1, 2), jnp.bfloat16), (2, 3)).dtype == jnp.float32


@pytest.mark.parametrize("x", [np.inf, -np.inf, 3e38, 0.3])
def test_every_coordinate_of_an_axis_of_one_pixel_is_its_centre(x: float) -> None:
    pixel, slope = jax.value_and_grad(
        lambda x: coordinates.normalized_to_pixel(x, 1, align_corners=True)
    )(jnp.float32(x))
    assert pixel == slope == 0
    assert jnp.isnan(coordinates.normalized_to_pixel(jnp.nan, 1, align_corners=True))
