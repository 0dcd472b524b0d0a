"""A brain rotated by ten degrees and back: the error of trilinear and of tricubic interpolation."""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import stn_jax as stn

nibabel = pytest.importorskip("nibabel")

PATH = Path(__file__).parents[2] / "shared" / "data" / "volumes" / "mni152_t1_1mm.nii.gz"
pytestmark = pytest.mark.skipif(not PATH.is_file(), reason="the brain volume is not here")

ANGLE = np.deg2rad(10)
KERNELS: dict[str, dict[str, Any]] = {
    "trilinear": {"mode": "bilinear"},
    "tricubic": {"mode": "bicubic", "cubic_coefficient": -0.5},
    "tricubic -0.75": {"mode": "bicubic", "cubic_coefficient": -0.75},
}


@pytest.fixture(scope="module")
def brain() -> np.ndarray:
    """Grey levels 0 ... 255 at 1 mm, (z, y, x)."""
    return np.asarray(nibabel.load(PATH).dataobj).T.astype(np.float32)


def rotation(shape: tuple[int, ...], axis: str, angle: float) -> np.ndarray:
    """A rotation about the volume's centre, in pixels (x, y, z), target to source."""
    linear = np.asarray(stn.rotation(np.float64(angle), axis=axis))[:, :3]
    centre = (np.array(shape[::-1]) - 1) / 2
    return np.asarray(np.c_[linear, centre - linear @ centre])


def interior(volume: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Brain at least 4 pixels from its surface that the rotation keeps inside the volume."""
    inside = np.pad(volume > 0, 4)
    for _ in range(4):
        for axis in range(3):
            inside = inside & np.roll(inside, 1, axis) & np.roll(inside, -1, axis)
    inside = inside[4:-4, 4:-4, 4:-4]
    z, y, x = np.indices(volume.shape, np.float32)
    for row, size in zip(matrix.astype(np.float32), volume.shape[::-1], strict=True):
        moved = row[0] * x + row[1] * y + row[2] * z + row[3]
        inside &= (moved > 4) & (moved < size - 5)
    return inside


@functools.partial(jax.jit, static_argnames=("kernel",))
def rotate_and_back(
    volume: jax.Array, theta: jax.Array, inverse: jax.Array, kernel: str
) -> jax.Array:
    for matrix in (theta, inverse):
        grid = stn.affine_grid(matrix, volume.shape[:-1])
        volume = stn.grid_sample(volume, grid, **KERNELS[kernel])
    return volume


def errors(volume: np.ndarray, axis: str, kernels: Any) -> dict[str, float]:
    """Mean absolute error over the interior, in grey levels, for each kernel."""
    shape = volume.shape
    matrix = rotation(shape, axis, ANGLE)
    # Sampling at rotated points rotates the image the other way: its own points move by -ANGLE.
    mask = interior(volume, rotation(shape, axis, -ANGLE))
    assert mask.mean() > 0.05
    theta, inverse = (
        np.asarray(stn.normalize_matrix(m, shape, shape), np.float32)
        for m in (matrix, np.asarray(stn.invert(matrix)))
    )
    return {
        kernel: float(
            np.abs(
                np.asarray(rotate_and_back(volume[..., None], theta, inverse, kernel))[..., 0]
                - volume
            )[mask].mean()
        )
        for kernel in kernels
    }


@pytest.mark.parametrize(
    "axis", ["x", *(pytest.param(axis, marks=pytest.mark.slow) for axis in "yz")]
)
def test_the_tricubic_error_is_a_third_smaller_in_the_middle_of_the_brain(
    brain: np.ndarray, axis: Any
) -> None:
    z, y, x = (size // 2 - 32 for size in brain.shape)
    middle = brain[z : z + 56, y : y + 64, x : x + 72]
    error = errors(middle, axis, ("trilinear", "tricubic"))
    assert error["tricubic"] < 2 / 3 * error["trilinear"], error
    assert error["trilinear"] < 10  # grey levels: the way back is the inverse


@pytest.mark.slow
def test_the_tricubic_error_is_a_third_smaller_in_the_whole_brain(brain: np.ndarray) -> None:
    for axis in "xyz":
        error = errors(brain, axis, KERNELS)
        print(axis, error)
        assert error["tricubic"] < 2 / 3 * error["trilinear"], (axis, error)
        assert error["trilinear"] < 10
