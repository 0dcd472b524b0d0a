"""The compiled kernels of stn-jax-cpu: equal to the gathers of XLA, and the same bits every time.

The contract of all algorithms (tests/sampling/test_contract.py) holds for them too.
"""

import itertools
import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES
from stn_jax.sampling.platforms import native

needs_package = pytest.mark.skipif(not native.IS_INSTALLED, reason="stn-jax-cpu is not installed")


POINTS = {2: (9, 40), 3: (3, 3, 40)}  # more than a block of the kernels, and a part of one


def draw(n: int, channels: int, seed: int = 0) -> Any:
    """Images, normalised points, among them NaN, infinite and far ones, and cotangents."""
    random = np.random.default_rng(seed)
    shape = (7, 11, 5)[:n]
    image = random.standard_normal((2, *shape, channels), np.float32)
    grid = random.uniform(-1.6, 1.6, (2, *POINTS[n], n)).astype(np.float32)
    grid.reshape(2, -1, n)[:, :4] = np.array([np.nan, np.inf, -1e30, 1.0])[:, None]
    values = random.standard_normal((2, *POINTS[n], channels), np.float32)
    return map(jnp.asarray, (image, grid, values))


def results(backend: str, n: int, channels: int, **options: Any) -> list[np.ndarray]:
    image, grid, values = draw(n, channels)

    def sample(image: jax.Array, grid: jax.Array) -> jax.Array:
        return stn.grid_sample(image, grid, backend=backend, **options)

    @jax.jit
    def run(image: jax.Array, grid: jax.Array, values: jax.Array) -> tuple[Any, ...]:
        out, pull = jax.vjp(sample, image, grid)
        tangents = jnp.cos(image), jnp.cos(jnp.where(jnp.isfinite(grid), grid, 0))
        return out, *pull(values), jax.jvp(sample, (image, grid), tangents)[1]

    return [np.asarray(x) for x in run(image, grid, values)]


def assert_agree(n: int, channels: int, **options: Any) -> None:
    names = ("samples", "image's gradient", "points' gradient", "change")
    expected, found = (results(b, n, channels, **options) for b in ("gather", "native"))
    for name, a, b in zip(names, expected, found, strict=True):
        scale = max(1.0, float(np.nanmax(np.abs(a))))
        np.testing.assert_allclose(b, a, rtol=0, atol=3e-5 * scale, err_msg=f"{name} {options}")


def test_programs_call_kernels_where_they_are_installed() -> None:
    program = jax.jit(stn.grid_sample).lower(*itertools.islice(draw(2, 1), 2)).as_text()
    assert ("stn_read" in program.replace("@", "")) == native.IS_INSTALLED


def test_exported_programs_do_not_need_the_package() -> None:
    exported = jax.export.export(jax.jit(stn.grid_sample))(*itertools.islice(draw(2, 1), 2))
    assert "custom_call" not in exported.mlir_module()


@needs_package
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 17])
@pytest.mark.parametrize("n", [2, 3])
def test_any_number_of_channels_agrees(n: int, channels: int) -> None:
    assert_agree(n, channels)


@needs_package
@pytest.mark.slow
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [2, 3])
def test_every_row_agrees(n: int, mode: str, padding_mode: str) -> None:
    for channels, align_corners in itertools.product((1, 3, 5), (False, True)):
        options = {"padding_mode": padding_mode, "align_corners": align_corners}
        assert_agree(n, channels, mode=mode, **options)


HASH = """
import hashlib, sys
import jax, jax.numpy as jnp
import stn_jax as stn
key = jax.random.key(0)
digest = hashlib.sha256()
for shape in ((1, 64, 48, 3), (5, 40, 40, 1), (1, 33, 31, 19)):
    image = jax.random.normal(key, shape)
    grid = jax.random.uniform(key, (*shape[:3], 2), minval=-1.2, maxval=1.2)
    out, pull = jax.vjp(lambda i, g: stn.grid_sample(i, g, backend="native"), image, grid)
    for x in (out, *pull(jnp.cos(out))):
        digest.update(bytes(memoryview(jax.device_get(x))))
print(digest.hexdigest())
"""


@needs_package
@pytest.mark.slow
def test_results_are_the_same_bits_with_any_number_of_threads() -> None:
    def run(cpus: str) -> str:
        command = ["taskset", "-c", cpus, sys.executable, "-c", HASH]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    last = (os.cpu_count() or 1) - 1
    assert run("0") == run(f"0-{last}") == run(f"0-{last}")


@needs_package
def test_cpus_of_several_devices_use_gathers() -> None:
    """A custom call does not tell XLA how to split it."""
    code = (
        "import jax, jax.numpy as jnp, stn_jax as stn\n"
        "mesh = jax.make_mesh((2,), ('data',), axis_types=(jax.sharding.AxisType.Auto,))\n"
        "sharded = jax.sharding.NamedSharding(mesh, jax.P('data'))\n"
        "x = jax.device_put((jnp.ones((2, 4, 4, 1)), jnp.zeros((2, 4, 4, 2))), sharded)\n"
        "text = jax.jit(stn.grid_sample).lower(*x).compile().as_text()\n"
        "assert 'stn_read' not in text and 'all-gather' not in text\n"
    )
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "XLA_FLAGS": flags})
