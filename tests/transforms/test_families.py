"""What each family is, beyond the contract: the geometry itself."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn


def test_theta_maps_target_to_source():
    image = jnp.zeros((5, 5, 1)).at[2, 3].set(1.0)
    moved = stn.grid_sample(image, stn.affine_grid(stn.translation(jnp.array([0.4, 0.0])), (5, 5)))
    assert moved[2, 2, 0] == pytest.approx(1.0)  # read one pixel further right: content moves left


def test_rotation_turns_x_towards_y():
    theta = stn.rotation(jnp.asarray(jnp.pi / 2))
    x, y = stn.Affine().apply(theta.ravel(), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose([x, y], [0.0, 1.0], atol=1e-7)
    for axis, (start, end) in {"z": (0, 1), "x": (1, 2), "y": (2, 0)}.items():
        turned = stn.rotation(jnp.asarray(jnp.pi / 2), axis=axis)[:, :3]
        np.testing.assert_allclose(turned[:, start], jnp.eye(3)[end], atol=1e-7)


@pytest.mark.parametrize("n", [2, 3])
def test_matrix_helpers_compose_like_functions(n):
    rng = np.random.default_rng(n)
    a, b = (jnp.asarray(rng.standard_normal((4, n, n + 1))) for _ in range(2))
    points = jnp.asarray(rng.standard_normal((4, n)))

    def apply(theta, p):
        return jnp.einsum("bij,bj->bi", theta[..., :-1], p) + theta[..., -1]

    np.testing.assert_allclose(apply(stn.compose(a, b), points), apply(a, apply(b, points)))
    np.testing.assert_allclose(apply(stn.invert(a), apply(a, points)), points, atol=1e-9)


def test_shear_and_scaling_put_entries_where_they_say():
    np.testing.assert_array_equal(stn.shear(jnp.array([2.0, 3.0]))[:, :2], [[1, 2], [3, 1]])
    six = stn.shear(jnp.arange(1.0, 7.0))[:, :3]
    np.testing.assert_array_equal(six, [[1, 1, 2], [3, 1, 4], [5, 6, 1]])
    np.testing.assert_array_equal(stn.scaling(jnp.array([2.0, 3.0]))[:, :2], [[2, 0], [0, 3]])


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_crop_reads_its_pixels(align_corners):
    image = jnp.arange(36.0).reshape(6, 6, 1)
    box = stn.pixel_to_normalized(jnp.array([1.0, 2.0, 3.0, 4.0]), 6, align_corners=align_corners)
    if not align_corners:  # edges, not centres: half a pixel further out
        box += jnp.array([-1, -1, 1, 1]) / 6
    grid = stn.affine_grid(stn.crop(box), (3, 3), align_corners=align_corners)
    crop = stn.grid_sample(image, grid, align_corners=align_corners)
    np.testing.assert_allclose(crop[..., 0], image[2:5, 1:4, 0], atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
def test_pixel_matrices(align_corners):
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
                stn.pixel_to_normalized(x, 5, align_corners=align_corners),
                stn.pixel_to_normalized(y, 7, align_corners=align_corners),
            ],
            atol=1e-12,
        )


def test_homography_takes_points_to_points():
    rng = np.random.default_rng(0)
    square = jnp.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    source = square + 0.2 * rng.standard_normal((5, 4, 2))
    theta = stn.homography_from_points(square, source)
    for k in range(5):
        found = stn.Projective().apply(theta[k].ravel()[:-1], square)
        np.testing.assert_allclose(found, source[k], atol=1e-12)


def test_horizon_reads_outside_and_has_no_nan():
    theta = jnp.eye(3).at[2, 0].set(-1.0)  # W = 1 - x: the horizon is the line x = 1

    def total(theta):
        grid = stn.projective_grid(theta, (3, 3), align_corners=True)
        return jnp.sum(stn.grid_sample(jnp.ones((4, 4, 1)), grid, align_corners=True))

    grid = stn.projective_grid(theta, (3, 3), align_corners=True)
    assert jnp.all(grid[:, 2] > 100)
    assert jnp.isfinite(jax.grad(total)(theta)).all()
    behind = stn.projective_grid(theta.at[2, 0].set(-3.0), (3, 3), align_corners=True)
    assert jnp.all(behind[:, 2] > 100)


def test_spline_passes_through_its_offsets():
    spline = stn.ThinPlateSpline((3, 4))
    offsets = jnp.asarray(np.random.default_rng(0).standard_normal((12, 2)))
    moved = spline.apply(offsets.ravel(), jnp.asarray(spline.points))
    np.testing.assert_allclose(moved, spline.points + offsets, atol=1e-10)
    jacobian = jax.jacfwd(lambda p: spline.apply(offsets.ravel(), p))(jnp.asarray(spline.points[0]))
    assert jnp.isfinite(jacobian).all()
    smooth = stn.ThinPlateSpline((3, 4), regularization=10.0)
    short = smooth.apply(offsets.ravel(), jnp.asarray(spline.points)) - spline.points
    assert jnp.sum(short**2) < jnp.sum(offsets**2)


def test_spline_of_an_affine_map_is_that_map():
    spline = stn.ThinPlateSpline((4, 4))
    theta = jnp.array([[1.1, 0.2, 0.3], [-0.1, 0.9, -0.2]], jnp.float64)
    offsets = stn.Affine().apply(theta.ravel(), jnp.asarray(spline.points)) - spline.points
    grid = stn.thin_plate_spline_grid(offsets, (5, 6))
    np.testing.assert_allclose(grid, stn.affine_grid(theta, (5, 6)), atol=1e-10)
    explicit = stn.thin_plate_spline_grid(offsets, (5, 6), control_points=spline.points)
    np.testing.assert_allclose(explicit, grid, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: stn.affine_grid(jnp.eye(3), (4, 4)), "(*batch, 2, 3)"),
        (lambda: stn.affine_grid(jnp.eye(2, 3), (4, 4, 4)), "(h, w)"),
        (lambda: stn.projective_grid(jnp.eye(2, 3), (4, 4)), "(*batch, 3, 3)"),
        (lambda: stn.thin_plate_spline_grid(jnp.ones((9, 2)), (4, 4)), "(*batch, 16, 2)"),
        (lambda: stn.ThinPlateSpline((1, 4)), "line"),
        (lambda: stn.ThinPlateSpline((4, 4), -1.0), "regularization=-1.0"),
        (lambda: stn.attention_grid(jnp.ones(2), (4, 4)), "scale and (x, y)"),
        (lambda: stn.Affine(4), "ndim=4"),
        (lambda: stn.Affine(free=((True,),)), "(2, 3)"),
        (lambda: stn.rotation(jnp.ones(()), axis="w"), "axis='w'"),
        (lambda: stn.crop(jnp.ones(3)), "(x0, y0, x1, y1)"),
        (lambda: stn.shear(jnp.ones(3)), "(xy, yx)"),
        (lambda: stn.scaling(jnp.ones(())), "(x, y)"),
        (lambda: stn.compose(jnp.eye(2, 3), jnp.eye(3, 4)), "do not compose"),
        (lambda: stn.invert(jnp.eye(3)), "(*batch, 2, 3)"),
        (lambda: stn.homography_from_points(jnp.ones((3, 2)), jnp.ones((4, 2))), "four points"),
    ],
)
def test_errors_say_what_to_do(call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call()
