"""Which algorithm, and which form of each map, a platform runs."""

from types import ModuleType

import jax
import jax.numpy as jnp
import pytest
from jax import export

import stn_jax as stn
from stn_jax.sampling import platforms
from stn_jax.sampling.platforms import cpu, gpu, native

MAPS = ("read", "jvp_points", "splat", "vjp_points")


@pytest.mark.parametrize(
    ("platform", "values", "algorithm"),
    [
        ("cpu", 100, "native"),
        ("cpu", 10**9, "native"),
        ("cuda", 100, "gather"),
        ("rocm", 100, "gather"),
        (None, 100, "gather"),
        ("tpu", 100, "matmul"),
        ("tpu", 2**17, "matmul"),
        ("tpu", 2**17 + 1, "windowed"),
    ],
)
def test_auto_takes_what_is_fast(platform: str | None, values: int, algorithm: str) -> None:
    assert platforms.choose(platform, values) == algorithm


def test_on_a_tpu_an_image_of_unknown_size_is_not_multiplied() -> None:
    (size,) = export.symbolic_shape("h")
    assert platforms.choose("tpu", 3 * size) == "windowed"


@pytest.mark.parametrize(
    ("algorithm", "platform", "module", "maps"),
    [
        ("native", "cpu", native, {"read", "jvp_points", "splat", "vjp_points"}),
        ("gather", "cpu", cpu, {"splat", "vjp_points"}),
        ("triton", "cpu", cpu, {"splat", "vjp_points"}),
        ("triton", "cuda", gpu, {"read", "splat", "vjp_points"}),
        ("triton", "rocm", gpu, {"read", "splat", "vjp_points"}),
    ],
)
def test_forms_of_their_own(
    algorithm: str, platform: str, module: ModuleType, maps: set[str]
) -> None:
    assert platforms.FORMS[algorithm, platform]() is module
    assert {name for name in MAPS if hasattr(module, name)} == maps


def test_without_kernels_that_are_needed_the_algorithm_is_gather(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native, "IS_INSTALLED", False)
    image, grid = jnp.ones((2, 3, 3, 1)), jnp.zeros((2, 5, 5, 2))
    text = jax.jit(lambda i, g: stn.grid_sample(i, g, backend="native")).lower(image, grid)
    assert "stablehlo.gather" in text.as_text()


def test_all_other_platforms_run_the_algorithm() -> None:
    rows = {(a, p) for a in platforms.ALGORITHMS for p in (*platforms.PLATFORMS, None)}
    assert len(platforms.FORMS) == 5
    assert {*platforms.FORMS} <= rows


@pytest.mark.parametrize(
    ("platform", "size", "has", "has_not"),
    [
        ("cpu", 16, {"gather", "scatter"}, {"dot_general"}),
        ("cuda", 16, {"gather", "scatter"}, {"dot_general"}),
        ("tpu", 16, {"dot_general"}, {"gather", "scatter"}),
        ("tpu", 600, {"gather"}, {"dot_general"}),
    ],
)
def test_programs_for_a_platform_with_any_number_of_images(
    platform: str, size: int, has: set[str], has_not: set[str]
) -> None:
    """No such device is here: the program for it is made, with both gradients, and not run."""
    (batch,) = export.symbolic_shape("b")
    image = jax.ShapeDtypeStruct((batch, size, size, 3), jnp.float32)
    grid = jax.ShapeDtypeStruct((batch, 8, 8, 2), jnp.float32)

    def loss(image: jax.Array, grid: jax.Array) -> jax.Array:
        return jnp.sum(stn.grid_sample(image, grid) ** 2)

    gradient = jax.jit(jax.value_and_grad(loss, (0, 1)))
    text = export.export(gradient, platforms=[platform])(image, grid).mlir_module()
    assert {word for word in has | has_not if f"stablehlo.{word}" in text} == has


def test_one_program_for_all_platforms_holds_the_form_of_each() -> None:
    sizes = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((4, 5, 1), (3, 3, 2)))
    program = export.export(jax.jit(stn.grid_sample), platforms=("cpu", "cuda", "tpu"))(*sizes)
    text = program.mlir_module()
    assert "stablehlo.gather" in text
    assert "stablehlo.dot_general" in text
    assert (
        not program.call(jnp.ones((4, 5, 1), jnp.float32), jnp.zeros((3, 3, 2), jnp.float32))[
            ..., 0
        ].min()
        < 1
    )
