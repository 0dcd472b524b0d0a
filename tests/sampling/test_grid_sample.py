"""The public door: shapes, dtypes, what JAX does to a function, and errors that say what to do."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import stn_jax as stn
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES
from stn_jax.sampling.platforms import BACKENDS

RNG = np.random.default_rng(0)
IMAGE = RNG.standard_normal((4, 5, 2))
GRID = RNG.uniform(-1.4, 1.4, (3, 6, 2))
ALL = [name for name in BACKENDS if name != "triton"]  # which is "gather" but on a GPU


def test_the_gradient_at_the_identity_is_not_zero() -> None:
    image = jnp.asarray(RNG.random((8, 8, 1)))

    def loss(theta: jax.Array) -> jax.Array:
        return jnp.sum(stn.bilinear_sample(image, stn.affine_grid(theta, (8, 8))) ** 2)

    assert jnp.all(jnp.abs(jax.grad(loss)(jnp.eye(2, 3))) > 1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_far_points_are_outside(mode: str) -> None:
    image, far = np.float32(IMAGE), np.array([1e6, 3e9, 1e20, 3e38, np.inf], np.float32)
    points: list[tuple[Any, Any]] = [(far, 0.1), (-far, 0.1), (0.1, far), (far, -far)]
    grid = np.stack([np.stack(np.broadcast_arrays(*p), -1) for p in points]).astype(np.float32)
    zeros = stn.grid_sample(image, grid, mode=mode)
    np.testing.assert_array_equal(zeros, 0)
    fill = stn.grid_sample(image, grid, mode=mode, padding_mode="fill", fill_value=7.0)
    np.testing.assert_allclose(fill, 7.0, rtol=1e-6)
    border = stn.grid_sample(image, grid, mode=mode, padding_mode="border")
    near = stn.grid_sample(image, np.clip(grid, -3, 3), mode=mode, padding_mode="border")
    np.testing.assert_allclose(border, near, atol=1e-6)
    for padding_mode in ("reflection", "wrap"):
        value = stn.grid_sample(image, grid, mode=mode, padding_mode=padding_mode)
        assert jnp.isfinite(value).all()


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize(
    ("align_corners", "expected"), [(False, [26.0, 21.75, 4.75]), (True, [68.0, 37.75, 73.25])]
)
def test_each_mirror_counts(backend: str, align_corners: bool, expected: list[float]) -> None:
    image = np.arange(100, dtype=np.float32).reshape(10, 10, 1)
    points = np.array([[[26.0, 42.0], [-33.25, 57.5], [104.75, -61.0]]], np.float32)
    value = stn.sample_pixels(
        image,
        points,
        padding_mode="reflection",
        align_corners=align_corners,
        backend=backend,
    )
    np.testing.assert_allclose(value[0, :, 0], expected, atol=1e-4)  # what PyTorch gives


def test_axes_of_one_pixel() -> None:
    image, grid = jnp.full((1, 1, 1), 3.0), jnp.zeros((1, 1, 2))
    for padding_mode, align_corners in itertools.product(PADDING_MODES, (False, True)):
        options: dict[str, Any] = {"padding_mode": padding_mode, "align_corners": align_corners}
        assert stn.grid_sample(image, grid, **options).item() == 3.0


@pytest.mark.parametrize(
    ("image_batch", "grid_batch"),
    [((), (3,)), ((3,), ()), ((2, 1), (3,)), ((0,), (0,)), ((2,), (1,))],
)
def test_batches_broadcast(image_batch: tuple[int, ...], grid_batch: tuple[int, ...]) -> None:
    image = RNG.standard_normal((*image_batch, 4, 5, 2))
    grid = RNG.uniform(-1, 1, (*grid_batch, 3, 6, 2))
    value = stn.grid_sample(image, grid)
    batch = np.broadcast_shapes(image_batch, grid_batch)
    assert value.shape == (*batch, 3, 6, 2)
    images = np.broadcast_to(image, (*batch, 4, 5, 2))
    grids = np.broadcast_to(grid, (*batch, 3, 6, 2))
    for index in np.ndindex(batch):
        expected = stn.grid_sample(images[index], grids[index])
        np.testing.assert_allclose(value[index], expected, atol=1e-14)


@pytest.mark.parametrize("backend", ALL)
def test_nothing_gives_nothing(backend: str) -> None:
    """No images, no points, no channels: with gradients."""
    for image, grid in (
        ((0, 4, 5, 2), (0, 3, 3, 2)),
        ((2, 4, 5, 2), (2, 0, 3, 2)),
        ((2, 4, 5, 0), (2, 3, 3, 2)),
    ):

        def run(u: jax.Array, x: jax.Array) -> tuple[Any, ...]:
            values, pull = jax.vjp(lambda u, x: stn.grid_sample(u, x, backend=backend), u, x)
            return values, *pull(values)

        values, d_image, d_grid = run(jnp.zeros(image), jnp.zeros(grid))
        assert values.shape == (*grid[:-1], image[-1])
        assert (d_image.shape, d_grid.shape) == (image, grid)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_low_precision_images_keep_float32_coordinates(dtype: type[Any]) -> None:
    width = 224
    image = jnp.arange(width, dtype=jnp.float32)[None, :, None] / width
    grid = stn.affine_grid(stn.translation(np.array([0.3 / width, 0.0], np.float32)), (1, width))
    value = stn.grid_sample(image.astype(dtype), grid, padding_mode="border")
    assert value.dtype == dtype
    exact = stn.grid_sample(image, grid, padding_mode="border")
    step = jnp.finfo(dtype).eps
    np.testing.assert_allclose(value.astype(jnp.float32), exact, atol=float(step))


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_low_precision_images_are_read_at_fractions_of_a_pixel(dtype: Any, backend: str) -> None:
    stripes = jnp.tile(jnp.array([0, 1], dtype), 112)[None, :, None]  # a ramp hides half a pixel
    points = np.array([[[118.61, 0.0], [172.25, 0.0], [218.83, 0.0]]], np.float32)
    value = stn.sample_pixels(stripes, points, backend=backend).astype(jnp.float32)
    np.testing.assert_allclose(value[0, :, 0], [0.61, 0.25, 0.83], atol=0.004)


@pytest.mark.parametrize("x64", [False, True])
def test_the_precision_is_that_of_the_inputs(x64: bool) -> None:
    with jax.enable_x64(x64):
        for image, grid in ((np.float32, np.float32), (np.float32, np.float64)):
            value = stn.grid_sample(IMAGE.astype(image), GRID.astype(grid))
            assert value.dtype == np.float32
            np.testing.assert_allclose(value, stn.grid_sample(np.float32(IMAGE), GRID), atol=1e-5)
        assert stn.grid_sample(IMAGE, GRID).dtype == (np.float64 if x64 else np.float32)


@pytest.mark.parametrize(
    "fill", [0.5, np.float32(0.5), np.full(2, 0.5), jnp.float32(0.5)], ids=type
)
def test_a_fill_of_any_type_keeps_the_image_dtype(fill: Any) -> None:
    image = jnp.asarray(IMAGE, jnp.bfloat16)
    for padding_mode in ("fill", "constant"):
        value = stn.grid_sample(image, GRID, padding_mode=padding_mode, fill_value=fill)
        assert value.dtype == jnp.bfloat16
    stn.grid_sample(image, GRID, fill_value=np.float32(0))  # zero is no fill, whatever its type


def test_sample_pixels_counts_pixels_x_first() -> None:
    points = np.array([[[0.0, 0.0], [4.0, 3.0], [1.0, 2.0]]])
    value = stn.sample_pixels(IMAGE, points)[0]
    np.testing.assert_allclose(value, [IMAGE[0, 0], IMAGE[3, 4], IMAGE[2, 1]], atol=1e-14)


def test_an_image_of_unsharable_batches_is_sampled_under_scan_and_checkpoint() -> None:
    grids = jnp.stack([GRID, GRID + 0.1])
    expected = stn.grid_sample(IMAGE, GRID)
    _, scanned = jax.lax.scan(lambda c, g: (c, stn.grid_sample(IMAGE, g)), 0, grids)
    np.testing.assert_allclose(scanned[0], expected, atol=1e-14)

    def total(grid: jax.Array) -> jax.Array:
        return jnp.sum(stn.grid_sample(IMAGE, grid) ** 2)

    gradient = jax.grad(total)(jnp.asarray(GRID))
    np.testing.assert_allclose(jax.grad(jax.checkpoint(total))(GRID), gradient, atol=1e-13)


# Symbolic sizes: one program for images and grids of any size.


def exported(call: Callable[..., Any], shapes: Any, *arrays: Any) -> Any:
    scope = export.SymbolicScope()
    sizes = [
        jax.ShapeDtypeStruct(export.symbolic_shape(shape, scope=scope), jnp.float32)
        for shape in shapes
    ]
    return export.export(jax.jit(call))(*sizes).call(*map(jnp.float32, arrays))


SIZES = [("b, h, w, 2", "b, p, q, 2"), ("b, 4, 5, c", "b, 3, 6, 2")]


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize(
    ("padding_mode", "align_corners"), [("border", False), ("reflection", True)]
)
def test_one_program_samples_images_of_any_size(
    backend: str, padding_mode: str, align_corners: bool
) -> None:
    options: dict[str, Any] = {"padding_mode": padding_mode, "align_corners": align_corners}

    def call(u: jax.Array, x: jax.Array) -> jax.Array:
        return stn.grid_sample(u, x, backend=backend, **options)

    images, grids = np.stack([IMAGE, -IMAGE]), np.stack([GRID, GRID[::-1]])
    expected = np.stack(
        [stn.grid_sample(u, x, **options) for u, x in zip(images, grids, strict=True)]
    )
    for shapes in SIZES:
        np.testing.assert_allclose(exported(call, shapes, images, grids), expected, atol=1e-5)


@pytest.mark.parametrize("backend", ["auto", "matmul", "windowed"])
def test_one_program_has_gradients_of_any_size(backend: str) -> None:
    def gradients(u: jax.Array, x: jax.Array) -> Any:
        def loss(u: jax.Array, x: jax.Array) -> jax.Array:
            value = stn.grid_sample(u, x, backend=backend, padding_mode="fill", fill_value=0.5)
            return jnp.sum(jnp.sin(value))

        return jax.grad(loss, (0, 1))(u, x)

    images, grids = np.float32(IMAGE[None]), np.float32(GRID[None])
    found = exported(gradients, ("b, h, w, c", "b, p, q, 2"), images, grids)
    expected = gradients(jnp.asarray(images), jnp.asarray(grids))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), list(found), list(expected)
    )


# Errors.


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"image": jnp.ones((4, 5))}, ValueError, "image has shape (4, 5)"),
        ({"image": jnp.ones((4, 5, 1), int)}, TypeError, "astype(jnp.float32)"),
        ({"image": jnp.ones((4, 5, 1), bool)}, TypeError, "image has dtype bool"),
        ({"image": jnp.ones((4, 5, 1), complex)}, TypeError, "real and imaginary"),
        ({"image": np.ones((4, 5, 1), ">f4")}, TypeError, "image has dtype >f4"),
        ({"grid": np.ones((3, 3, 2), ">f8")}, TypeError, "grid has dtype >f8"),
        ({"image": jnp.ones((0, 5, 1))}, ValueError, "must not be empty"),
        (
            {"image": jnp.ones((2, 4, 5, 1)), "grid": jnp.ones((3, 1, 1, 2))},
            ValueError,
            "(2,) and (3,)",
        ),
        ({"grid": jnp.ones((3, 3, 4))}, ValueError, "(x, y)"),
        ({"grid": jnp.ones((3, 2))}, ValueError, "(*batch, h, w, 2)"),
        ({"grid": jnp.ones((3, 3, 2), int)}, TypeError, "grid has dtype int"),
        ({"mode": "linear"}, ValueError, "'nearest', 'bilinear', 'bicubic', 'lanczos3'"),
        ({"padding_mode": "zero"}, ValueError, "'zeros', 'border'"),
        ({"backend": "cuda"}, ValueError, "'gather', 'matmul', 'windowed', 'triton', 'reference'"),
        ({"padding_mode": "fill", "fill_value": jnp.ones(2)}, ValueError, "1 channels"),
        ({"padding_mode": "constant", "fill_value": 1j}, TypeError, "fill_value=1j"),
        ({"fill_value": 1.0}, ValueError, "padding_mode='fill'"),
        ({"fill_value": np.nan}, ValueError, "padding_mode='fill'"),
        ({"antialias": True, "mode": "nearest"}, ValueError, "use 'bilinear'"),
        ({"antialias": True, "max_levels": -1}, ValueError, "max_levels=-1 must not be negative"),
        ({"max_levels": 2}, ValueError, "antialias=True"),
    ],
)
@pytest.mark.parametrize("sample", [stn.grid_sample, stn.sample_pixels])
def test_errors_say_what_to_do(
    sample: Callable[..., Any], change: dict[str, Any], error: type[Exception], words: str
) -> None:
    arguments = {"image": jnp.ones((4, 5, 1)), "grid": jnp.ones((3, 3, 2))} | change
    image, grid = arguments.pop("image"), arguments.pop("grid")
    if sample is stn.sample_pixels:
        words = words.replace("grid has", "coordinates has")
        words = words.replace("(*batch, h, w, 2)", "coordinates has shape (3, 2)")
    with pytest.raises(error) as caught:
        sample(image, grid, **arguments)
    assert words in str(caught.value)


def test_images_beyond_32_bits_are_refused() -> None:
    def shape(*sizes: int) -> Any:
        return jax.ShapeDtypeStruct(sizes, jnp.float32)

    grid = shape(2, 2, 2)
    with pytest.raises(ValueError, match=r"image has shape \(32768, 65536, 1\).*2\^31"):
        jax.eval_shape(stn.grid_sample, shape(32768, 65536, 1), grid)
    with pytest.raises(ValueError, match="image"):
        jax.eval_shape(stn.grid_sample, shape(2048, 1024, 1025, 1), shape(2, 2, 2, 3))
    with pytest.raises(ValueError, match="image"):
        jax.eval_shape(
            lambda u: stn.separable_sample(u, np.ones(2), np.zeros(2), (2, 2)),
            shape(32768, 65536, 1),
        )
    assert jax.eval_shape(stn.grid_sample, shape(32767, 65536, 1), grid).shape == (2, 2, 1)
    # A batch may be larger: places are counted for each image.
    many = jax.eval_shape(stn.grid_sample, shape(9, 32767, 65536, 1), shape(9, 2, 2, 2))
    assert many.shape == (9, 2, 2, 1)
