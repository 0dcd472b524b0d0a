"""Values of every padding mode against SciPy's `map_coordinates`, splines against its RBFs."""

import numpy as np
import pytest

import stn_jax as stn

ndimage = pytest.importorskip("scipy.ndimage")
interpolate = pytest.importorskip("scipy.interpolate")

BOUNDARIES = [
    ("wrap", {}, "grid-wrap"),
    ("reflection", {"align_corners": True}, "mirror"),
    ("reflection", {"align_corners": False}, "reflect"),
    ("zeros", {}, "grid-constant"),
    ("fill", {"fill_value": np.array([0.3, -2.0])}, "grid-constant"),
    ("border", {}, "nearest"),
]
SHAPES = [(5, 7), (1, 6), (4, 5, 3)]


def draw(shape):
    """Two channels, and points inside, on pixel centres and up to three sizes outside."""
    rng = np.random.default_rng(sum(shape))
    sizes = np.array(shape[::-1])
    points = rng.uniform(-3 * sizes, 4 * sizes, (1500, len(shape)))
    points = np.where(rng.random(points.shape) < 0.2, np.round(points), points)
    points[:500] = rng.uniform(-1, sizes, (500, len(shape)))
    lead = (1,) * (len(shape) - 1)  # a grid has as many axes as the image
    return rng.standard_normal((*shape, 2)), points.reshape(*lead, 1500, len(shape))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("padding_mode", "options", "theirs"), BOUNDARIES, ids=lambda p: p if type(p) is str else ""
)
@pytest.mark.parametrize(("mode", "order"), [("nearest", 0), ("bilinear", 1)])
def test_map_coordinates(mode, order, padding_mode, options, theirs, shape):
    image, points = draw(shape)
    if mode == "nearest":  # ties go to even here, up there
        tie = np.abs(points - np.floor(points) - 0.5) < 1e-6
        points = np.where(tie, points + 0.1, points)
    ours = stn.sample_pixels(image, points, mode=mode, padding_mode=padding_mode, **options)
    outside = options.get("fill_value", np.zeros(2))
    for channel in range(2):
        expected = ndimage.map_coordinates(
            image[..., channel],
            np.moveaxis(points[..., ::-1], -1, 0),
            order=order,
            mode=theirs,
            cval=outside[channel],
        )
        np.testing.assert_allclose(ours[..., channel], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("regularization", [0.0, 0.2])
def test_thin_plate_spline(regularization):
    """Radial basis functions r^2 log r; ours are r^2 log r^2, twice that."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (9, 2))
    offsets = 0.3 * rng.standard_normal((9, 2))
    spline = interpolate.RBFInterpolator(
        points, offsets, kernel="thin_plate_spline", degree=1, smoothing=regularization / 2
    )
    identity = np.asarray(stn.identity_grid((11, 14), dtype=np.float64))
    expected = identity + spline(identity.reshape(-1, 2)).reshape(identity.shape)
    ours = stn.thin_plate_spline_grid(
        offsets, (11, 14), control_points=points, regularization=regularization
    )
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-10)
