"""OpenCV's warps, within the 1/32 pixel to which it rounds coordinates."""

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
def photograph():
    return data.astronaut()[:384, :512][::4, ::4].astype(np.float32) / 255


@BORDERS
def test_remap_at_coordinates_that_it_can_represent(photograph, border, options):
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
def test_warp_affine(photograph, border, options):
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
