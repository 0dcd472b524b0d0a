"""The GPU's kernels, without a GPU: run in Pallas' interpreter, and lowered for CUDA and ROCm."""

import functools
import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest
from jax import export
from jax.experimental import pallas as pl

import stn_jax as stn
from stn_jax.sampling import kernels, operator
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES
from stn_jax.sampling.platforms import gpu

SHAPES = {2: (5, 7), 3: (4, 3, 5)}
POINTS = {2: 651, 3: 648}  # more than one block, the last one not full
QUICK = [
    (2, "bilinear", "zeros", False),
    (2, "bilinear", "reflection", True),
    (2, "nearest", "wrap", False),
    (3, "bilinear", "border", False),
]


def case(
    n: int,
    mode: str,
    padding_mode: str,
    batch: int,
    channels: int,
    dtype: Any,
    align_corners: bool = False,
) -> Any:
    """An interpolation, images, values and pixel coordinates: near, far, infinite and NaN."""
    rng = np.random.default_rng(n)
    interpolation = Interpolation(
        kernels.MODES[mode](-0.75), PADDING_MODES[padding_mode], align_corners, normalized=False
    )
    image = rng.standard_normal((batch, *SHAPES[n], channels)).astype(dtype)
    values = rng.standard_normal((batch, POINTS[n], channels)).astype(dtype)
    axes = []
    for size in SHAPES[n][::-1]:
        x = rng.uniform(-size, 2 * size, (batch, POINTS[n])).astype(dtype)
        x[rng.random(x.shape) < 0.2] = rng.choice([0.5, 1, 2.5, -1, size, 1e7, -1e30, np.inf])
        x[rng.random(x.shape) < 0.05] = np.nan
        axes.append(x)
    return interpolation, *map(jnp.asarray, (image, values, np.stack(axes, -1)))


@pytest.mark.parametrize(
    ("n", "mode", "padding_mode", "align_corners"),
    [
        pytest.param(*row, marks=[] if row in QUICK else pytest.mark.slow)
        for row in itertools.product((2, 3), MODES, PADDING_MODES, (False, True))
    ],
)
def test_kernels_equal_gather(n: int, mode: str, padding_mode: str, align_corners: bool) -> None:
    channels, dtype = (3, np.float64) if align_corners else (5, np.float32)
    row = n, mode, padding_mode, 2, channels, dtype, align_corners
    interpolation, image, values, points = case(*row)
    compare(interpolation, image, values, points, atol=1e-9 if align_corners else 1e-5)


@pytest.mark.parametrize("channels", [1, pytest.param(2, marks=pytest.mark.slow), 1030])
def test_a_block_has_all_channels(channels: int) -> None:
    interpolation, image, values, points = case(2, "bilinear", "border", 1, channels, np.float64)
    compare(interpolation, image, values[:, :9], points[:, :9], atol=1e-9)


def test_pixels_without_weight_are_not_read() -> None:
    interpolation, image, values, _ = case(2, "bilinear", "border", 1, 3, np.float32)
    points = jnp.tile(jnp.array([2.0, 1.0], jnp.float32), (1, 5, 1))
    bad = image.at[0, 1, 3].set(jnp.nan)  # the right neighbour, of weight 0
    compare(interpolation, bad, values[:, :5], points, atol=1e-5)
    assert np.isfinite(
        gpu.read(bad, points, interpolation=interpolation, shape=(5, 7), interpret=True)
    ).all()


def compare(
    interpolation: Interpolation,
    image: jax.Array,
    values: jax.Array,
    points: jax.Array,
    atol: float,
) -> None:
    shape = image.shape[1:-1]
    static = {"interpolation": interpolation, "shape": shape}
    for name, first in (("read", [image]), ("splat", [values]), ("vjp_points", [image, values])):
        derived = functools.partial(getattr(operator, f"_{name}"), algorithm="gather", **static)
        own = functools.partial(getattr(gpu, name), interpret=True, **static)
        want = jax.jit(jax.vmap(derived))(*first, points)
        got = jax.jit(own)(*first, points)
        assert got.dtype == want.dtype
        scale = max(1, np.nanmax(np.abs(want)))
        np.testing.assert_allclose(got, want, rtol=0, atol=atol * scale, err_msg=name)


