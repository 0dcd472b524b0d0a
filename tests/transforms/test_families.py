"""What each family is, beyond the contract: the geometry itself."""

import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jax.test_util import check_grads

import stn_jax as stn
from stn_jax import coordinates


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
    box = coordinates.pixel_to_normalized(
        jnp.array([1.0, 2.0, 3.0, 4.0]), 6, align_corners=align_corners
    )
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
                coordinates.pixel_to_normalized(x, 5, align_corners=align_corners),
                coordinates.pixel_to_normalized(y, 7, align_corners=align_corners),
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


def test_rotations_are_scipys():
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


def test_similarity_and_rigid_are_products_of_their_parts():
    s, a, t = jnp.array(0.7), jnp.array(0.4), jnp.array([0.1, -0.2])
    turned = stn.compose(stn.translation(t), stn.rotation(a))
    np.testing.assert_allclose(stn.Rigid().matrix(jnp.array([a, *t])), turned, atol=1e-15)
    scaled = stn.compose(turned, stn.scaling(jnp.stack([s, s])))
    np.testing.assert_allclose(stn.Similarity().matrix(jnp.array([s, a, *t])), scaled, atol=1e-15)
    t = jnp.array([0.1, -0.2, 0.3])
    for k, axis in enumerate("xyz"):
        vector = jnp.zeros(3).at[k].set(a)
        turned = stn.compose(stn.translation(t), stn.rotation(a, axis=axis))
        np.testing.assert_allclose(
            stn.Rigid(3).matrix(jnp.concatenate([vector, t])), turned, atol=1e-15
        )
        scaled = stn.compose(turned, stn.scaling(jnp.stack([s, s, s])))
        np.testing.assert_allclose(
            stn.Similarity(3).matrix(jnp.concatenate([s[None], vector, t])), scaled, atol=1e-15
        )


@pytest.mark.parametrize("n", [2, 3])
def test_matrix_exponential_is_scipys_and_never_mirrors(n):
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


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4)])
def test_a_flow_reads_where_it_points(shape, align_corners):
    n = len(shape)
    rng = np.random.default_rng(0)
    image, flow = rng.random((*shape, 1)), rng.uniform(-1, 1, (*shape, n))
    corners = {"align_corners": align_corners}
    at = np.stack(np.indices(shape)[::-1], axis=-1) + flow
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


def test_a_flow_on_a_coarse_lattice_is_interpolated_and_held_beyond_it():
    flow = np.arange(4.0).reshape(2, 2, 1) * np.array([0.1, -0.2])
    transform = stn.Flow((2, 2))
    points = jnp.array([[-0.5, -0.5], [0.0, 0.0], [0.0, 0.5], [1.0, 1.0], [9.0, -9.0]])
    moved = transform.apply(jnp.asarray(flow.ravel()), points) - points
    times = np.array([0, 1.5, 2.5, 3, 1])[:, None]
    np.testing.assert_allclose(moved, times * [0.1, -0.2], atol=1e-12)


def whirl(points):
    """A smooth velocity that vanishes, with three derivatives, at the border of [-1, 1]^2."""
    x, y = np.moveaxis(np.asarray(points), -1, 0)
    window = (np.maximum(1 - x**2, 0) * np.maximum(1 - y**2, 0)) ** 4
    return 0.6 * window[..., None] * np.stack([np.sin(2 * y + 0.5), np.cos(2 * x)], axis=-1)


def flowed(sizes, mode):
    """Maps 200 points, and back again, by the field on lattices of these sizes."""
    points = jnp.asarray(np.random.default_rng(0).uniform(-0.9, 0.9, (1, 200, 2)))
    found = []
    for size in sizes:
        transform = stn.Velocity((size, size), mode=mode)
        velocity = jnp.asarray(whirl(stn.identity_grid((size, size), dtype=np.float64))).ravel()
        moved = transform.apply(velocity, points)
        found.append((moved, transform.apply(transform.invert(velocity), moved)))
    return points, found


def rms(a, b):
    return float(np.sqrt(np.mean((np.asarray(a) - np.asarray(b)) ** 2)))


@pytest.mark.parametrize(("mode", "order", "last"), [("bilinear", 2, 3e-4), ("bicubic", 3, 5e-6)])
def test_velocity_is_the_solution_of_its_equation_and_negating_it_the_inverse(mode, order, last):
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


