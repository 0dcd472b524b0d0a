"""JAX's strict switches: every sampling function passes under each, forward and back."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax.sampling.platforms import BACKENDS

RNG = np.random.default_rng(0)
IMAGE = RNG.random((6, 7, 1)).astype(np.float32)
GRID = RNG.uniform(-1.1, 1.1, (3, 4, 2)).astype(np.float32)
SCALE, SHIFT = np.array([1.7, 0.8], np.float32), np.array([0.1, -0.2], np.float32)
FILL = np.array([0.5], np.float32)


def sampler(**options: Any) -> Callable[..., jax.Array]:
    return lambda u, x: stn.grid_sample(u, x, **options)


CALLS: dict[str, tuple[Any, ...]] = {  # function, and its arrays
    **{name: (sampler(backend=name), IMAGE, GRID) for name in BACKENDS if name != "triton"},
    "nearest": (sampler(mode="nearest", padding_mode="wrap"), IMAGE, GRID),
    "bicubic": (sampler(mode="bicubic", padding_mode="reflection"), IMAGE, GRID),
    "lanczos3": (sampler(mode="lanczos3", padding_mode="border"), IMAGE, GRID),
    "fill": (sampler(padding_mode="fill", fill_value=0.5), IMAGE, GRID),
    "constant": (sampler(padding_mode="constant", fill_value=FILL), IMAGE, GRID),
    "antialias": (sampler(antialias=True, max_levels=1), IMAGE, GRID),
    "many grids": (stn.grid_sample, IMAGE, np.stack([GRID, GRID])),
    "many images": (stn.grid_sample, np.stack([IMAGE, IMAGE]), GRID),
    "sample_pixels": (stn.sample_pixels, IMAGE, 3 * GRID),
    "bilinear_sample": (stn.bilinear_sample, IMAGE, GRID),
    "separable_sample": (
        lambda u, s, t: stn.separable_sample(u, s, t, (3, 4)), IMAGE, SCALE, SHIFT,
    ),
    "separable_sample(fill)": (
        lambda u, s, t: stn.separable_sample(u, s, t, (3, 4), padding_mode="fill", fill_value=2.0),
        IMAGE, np.stack([SCALE, SCALE]), SHIFT,
    ),
}  # fmt: skip


def value_and_gradients(name: str, arrays: Any = None) -> tuple[Any, ...]:
    function, *given = CALLS[name]
    arrays = [jax.device_put(a) for a in given] if arrays is None else arrays
    value = function(*arrays)
    every = tuple(range(len(arrays)))
    return value, *jax.grad(lambda *a: jnp.sum(function(*a) ** 2), every)(*arrays)


@contextlib.contextmanager
def switches() -> Iterator[None]:
    """All that refuse something and leave the result as it is."""
    with contextlib.ExitStack() as stack:
        for switch in (
            jax.numpy_rank_promotion("raise"),
            jax.numpy_dtype_promotion("strict"),
            jax.debug_nans(True),
            jax.enable_checks(True),
        ):
            stack.enter_context(switch)
        yield


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("x64", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_programs_of_strict_users(name: str, x64: bool) -> None:
    """Ranks, dtypes and types are checked as a program is made: it need not be compiled."""
    with jax.enable_x64(x64), switches():
        program = jax.jit(lambda *arrays: value_and_gradients(name, arrays))
        out = program.lower(*CALLS[name][1:]).out_info
    assert {leaf.dtype for leaf in jax.tree.leaves(out)} == {np.dtype(np.float32)}


RUN = ["auto", "fill", "matmul", "separable_sample"]


@pytest.mark.parametrize(
    "name", [n if n in RUN else pytest.param(n, marks=pytest.mark.slow) for n in CALLS]
)
def test_results_of_strict_users(name: str) -> None:
    with switches():
        found = value_and_gradients(name)
    assert all(np.isfinite(a).all() for a in found)


@pytest.mark.parametrize(
    "name", ["auto", *(pytest.param(n, marks=pytest.mark.slow) for n in CALLS if n != "auto")]
)
def test_without_jit(name: str) -> None:
    expected = value_and_gradients(name)
    with jax.disable_jit():
        found = value_and_gradients(name)
    for ours, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, want, atol=1e-5)


@pytest.mark.parametrize("name", ["auto", "bicubic", "antialias", "many grids", "separable_sample"])
def test_an_eager_call_moves_nothing_to_the_device_by_itself(name: str) -> None:
    function, *arrays = CALLS[name]
    arrays = [jax.device_put(a) for a in arrays]
    with jax.transfer_guard("disallow"):
        jax.block_until_ready(function(*arrays))


@pytest.mark.parametrize("fill", [0.0, 0.5, np.float32(2), np.ones(1, np.float32)], ids=type)
def test_a_fill_value_is_put_on_the_device_by_name(fill: Any) -> None:
    image, grid = jax.device_put(IMAGE), jax.device_put(GRID)
    for padding_mode in ("fill", "constant"):
        with jax.transfer_guard("disallow"):
            stn.grid_sample(image, grid, padding_mode=padding_mode, fill_value=fill)
