"""One contract over every kernel, boundary, backend and number of axes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import stn_jax as stn
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES
from stn_jax.sampling.platforms import ALGORITHMS as BACKENDS

# "triton" is "gather" but on a GPU; its kernels have tests/sampling/test_triton.py.
FAST = [name for name in BACKENDS if name not in ("reference", "triton")]
SHAPES = {2: ((4, 5), (3, 6)), 3: ((3, 2, 4), (2, 3, 2))}


def case(n, dtype=np.float64, spread=1.8, seed=0):
    rng = np.random.default_rng(seed)
    sizes, out = SHAPES[n]
    image = rng.standard_normal((*sizes, 2)).astype(dtype)
    return image, rng.uniform(-spread, spread, (*out, n)).astype(dtype)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("n", "mode", "padding_mode"),
    [
        # 64 taps compile for seconds: one padding stands for all of them where time is short.
        pytest.param(n, mode, padding, marks=pytest.mark.slow)
        if (n, mode) == (3, "bicubic") and padding != "reflection"
        else (n, mode, padding)
        for n, mode, padding in itertools.product((2, 3), MODES, PADDING_MODES)
    ],
)
def test_equals_the_double_sum(mode, padding_mode, n, align_corners, backend):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    if padding_mode == "fill":
        options["fill_value"] = jnp.array([0.5, -2.0])
    image, grid = case(n)
    ours = stn.grid_sample(image, grid, backend=backend, **options)
    assert np.ptp(ours) > 0.1
    expected = stn.grid_sample(image, grid, backend="reference", **options)
    np.testing.assert_allclose(ours, expected, atol=1e-12)


@pytest.mark.parametrize("n", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("mode", "padding_mode"),
    [
        pytest.param(*row, marks=[] if row == ("bilinear", "zeros") else pytest.mark.slow)
        for row in itertools.product(MODES, PADDING_MODES)
    ],
)
def test_derivatives_to_second_order(mode, padding_mode, n):
    image, grid = case(n, spread=1.4, seed=3)
    image, grid = image[..., :1], grid[:1, :2]
    check_grads(
        lambda u, g: stn.grid_sample(u, g, mode=mode, padding_mode=padding_mode),
        (image, grid),
        order=2,
        modes=("fwd", "rev"),
        atol=1e-5,
        rtol=1e-5,
        eps=1e-5,
    )


def test_gradient_at_the_identity_is_not_zero():
    image = jnp.asarray(np.random.default_rng(0).random((8, 8, 1)))

    def loss(theta):
        return jnp.sum(stn.bilinear_sample(image, stn.affine_grid(theta, (8, 8))) ** 2)

    gradient = jax.grad(loss)(jnp.eye(2, 3))
    assert jnp.all(jnp.abs(gradient) > 1e-3)


def test_no_work_is_done_for_an_image_without_a_gradient():
    image, grid = case(2)

    def loss(grid):
        return jnp.sum(stn.grid_sample(image, grid))

    assert "scatter" not in jax.jit(jax.grad(loss)).lower(grid).as_text()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_nan_stays_where_it_is(mode, padding_mode):
    image, grid = case(2)
    lost = grid.copy()
    lost[1, 2, 0] = np.nan
    options = {"mode": mode, "padding_mode": padding_mode}
    value = np.array(stn.grid_sample(image, lost, **options))
    assert np.isnan(value[1, 2]).all()
    value[1, 2] = stn.grid_sample(image, grid, **options)[1, 2]
    np.testing.assert_array_equal(value, stn.grid_sample(image, grid, **options))
    gradient = jax.grad(lambda u: jnp.nansum(stn.grid_sample(u, lost, **options)))(image)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("far", [1e6, 3e9, 1e20, 3e38, np.inf])
def test_far_points_are_outside(mode, far):
    image, _ = case(2, np.float32)
    grid = jnp.array([[[far, 0.1], [-far, 0.1], [0.1, far], [far, -far]]], jnp.float32)
    zeros = stn.grid_sample(image, grid, mode=mode)
    np.testing.assert_array_equal(zeros, jnp.zeros_like(zeros))
    fill = stn.grid_sample(image, grid, mode=mode, padding_mode="fill", fill_value=7.0)
    np.testing.assert_allclose(fill, 7.0, rtol=1e-6)
    border = stn.grid_sample(image, grid, mode=mode, padding_mode="border")
    near = stn.grid_sample(image, jnp.clip(grid, -3, 3), mode=mode, padding_mode="border")
    np.testing.assert_allclose(border, near, atol=1e-6)
    for padding_mode in ("reflection", "wrap"):
        assert jnp.isfinite(
            stn.grid_sample(image, grid, mode=mode, padding_mode=padding_mode)
        ).all()


def test_axes_of_one_pixel():
    image = jnp.full((1, 1, 1), 3.0)
    grid = jnp.zeros((1, 1, 2))
    for padding_mode, align_corners in itertools.product(PADDING_MODES, (False, True)):
        options = {"padding_mode": padding_mode, "align_corners": align_corners}
        assert stn.grid_sample(image, grid, **options).item() == 3.0


@pytest.mark.parametrize(
    ("image_batch", "grid_batch"),
    [((), (3,)), ((3,), ()), ((2, 1), (3,)), ((0,), (0,)), ((2,), (1,))],
)
def test_batches_broadcast(image_batch, grid_batch):
    rng = np.random.default_rng(0)
    image = rng.standard_normal((*image_batch, 4, 5, 2))
    grid = rng.uniform(-1, 1, (*grid_batch, 3, 6, 2))
    value = stn.grid_sample(image, grid)
    batch = np.broadcast_shapes(image_batch, grid_batch)
    assert value.shape == (*batch, 3, 6, 2)
    images = np.broadcast_to(image, (*batch, 4, 5, 2))
    grids = np.broadcast_to(grid, (*batch, 3, 6, 2))
    for index in np.ndindex(batch):
        np.testing.assert_allclose(
            value[index], stn.grid_sample(images[index], grids[index]), atol=1e-14
        )


def test_empty_output():
    assert stn.grid_sample(jnp.ones((4, 4, 1)), jnp.ones((0, 3, 2))).shape == (0, 3, 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_of_nothing_has_gradients_of_nothing(backend):
    image, grid = jnp.zeros((0, 4, 5, 2)), jnp.zeros((0, 3, 3, 2))
    values, pull = jax.vjp(lambda *x: stn.grid_sample(*x, backend=backend), image, grid)
    assert [x.shape for x in (values, *pull(values))] == [(0, 3, 3, 2), image.shape, grid.shape]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_low_precision_images_keep_float32_coordinates(dtype):
    width = 224
    image = jnp.arange(width, dtype=jnp.float32)[None, :, None] / width
    grid = stn.affine_grid(stn.translation(jnp.array([0.3 / width, 0.0], jnp.float32)), (1, width))
    value = stn.grid_sample(image.astype(dtype), grid, padding_mode="border")
    assert value.dtype == dtype
    exact = stn.grid_sample(image, grid, padding_mode="border")
    step = jnp.finfo(dtype).eps
    np.testing.assert_allclose(value.astype(jnp.float32), exact, atol=float(step))


def test_sample_pixels_counts_pixels():
    image, _ = case(2)
    points = jnp.array([[[0.0, 0.0], [4.0, 3.0], [1.0, 2.0]]])
    np.testing.assert_allclose(
        stn.sample_pixels(image, points)[0], [image[0, 0], image[3, 4], image[2, 1]], atol=1e-14
    )


def test_everything_jax_does_to_a_function():
    image, grid = case(2, spread=0.9)
    expected = stn.grid_sample(image, grid)
    batch = jnp.stack([grid, grid])
    np.testing.assert_allclose(
        jax.vmap(lambda g: stn.grid_sample(image, g))(batch)[1], expected, atol=1e-14
    )
    _, scanned = jax.lax.scan(lambda c, g: (c, stn.grid_sample(image, g)), 0, batch)
    np.testing.assert_allclose(scanned[0], expected, atol=1e-14)

    def total(g):
        return jnp.sum(stn.grid_sample(image, g) ** 2)

    gradient = jax.grad(total)(grid)
    np.testing.assert_allclose(jax.grad(jax.checkpoint(total))(grid), gradient, atol=1e-13)
    np.testing.assert_allclose(jax.jacfwd(total)(jnp.asarray(grid)), gradient, atol=1e-13)
    assert jax.hessian(total)(grid[:1, :2]).shape == (1, 2, 2, 1, 2, 2)


def test_one_trace_a_shape():
    image, grid = case(2)
    traces = []

    @jax.jit
    def run(u, g):
        traces.append(1)
        return stn.grid_sample(u, g)

    run(image, grid)
    run(image + 1, grid + 1)
    assert len(traces) == 1


def test_exports_with_a_symbolic_batch():
    b = jax.export.symbolic_shape("b")[0]
    image = jax.ShapeDtypeStruct((b, 4, 5, 1), jnp.float32)
    grid = jax.ShapeDtypeStruct((b, 3, 3, 2), jnp.float32)
    exported = jax.export.export(jax.jit(stn.grid_sample), platforms=("cpu", "cuda", "tpu"))(
        image, grid
    )
    image, grid = jnp.ones((2, 4, 5, 1), jnp.float32), jnp.zeros((2, 3, 3, 2), jnp.float32)
    np.testing.assert_allclose(exported.call(image, grid), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"image": jnp.ones((4, 5))}, ValueError, "image has shape (4, 5)"),
        ({"image": jnp.ones((4, 5, 1), int)}, TypeError, "astype(jnp.float32)"),
        ({"image": jnp.ones((4, 5, 1), complex)}, TypeError, "real and imaginary"),
        ({"image": jnp.ones((0, 5, 1))}, ValueError, "must not be empty"),
        (
            {"image": jnp.ones((2, 4, 5, 1)), "grid": jnp.ones((3, 1, 1, 2))},
            ValueError,
            "(2,) and (3,)",
        ),
        ({"grid": jnp.ones((3, 3, 4))}, ValueError, "(x, y)"),
        ({"grid": jnp.ones((3, 2))}, ValueError, "(*batch, h, w, 2)"),
        ({"mode": "linear"}, ValueError, "'nearest', 'bilinear', 'bicubic'"),
        ({"padding_mode": "zero"}, ValueError, "'zeros', 'border'"),
        ({"backend": "cuda"}, ValueError, "'gather', 'matmul', 'windowed', 'triton', 'reference'"),
        ({"padding_mode": "fill", "fill_value": jnp.ones(2)}, ValueError, "1 channels"),
        ({"fill_value": 1.0}, ValueError, "padding_mode='fill'"),
    ],
)
def test_errors_say_what_to_do(change, error, words):
    arguments = {"image": jnp.ones((4, 5, 1)), "grid": jnp.ones((3, 3, 2))} | change
    image, grid = arguments.pop("image"), arguments.pop("grid")
    with pytest.raises(error) as caught:
        stn.grid_sample(image, grid, **arguments)
    assert words in str(caught.value)