@pytest.mark.parametrize(
    ("size", "mode", "steps"), [(16, "bilinear", 16), (16, "bicubic", 7), (64, "bicubic", 7)]
)
def test_velocity_by_runge_kutta_is_undone_at_any_resolution(size, mode, steps):
    """A bilinear field has corners, which cost steps: with seven the largest error is 3.9e-5."""
    transform = stn.Velocity((size, size), mode=mode, steps=steps, integrator="runge_kutta")
    velocity = jnp.asarray(whirl(stn.identity_grid((size, size), dtype=np.float64)))
    points = stn.identity_grid((64, 64), dtype=jnp.float64)
    moved = transform.apply(velocity.ravel(), points)
    assert np.abs(moved - points).max() > 0.4
    back = transform.apply(transform.invert(velocity.ravel()), moved)
    np.testing.assert_allclose(back, points, atol=1e-5)
    again = stn.velocity_grid(velocity, mode=mode, steps=steps, integrator="runge_kutta")
    expected = transform.grid(velocity.ravel(), (size, size))
    np.testing.assert_allclose(again, expected, atol=1e-12)


def test_velocity_needs_its_steps():
    """The midpoint rule's error falls by four with each step more, down to interpolation's."""
    velocity = whirl(np.asarray(stn.identity_grid((64, 64), dtype=np.float64)))
    fine = stn.velocity_grid(velocity, steps=10, mode="bicubic")
    errors = [rms(stn.velocity_grid(velocity, steps=k, mode="bicubic"), fine) for k in (0, 1, 2, 3)]
    ratios = np.array(errors[:-1]) / errors[1:]
    assert (ratios > 3).all(), errors


def test_a_chain_is_one_map_after_the_other_sampled_once():
    chain = stn.Chain(stn.Affine(), stn.ThinPlateSpline((3, 3)), stn.Rigid())
    rng = np.random.default_rng(0)
    parts = [p.identity() + 0.1 * rng.standard_normal(p.num_params) for p in chain.transforms]
    params = jnp.concatenate(parts)
    points = stn.identity_grid((4, 5), dtype=np.float64)
    expected = points
    for part, own in list(zip(chain.transforms, parts, strict=True))[::-1]:
        expected = part.apply(jnp.asarray(own), expected)
    np.testing.assert_allclose(chain.grid(params, (4, 5)), expected, atol=1e-14)
    assert [p.shape for p in chain.split(params)] == [p.shape for p in parts]


def test_a_chain_does_not_blur_twice():
    """By half a pixel and on by half a pixel is by a pixel: no blur, where two steps blur."""
    image = np.random.default_rng(0).random((6, 8, 1))
    half = stn.Translation()
    step = jnp.array([1 / 8, 0.0])
    chain = stn.Chain(half, half)

    def once(image):
        return stn.spatial_transform(image, jnp.tile(step, 2), (6, 8), transform=chain)

    def single(image):
        return stn.spatial_transform(image, step, (6, 8), transform=half)

    np.testing.assert_allclose(once(image)[:, :-1], image[:, 1:], atol=1e-12)
    assert np.abs(single(single(image)) - once(image))[:, :-1].max() > 0.1
    reads = [str(jax.make_jaxpr(f)(image)).count(" stn_read[") for f in (once, single)]
    assert reads[0] == reads[1] > 0


def test_a_homography_has_its_points_in_front_wherever_the_origin_is():
    """And the solve through NumPy's linear system gives the same matrix, up to its scale."""
    rng = np.random.default_rng(0)
    square = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    target = square * 0.5 + rng.uniform(-5, 5, (50, 1, 2)) + 0.1 * rng.standard_normal((50, 4, 2))
    source = square * 0.3 + rng.uniform(-5, 5, (50, 1, 2)) + 0.05 * rng.standard_normal((50, 4, 2))
    theta = stn.homography_from_points(target, source)
    np.testing.assert_allclose(moved_by(theta, target), source, atol=1e-9)
    shifted = stn.compose(theta, stn.translation(target.mean(1)))  # looks at the quadrilateral
    inside = stn.compose(shifted, stn.scaling(jnp.full(2, 0.3)))
    grid = np.asarray(stn.projective_grid(inside, (5, 5)))
    assert np.abs(grid).max() < 10  # and not OUTSIDE
    for k in range(3):
        rows = []
        for (x, y), (u, v) in zip(target[k], source[k], strict=True):
            rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, -u], [0, 0, 0, x, y, 1, -v * x, -v * y, -v]]
        null = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
        np.testing.assert_allclose(theta[k] / theta[k, 0, 0], null / null[0, 0], rtol=1e-6)


