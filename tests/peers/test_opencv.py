"""OpenCV's warps, within the 1/32 pixel to which it rounds coordinates."""

from typing import Any

import numpy as np
import pytest

import stn_jax as stn

cv2 = pytest.importorskip("cv2")
data = pytest.importorskip("skimage.data")

BORDERS = pytest.mark.parametrize(
    ("border", "options"),
    [
        ("CONSTANT", {"padding_mode": "zeros"}),
        ("REPLICATE", {"padding_mode": "border"}),
        ("REFLECT_101", {"padding_mode": "reflection", "align_corners": True}),
        ("REFLECT", {"padding_mode": "reflection", "align_corners": False}),
        ("WRAP", {"padding_mode": "wrap"}),
    ],
    ids=lambda p: p if type(p) is str else "",
)
SHAPE, TARGET = (96, 128), (80, 108)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return np.asarray(data.astronaut()[:384, :512][::4, ::4].astype(np.float32) / 255)


@BORDERS
def test_remap_at_coordinates_that_it_can_represent(
    photograph: np.ndarray, border: Any, options: Any
) -> None:
    """Multiples of 1/32 pixel are exact in its fixed point, so agreement is exact too."""
    rng = np.random.default_rng(0)
    size = np.array(SHAPE[::-1])
    points = np.round(rng.uniform(-2 * size, 3 * size, (*TARGET, 2)) * 32) / 32
    theirs = cv2.remap(
        photograph,
        points.astype(np.float32),
        None,
        cv2.INTER_LINEAR,
        borderMode=getattr(cv2, f"BORDER_{border}"),
    )
    ours = stn.sample_pixels(photograph, points.astype(np.float32), **options)
    assert theirs.std() > 0.05
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


@BORDERS
def test_warp_affine(photograph: np.ndarray, border: Any, options: Any) -> None:
    matrix = np.array([[0.83, -0.56, 31.3], [0.56, 0.83, -22.7]])  # source to destination
    theirs = cv2.warpAffine(
        photograph,
        matrix,
        TARGET[::-1],
        flags=cv2.INTER_LINEAR,
        borderMode=getattr(cv2, f"BORDER_{border}"),
    )
    align_corners = options.get("align_corners", False)
    theta = stn.normalize_matrix(stn.invert(matrix), SHAPE, TARGET, align_corners=align_corners)
    grid = stn.affine_grid(theta, TARGET, align_corners=align_corners)
    ours = np.asarray(stn.grid_sample(photograph, grid, **options))
    steepest = max(np.abs(np.diff(photograph, axis=axis)).max() for axis in (0, 1))
    error = np.abs(ours - theirs)
    assert theirs.std() > 0.05
    assert error.max() < 2 * steepest / 32  # each axis may be off by 1/32 pixel
    assert error.mean() < 2e-3


@pytest.mark.parametrize("offset", [0, 500])
def test_homographies_of_points_in_pixels(offset: int) -> None:
    rng = np.random.default_rng(0)
    square = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
    for side in (10, 1000):
        target, source = (
            np.float32(side * (square + 0.2 * rng.uniform(-1, 1, (4, 2))) + offset) for _ in "ab"
        )
        theirs = cv2.getPerspectiveTransform(target, source)
        ours = np.asarray(stn.homography_from_points(target, source), np.float64)
        points = np.c_[side * rng.uniform(0, 1, (50, 2)) + offset, np.ones(50)]
        moved = [points @ theta.T for theta in (ours, theirs)]
        places = [m[:, :2] / m[:, 2:] for m in moved]
        np.testing.assert_allclose(
            places[0], places[1], rtol=0, atol=2e-5 * side * max(1, offset / side)
        )


def test_the_way_back_shows_the_picture_that_opencv_shows(photograph: np.ndarray) -> None:
    """A road seen from above: the middle of the way back lies behind its horizon."""
    target = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
    source = np.array([(-0.2, 0.3), (0.2, 0.3), (1, 1), (-1, 1)], np.float32)
    theta = stn.homography_from_points(target, source)
    view = np.asarray(stn.grid_sample(photograph, stn.projective_grid(theta, TARGET)))
    pixels = np.asarray(stn.denormalize_matrix(stn.invert(theta), TARGET, SHAPE), np.float64)
    theirs = cv2.warpPerspective(
        view, pixels, SHAPE[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    ours = np.asarray(stn.grid_sample(view, stn.projective_grid(stn.invert(theta), SHAPE)))
    assert theirs.std() > 0.05
    assert np.abs(ours - theirs).mean() < 2e-3
    with pytest.raises(ValueError, match=r"Projective\.invert"):
        stn.Projective().invert(np.ravel(theta)[:8] / theta[2, 2])
