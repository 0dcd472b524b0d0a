"""Kornia's warps of a photograph, ported as a user would.

A warp of kornia takes a pixel matrix from source to destination; a grid reads the other way. So
invert, normalise, make the grid, sample. Kornia's default is align_corners=True for the matrix
warps and False for `homography_warp` and `warp_image_tps`; here it is always said.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax import coordinates

torch = pytest.importorskip("torch")
kornia = pytest.importorskip("kornia.geometry.transform")
data = pytest.importorskip("skimage.data")

SOURCE, TARGET = (96, 128), (80, 108)
MODES = pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
PADDING_MODES = pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
ALIGN_CORNERS = pytest.mark.parametrize("align_corners", [False, True])

sample = jax.jit(
    stn.grid_sample, static_argnames=("mode", "padding_mode", "align_corners")
)  # one program for every test with the same options


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return np.asarray(data.astronaut()[:384, :512][::4, ::4].astype(np.float32) / 255)


def batch(photograph: np.ndarray, count: int, mode: str) -> np.ndarray:
    """Nearest in float64, so that no point falls on the other side of a tie."""
    dtype = np.float64 if mode == "nearest" else np.float32
    return np.stack([photograph] * count).astype(dtype)


def first(images: np.ndarray) -> Any:
    return torch.tensor(np.moveaxis(images, -1, 1))


def check(ours: Any, theirs: Any) -> None:
    theirs = np.moveaxis(theirs.numpy(), 1, -1)
    assert np.std(theirs) > 0.05  # a picture, not a constant
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def affine_matrices() -> np.ndarray:
    """Three pixel matrices, source to destination: a turn, a shear that shrinks, a shift out."""
    angle = 0.6
    turn = [[np.cos(angle), -np.sin(angle), 31.3], [np.sin(angle), np.cos(angle), -22.7]]
    shear = [[0.61, 0.23, 4.2], [-0.17, 0.52, 20.9]]
    shift = [[1.0, 0.0, -40.37], [0.0, 1.0, 25.81]]
    return np.array([turn, shear, shift])


def homographies() -> np.ndarray:
    """Three pixel homographies, source to destination, with nothing behind the horizon."""
    bottom = np.array([[[0.0012, -0.0007, 1.0]], [[-0.0009, 0.0015, 1.0]], [[0.002, 0.001, 1.0]]])
    return np.concatenate([affine_matrices() * [[[1.0]], [[1.5]], [[1.2]]], bottom], axis=1)


def pixels_to_normalized(shape: tuple[int, ...], align_corners: bool) -> np.ndarray:
    """3 x 3; `stn.normalize_matrix` does this for affine matrices only."""
    scale, offset = [], []
    for size in shape[::-1]:
        low, high = np.asarray(
            coordinates.pixel_to_normalized(np.array([0.0, 1.0]), size, align_corners=align_corners)
        )
        scale.append(high - low)
        offset.append(low)
    matrix = np.diag([*scale, 1.0])
    matrix[:2, 2] = offset
    return matrix


def normalized_homographies(align_corners: bool) -> np.ndarray:
    """From normalised target to normalised source, scaled so that W is 1 at the centre."""
    to_source = pixels_to_normalized(SOURCE, align_corners)
    to_target = pixels_to_normalized(TARGET, align_corners)
    theta = to_source @ np.linalg.inv(homographies()) @ np.linalg.inv(to_target)
    return np.asarray(theta / theta[:, 2:, 2:])


@ALIGN_CORNERS
@PADDING_MODES
@MODES
def test_warp_affine(
    photograph: np.ndarray, mode: str, padding_mode: str, align_corners: bool
) -> None:
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    images, matrices = batch(photograph, 3, mode), affine_matrices()
    theta = stn.normalize_matrix(
        stn.invert(matrices), SOURCE, TARGET, align_corners=align_corners
    ).astype(images.dtype)
    grid = stn.affine_grid(theta, TARGET, align_corners=align_corners)
    theirs = kornia.warp_affine(
        first(images), torch.tensor(matrices.astype(images.dtype)), TARGET, **options
    )
    check(sample(images, grid, **options), theirs)


@ALIGN_CORNERS
@PADDING_MODES
@MODES
def test_warp_perspective(
    photograph: np.ndarray, mode: str, padding_mode: str, align_corners: bool
) -> None:
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    images = batch(photograph, 3, mode)
    theta = normalized_homographies(align_corners).astype(images.dtype)
    grid = stn.projective_grid(theta, TARGET, align_corners=align_corners)
    theirs = kornia.warp_perspective(
        first(images), torch.tensor(homographies().astype(images.dtype)), TARGET, **options
    )
    check(sample(images, grid, **options), theirs)


@ALIGN_CORNERS
@PADDING_MODES
@MODES
def test_homography_warp(
    photograph: np.ndarray, mode: str, padding_mode: str, align_corners: bool
) -> None:
    """It takes our theta as it is: normalised, destination to source."""
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    images = batch(photograph, 3, mode)
    theta = normalized_homographies(align_corners).astype(images.dtype)
    grid = stn.projective_grid(theta, TARGET, align_corners=align_corners)
    theirs = kornia.homography_warp(first(images), torch.tensor(theta), TARGET, **options)
    check(sample(images, grid, **options), theirs)


def control_points() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    points = np.stack(np.meshgrid([-0.9, 0.0, 0.9], [-0.8, 0.1, 0.9]), axis=-1).reshape(-1, 2)
    return points, 0.15 * rng.standard_normal((9, 2))


@ALIGN_CORNERS
@PADDING_MODES
def test_warp_image_tps(photograph: np.ndarray, padding_mode: str, align_corners: bool) -> None:
    """Kornia's `get_tps_transform` centres its kernels at the *second* set of points.

    The interpolating spline of least bending (Bookstein; ours and SciPy's) has them at the first,
    where the values are given. So the coefficients are solved for here, by the textbook, and
    kornia's evaluation of them is compared. Its kernel is r^2 log r.
    """
    points, offsets = control_points()
    r2 = np.sum((points[:, None] - points) ** 2, axis=-1)
    kernel = 0.5 * r2 * np.log(np.where(r2 > 0, r2, 1))
    plane = np.c_[np.ones(9), points]
    system = np.block([[kernel, plane], [plane.T, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.r_[points + offsets, np.zeros((3, 2))])

    options = {"padding_mode": padding_mode, "align_corners": align_corners}
    images = batch(photograph, 1, "bilinear")
    theirs = kornia.warp_image_tps(
        first(images),
        *(torch.tensor(a[None].astype(np.float32)) for a in (points, weights[:-3], weights[-3:])),
        **options,
    )
    grid = stn.thin_plate_spline_grid(
        offsets.astype(np.float32), SOURCE, control_points=points, align_corners=align_corners
    )
    check(sample(images, grid[None], mode="bilinear", **options), theirs)


def test_get_tps_transform_where_it_is_the_same_spline() -> None:
    """At the control points (both interpolate), and everywhere when the offsets are affine."""
    points, offsets = control_points()
    affine = points @ np.array([[0.1, -0.2], [0.3, 0.05]]) + [0.05, -0.1]
    places = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    spline = stn.ThinPlateSpline(tuple(map(tuple, points)))
    for moved, at in ((offsets, points), (affine, places)):
        weights = kornia.get_tps_transform(
            torch.tensor(points)[None], torch.tensor(points + moved)[None]
        )
        theirs = kornia.warp_points_tps(
            torch.tensor(at)[None], torch.tensor(points + moved)[None], *weights
        )
        ours = spline.apply(jnp.asarray(moved.reshape(-1)), jnp.asarray(at))
        np.testing.assert_allclose(ours, theirs[0].numpy(), rtol=0, atol=1e-9)
