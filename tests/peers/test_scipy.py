"""SciPy's values: padding modes, splines, rotations, exponentials, differential equations."""

from typing import Any

import jax
import jax.numpy as jnp
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
    ("constant", {"fill_value": np.array([0.3, -2.0])}, "constant"),
    ("border", {}, "nearest"),
]
SHAPES = [(5, 7), (1, 6), (4, 5, 3)]


def draw(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
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
def test_map_coordinates(
    mode: str,
    order: int,
    padding_mode: str,
    options: dict[str, Any],
    theirs: str,
    shape: tuple[int, ...],
) -> None:
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
def test_thin_plate_spline(regularization: float) -> None:
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


@pytest.mark.parametrize("shape", [(30, 30), (60, 80), (150, 200)], ids=str)
def test_thin_plate_splines_of_900_control_points(shape: tuple[int, ...]) -> None:
    """The last shape is beyond the table of pixels and control points."""
    offsets = np.float32(0.05 * np.random.default_rng(0).normal(size=(900, 2)))
    points = stn.ThinPlateSpline((30, 30)).points
    spline = interpolate.RBFInterpolator(points, np.float64(offsets), kernel="thin_plate_spline")
    grid = np.asarray(stn.identity_grid(shape, align_corners=True, dtype=np.float64))
    right = grid + spline(grid.reshape(-1, 2)).reshape(grid.shape)
    options: dict[str, Any] = {"control_points": (30, 30), "align_corners": True}
    for array, error in ((offsets, 3e-4), (np.float64(offsets), 1e-10)):
        ours = stn.thin_plate_spline_grid(array, shape, **options)
        np.testing.assert_allclose(ours, right, rtol=0, atol=error)


@pytest.mark.parametrize("side", [4, 10])
def test_thin_plate_splines_of_traced_control_points(side: int) -> None:
    rng = np.random.default_rng(side)
    points = np.float32(
        stn.ThinPlateSpline((side, side)).points + rng.normal(size=(side**2, 2)) / 50
    )
    offsets = np.float32(0.1 * rng.normal(size=(side**2, 2)))
    spline = interpolate.RBFInterpolator(
        np.float64(points), np.float64(offsets), kernel="thin_plate_spline"
    )
    grid = np.asarray(stn.identity_grid((20, 30), dtype=np.float64))
    right = grid + spline(grid.reshape(-1, 2)).reshape(grid.shape)
    ours = jax.jit(lambda o, p: stn.thin_plate_spline_grid(o, (20, 30), control_points=p))
    np.testing.assert_allclose(ours(offsets, points), right, rtol=0, atol=1e-4)


def test_rotations_are_scipys() -> None:
    rotations = pytest.importorskip("scipy.spatial.transform").Rotation
    rng = np.random.default_rng(0)
    angle = rng.uniform(-4, 4, 5)
    for axis in "xyz":
        expected = rotations.from_euler(axis, angle[:, None]).as_matrix()
        np.testing.assert_allclose(stn.rotation(angle, axis=axis)[..., :3], expected, atol=1e-14)
    vectors = rng.standard_normal((200, 3)) * np.geomspace(1e-9, 3, 200)[:, None]
    vectors[0] = 0
    pose = np.concatenate([vectors, rng.standard_normal((200, 3))], axis=-1)
    expected = rotations.from_rotvec(vectors)
    matrix = stn.Rigid(3).matrix(pose)
    np.testing.assert_allclose(matrix[..., :3], expected.as_matrix(), atol=1e-14)
    np.testing.assert_array_equal(matrix[..., 3], pose[:, 3:])
    both = stn.Rigid(3).compose(pose, pose[::-1])[:, :3]  # a vector at most pi long, as SciPy's
    np.testing.assert_allclose(both, (expected * expected[::-1]).as_rotvec(), atol=1e-12)


@pytest.mark.parametrize("n", [2, 3])
def test_matrix_exponential_is_scipys_and_never_mirrors(n: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    transform = stn.AffineDiffeomorphic(n)
    rng = np.random.default_rng(0)
    params = rng.standard_normal((150, transform.num_params))
    params *= np.repeat([1e-8, 1.0, 3.0], 50)[:, None]
    generator = np.concatenate([params.reshape(-1, n, n + 1), np.zeros((150, 1, n + 1))], axis=1)
    expected = np.stack([linalg.expm(g) for g in generator])[:, :n]
    size = np.abs(expected).max((1, 2), keepdims=True)
    matrix = np.asarray(transform.matrix(params))
    np.testing.assert_allclose(matrix / size, expected / size, atol=1e-11)
    change, exact = matrix[:50] - np.eye(n, n + 1), generator[:50, :n]
    np.testing.assert_allclose(change, exact, atol=1e-15)  # near the identity no digit is lost
    trace = np.trace(generator, axis1=1, axis2=2)
    mild = np.repeat([True, True, False], 50)
    np.testing.assert_allclose(np.linalg.det(matrix[mild, :, :n]), np.exp(trace[mild]), rtol=1e-6)
    assert (np.linalg.det(matrix[..., :n]) > 0).all()


def whirl(points: jax.Array | np.ndarray) -> np.ndarray:
    """A smooth velocity that vanishes, with three derivatives, at the border of [-1, 1]^2."""
    x, y = np.moveaxis(np.asarray(points), -1, 0)
    window = (np.maximum(1 - x**2, 0) * np.maximum(1 - y**2, 0)) ** 4
    return np.asarray(
        0.6 * window[..., None] * np.stack([np.sin(2 * y + 0.5), np.cos(2 * x)], axis=-1)
    )


def flowed(sizes: Any, mode: str) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
    """Maps 200 points, and back again, by the field on lattices of these sizes."""
    points = jnp.asarray(np.random.default_rng(0).uniform(-0.9, 0.9, (1, 200, 2)))
    found = []
    for size in sizes:
        transform = stn.Velocity((size, size), mode=mode)
        velocity = jnp.asarray(whirl(stn.identity_grid((size, size), dtype=np.float64))).ravel()
        moved = transform.apply(velocity, points)
        found.append((moved, transform.apply(transform.invert(velocity), moved)))
    return points, found


def rms(a: jax.Array | np.ndarray, b: jax.Array | np.ndarray) -> float:
    return float(np.sqrt(np.mean((np.asarray(a) - np.asarray(b)) ** 2)))


@pytest.mark.parametrize(("mode", "order", "last"), [("bilinear", 2, 3e-4), ("bicubic", 3, 5e-6)])
def test_velocity_is_the_solution_of_its_equation_and_negating_it_the_inverse(
    mode: str, order: int, last: float
) -> None:
    """Measured at 128 x 128: 2.3e-4 and 2.6e-6 from the solution, 1.0e-4 and 3.0e-6 there and back.

    The points move by half an image's half width; largest errors are eight times these.
    """
    integrate = pytest.importorskip("scipy.integrate")
    sizes = (16, 32, 64, 128)
    points, found = flowed(sizes, mode)
    solution = integrate.solve_ivp(
        lambda _, state: whirl(state.reshape(-1, 2)).ravel(),
        (0, 1), points.ravel(), rtol=1e-10, atol=1e-12,
    ).y[:, -1].reshape(points.shape)  # fmt: skip
    assert np.abs(solution - points).max() > 0.5
    for errors in (
        [rms(moved, solution) for moved, _ in found],
        [rms(back, points) for _, back in found],
    ):
        slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
        assert slope > order - 0.35, f"slope {slope:.2f}, errors {errors}"
        assert errors[-1] < last