def moved_by(theta, points):
    """Applies homographies ``(b, 3, 3)`` to points ``(b, k, 2)`` by NumPy, with no horizon."""
    flat = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
    flat = np.einsum("bij,bkj->bki", theta, flat)
    assert (flat[..., 2] > 0).all()
    return flat[..., :2] / flat[..., 2:]


def test_homographies_compose_and_invert_beside_affine_matrices():
    rng = np.random.default_rng(0)
    h, g = np.eye(3) + 0.1 * rng.standard_normal((2, 4, 3, 3))
    a = np.eye(2, 3) + 0.1 * rng.standard_normal((4, 2, 3))
    a3 = np.concatenate([a, np.broadcast_to([[0.0, 0.0, 1.0]], (4, 1, 3))], axis=1)
    points = rng.uniform(-1, 1, (4, 5, 2))
    for one, two, (m, n) in [((h), (g), (h, g)), (h, a, (h, a3)), (a, h, (a3, h))]:
        both = stn.compose(one, two)
        assert both.shape == (4, 3, 3)
        np.testing.assert_allclose(
            moved_by(both, points), moved_by(m, moved_by(n, points)), atol=1e-12
        )
    assert stn.compose(a, a).shape == (4, 2, 3)
    back = moved_by(np.asarray(stn.invert(h)), moved_by(h, points))
    np.testing.assert_allclose(back, points, atol=1e-12)


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_pixel_homography_reads_the_pixels_that_it_says(align_corners):
    source, target = (7, 5), (4, 6)
    matrix = np.array([[0.7, 0.1, 0.3], [-0.1, 1.2, 0.5], [0.02, -0.03, 1.0]])
    corners = {"align_corners": align_corners}
    theta = stn.normalize_matrix(matrix, source, target, **corners)
    pixels = np.stack(np.indices(target)[::-1], axis=-1).reshape(1, -1, 2)
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


