"""Pixel matrices and homographies read the pixels that they say."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from families import moved_by

import stn_jax as stn
from stn_jax import coordinates


@pytest.mark.parametrize("align_corners", [False, True])
def test_pixel_matrices(align_corners: bool) -> None:
    rng = np.random.default_rng(0)
    source, target = (7, 5), (4, 6)
    matrix = jnp.asarray(rng.standard_normal((2, 3)))
    theta = stn.normalize_matrix(matrix, source, target, align_corners=align_corners)
    back = stn.denormalize_matrix(theta, source, target, align_corners=align_corners)
    np.testing.assert_allclose(back, matrix, atol=1e-12)
    grid = stn.affine_grid(theta, target, align_corners=align_corners)
    for i, j in np.ndindex(target):
        x, y = matrix @ jnp.array([j, i, 1.0])
        np.testing.assert_allclose(
            grid[i, j],
            [
                coordinates.pixel_to_normalized(x, 5, align_corners=align_corners),
                coordinates.pixel_to_normalized(y, 7, align_corners=align_corners),
            ],
            atol=1e-12,
        )


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_pixel_homography_reads_the_pixels_that_it_says(align_corners: bool) -> None:
    source, target = (7, 5), (4, 6)
    matrix = np.array([[0.7, 0.1, 0.3], [-0.1, 1.2, 0.5], [0.02, -0.03, 1.0]])
    corners = {"align_corners": align_corners}
    theta = stn.normalize_matrix(matrix, source, target, **corners)
    pixels = np.moveaxis(np.indices(target)[::-1], 0, -1).reshape(1, -1, 2)
    expected = moved_by(matrix[None], pixels).reshape(*target, 2)
    grid = stn.projective_grid(theta, target, **corners)
    found = np.stack(
        [
            coordinates.normalized_to_pixel(grid[..., k], size, **corners)
            for k, size in enumerate((5, 7))
        ],
        axis=-1,
    )
    np.testing.assert_allclose(found, expected, atol=1e-12)
    back = stn.denormalize_matrix(theta, source, target, **corners)
    np.testing.assert_allclose(back, matrix, atol=1e-12)


@pytest.mark.parametrize("convert", [stn.normalize_matrix, stn.denormalize_matrix])
@pytest.mark.parametrize("which", ["source_shape", "target_shape"])
def test_axes_on_which_pixels_have_no_scale_are_refused_by_name(
    convert: Callable[..., Any], which: str
) -> None:
    shapes = {"source_shape": (7, 5), "target_shape": (4, 6)}
    with pytest.raises(ValueError, match=rf"{which}=\(4, 0\) has an empty axis"):
        convert(np.eye(2, 3), **shapes | {which: (4, 0)})
    single = shapes | {which: (1, 4)}
    with pytest.raises(ValueError, match=rf"{which}=\(1, 4\) has an axis of one pixel"):
        convert(np.eye(2, 3), **single, align_corners=True)
    assert np.isfinite(convert(np.eye(2, 3), **single)).all()