def test_what_fills_up_a_block_is_masked() -> None:
    """On a GPU it would be the next image's; the interpreter has room for it, and forgives."""
    block = gpu._Block(batch=1, count=5, channels=100, interpret=True)
    assert block.shape == (2, 128)

    def kernel(out: Any) -> None:
        out[...] = block._mask(2)

    shape = jax.ShapeDtypeStruct((6, 128), jnp.bool_)
    spec = pl.BlockSpec(block.shape, lambda i: (i, 0))
    mask = pl.pallas_call(kernel, shape, grid=(3,), out_specs=spec, interpret=True)()
    np.testing.assert_array_equal(
        mask, np.arange(6)[:, None] < np.where(np.arange(128) < 100, 5, 0)
    )


def test_halves_are_rounded_to_even() -> None:
    x = jnp.concatenate([jnp.arange(-9, 9) / 4, jnp.array([0.49999997, 8388609.0, -1e9])])
    for dtype in (jnp.float32, jnp.float64):
        np.testing.assert_array_equal(gpu._round(x.astype(dtype)), jnp.round(x.astype(dtype)))


# ---- Programs for GPUs ---------------------------------------------------------------------------

QUICK_PROGRAMS = [
    ("cuda", "f4", "bilinear", "zeros"),
    ("rocm", "f8", "nearest", "wrap"),
    ("cuda", "f8", "bicubic", "reflection"),
]
CALL = "@__gpu$xla.gpu.triton("
lowers = pytest.mark.skipif(
    jaxlib.version.__version_info__ > (0, 10, 2),
    reason="later versions compile a kernel when they lower it, which takes the CUDA plugin",
)


def program(
    platform: str,
    *,
    backend: str,
    shape: tuple[int, ...] = (2, 6, 7, 3),
    out: tuple[int, ...] = (2, 4, 5),
    dtype: Any = "f4",
    **options: Any,
) -> str:
    """Value and both gradients, lowered for a platform that need not be here."""

    def loss(image: jax.Array, grid: jax.Array) -> jax.Array:
        return jnp.sum(stn.grid_sample(image, grid, backend=backend, **options) ** 2)

    image = jax.ShapeDtypeStruct(shape, dtype)
    grid = jax.ShapeDtypeStruct((*out, len(out) - 1), dtype)
    traced = jax.jit(jax.value_and_grad(loss, (0, 1))).trace(image, grid)
    return str(traced.lower(lowering_platforms=(platform,)).as_text())


@lowers
@pytest.mark.parametrize(
    ("platform", "dtype", "mode", "padding_mode"),
    [
        pytest.param(*row, marks=[] if row in QUICK_PROGRAMS else pytest.mark.slow)
        for row in itertools.product(("cuda", "rocm"), ("f4", "f8"), MODES, PADDING_MODES)
    ],
)
def test_a_kernel_for_each_map(platform: str, dtype: str, mode: str, padding_mode: str) -> None:
    options: dict[str, Any] = {"mode": mode, "padding_mode": padding_mode}
    text = program(platform, backend="triton", dtype=dtype, **options)
    assert text.count(CALL) == 3  # read, splat, vjp_points
    assert "gather" not in text
    assert "scatter" not in text


@lowers
@pytest.mark.parametrize("mode", ["bilinear", pytest.param("bicubic", marks=pytest.mark.slow)])
def test_a_kernel_for_each_map_of_volumes(mode: str) -> None:
    shapes = {"shape": (2, 4, 5, 6, 1), "out": (2, 3, 4, 5)}
    text = program("cuda", backend="triton", mode=mode, **shapes)
    assert text.count(CALL) == 3


def test_nothing_but_its_name_chooses_it() -> None:
    assert CALL not in program("cuda", backend="auto")


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_other_platforms_gather(platform: str) -> None:
    ours, gathers = (
        re.findall(r"stablehlo\.(?!constant|return)\w+", program(platform, backend=backend))
        for backend in ("triton", "gather")
    )
    assert ours == gathers


def test_nothing_to_sample_needs_no_kernel() -> None:
    sample = jax.jit(functools.partial(stn.grid_sample, backend="triton"))
    traced = sample.trace(jnp.ones((0, 4, 5, 1)), jnp.ones((0, 3, 3, 2)))
    assert CALL not in traced.lower(lowering_platforms=("cuda",)).as_text()


def test_a_program_for_any_number_of_images_gathers() -> None:
    (b,) = export.symbolic_shape("b")
    sizes = (b, 4, 5, 1), (b, 3, 3, 2)
    operands = [jax.ShapeDtypeStruct(size, jnp.float32) for size in sizes]
    sample = jax.jit(functools.partial(stn.grid_sample, backend="triton"))
    text = export.export(sample, platforms=["cuda"])(*operands).mlir_module()
    assert "gather" in text
    assert CALL not in text