def test_second_derivatives_at_a_control_point_on_a_pixel_centre():
    points = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])  # of a 2 x 2 output
    offsets = 0.1 * np.random.default_rng(0).standard_normal((4, 2))

    @jax.jit
    def grid(offsets):
        return jnp.sin(stn.thin_plate_spline_grid(offsets, (2, 2), control_points=points))

    np.testing.assert_allclose(
        np.arcsin(grid(offsets)).reshape(4, 2)[[0, 1, 3, 2]], points + offsets, atol=1e-12
    )
    check_grads(grid, (offsets,), 2, ("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-5)


@pytest.mark.parametrize(
    ("grid", "theta"),
    [
        (lambda t: stn.affine_grid(t, (3, 4)), np.eye(2, 3)),
        (lambda t: stn.affine_grid(t, (2, 3, 2)), np.eye(3, 4)),
        (lambda t: stn.projective_grid(t, (3, 4)), np.eye(3)),
        (lambda t: stn.projective_grid(t, (2, 3, 2)), np.eye(4)),
        (lambda t: stn.thin_plate_spline_grid(t, (3, 4)), np.zeros((16, 2))),
        (lambda t: stn.attention_grid(t, (3, 4)), np.array([1.0, 0, 0])),
        (lambda t: stn.flow_grid(t, units="pixels"), np.zeros((3, 4, 2))),
        (lambda t: stn.velocity_grid(t, steps=2), None),
    ],
    ids="affine affine3 projective projective3 spline attention flow velocity".split(),
)
def test_grid_functions_have_the_derivatives_of_their_values(grid, theta):
    """Velocity in general position alone, and to first order: it is bilinear, with knots."""
    rng = np.random.default_rng(5)
    order, starts = (2, [theta]) if theta is not None else (1, [])
    noise = 0.1 * rng.standard_normal((3, 4, 2) if theta is None else theta.shape)
    starts.append(noise if theta is None else theta + noise)
    for start in starts:
        check_grads(jax.jit(grid), (start,), order, ("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-5)


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
        (lambda: stn.homography_from_points(jnp.ones((3, 2)), jnp.ones((4, 2))), "four points"),
        (
            lambda: stn.homography_from_points(jnp.ones((4, 2)), jnp.ones((4, 3))),
            "source has shape",
        ),
        (lambda: stn.invert(jnp.eye(2)), "homography (*batch, 3, 3)"),
        (
            lambda: stn.normalize_matrix(jnp.eye(2, 3), (1, 4), (4, 4), align_corners=True),
            "one pixel",
        ),
        (lambda: stn.normalize_matrix(jnp.eye(2), (4, 4), (4, 4)), "matrix has shape (2, 2)"),
        (lambda: stn.denormalize_matrix(jnp.eye(2), (4, 4), (4, 4)), "theta has shape (2, 2)"),
        (lambda: stn.affine_grid(jnp.eye(2, 3), (4, -4)), "shape=(4, -4)"),
        (lambda: stn.projective_grid(jnp.eye(4), (4, 4)), "(d, h, w)"),
        (lambda: stn.attention_grid(jnp.ones(4), (4, 4)), "(d, h, w)"),
        (lambda: stn.attention_grid(jnp.ones(()), (4, 4)), "theta has shape ()"),
        (lambda: stn.flow_grid(jnp.ones((3, 2))), "flow has shape (3, 2)"),
        (lambda: stn.flow_grid(jnp.ones((3, 3, 4))), "displacement (x, y[, z])"),
        (lambda: stn.flow_grid(jnp.ones((3, 3, 3))), "(*batch, d, h, w, 3)"),
        (lambda: stn.flow_grid(jnp.ones((3, 3, 2)), units="px"), "units='px' is not known"),
        (lambda: stn.velocity_grid(jnp.ones((3, 2))), "velocity has shape (3, 2)"),
        (lambda: stn.velocity_grid(jnp.ones((3, 3, 2)), units="px"), "'normalized' or 'pixels'"),
        (lambda: stn.velocity_grid(jnp.ones((3, 3, 2)), steps=-1), "steps=-1 must not be"),
        (lambda: stn.velocity_grid(jnp.ones((3, 3, 2)), mode="cubic"), "mode='cubic'"),
        (lambda: stn.Velocity((3, 3), steps=-1), "steps=-1 must not be"),
        (lambda: stn.Velocity((3, 3), steps=0, integrator="runge_kutta"), "steps=0 must not be"),
        (lambda: stn.Velocity((3, 3), integrator="euler"), "'squaring', 'runge_kutta'"),
        (lambda: stn.Velocity((3,)), "give (h, w) or (d, h, w)"),
        (lambda: stn.Flow((3, 0)), "shape=(3, 0)"),
        (lambda: stn.Flow((3, 3)).grid(jnp.ones(17), (4, 4)), "(*batch, 18)"),
        (lambda: stn.Chain(), "at least one transform"),
        (lambda: stn.Chain(stn.Affine(), stn.Affine(3)), "all 2-D or all 3-D"),
        (lambda: stn.Chain(stn.Affine()).grid(jnp.ones(5), (4, 4)), "(*batch, 6)"),
        (lambda: stn.Similarity(4), "ndim=4"),
        (lambda: stn.Rigid(1), "ndim=1"),
        (lambda: stn.Attention(4), "ndim=4"),
        (lambda: stn.Translation(4), "ndim=4"),
        (lambda: stn.Projective(4), "ndim=4"),
        (lambda: stn.AffineDiffeomorphic(4), "ndim=4"),
        (lambda: stn.ThinPlateSpline(((0.0, 0.0, 0.0),)), "points (k, 2)"),
        (
            lambda: stn.spatial_transform(jnp.ones((4, 4, 1)), jnp.ones(5), (4, 4)),
            "(*batch, 6)",
        ),
    ],
)
def test_errors_say_what_to_do(call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


def test_a_chain_is_made_of_transforms():
    was = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)  # or the annotation is first to object
    try:
        with pytest.raises(ValueError, match="'flow' is none"):
            stn.Chain(stn.Affine(), "flow")
    finally:
        jaxtyping.config.update("jaxtyping_disable", was)
