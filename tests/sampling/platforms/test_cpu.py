"""The gradients as XLA:CPU runs them: runs of pixels, shards. Values are in test_contract too."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sampling.cases import interpolation
from stn_jax.sampling import gather
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.platforms import cpu


def operands(
    batch: int, count: int, channels: int = 2, shape: tuple[int, ...] = (4, 5)
) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    values = jnp.asarray(rng.standard_normal((batch, count, channels)))
    points = rng.uniform(-1.5, np.array(shape[::-1]) + 0.5, (batch, count, len(shape)))
    points[0, 1, 0] = np.nan
    return values, jnp.asarray(points)


def derived(
    values: jax.Array, points: jax.Array, row: Interpolation, shape: tuple[int, ...]
) -> jax.Array:
    """The image's gradient as JAX derives it from the gathers."""

    def one(values: jax.Array, points: jax.Array) -> Any:
        zero = jnp.zeros((*shape, values.shape[-1]))
        return jax.vjp(lambda u: gather.sample(u, points, row), zero)[1](values)[0]

    gradient: jax.Array = jax.vmap(one)(values, points)
    return gradient


@pytest.mark.parametrize(("batch", "count", "channels"), [(1, 12, 2), (5, 6, 1), (3, 13, 2)])
def test_splat_is_what_jax_derives(batch: int, count: int, channels: int) -> None:
    values, points = operands(batch, count, channels)
    row = interpolation("bilinear", "reflection")
    found = jax.jit(lambda v, x: cpu.splat(v, x, interpolation=row, shape=(4, 5)))(values, points)
    np.testing.assert_allclose(found, derived(values, points, row, (4, 5)), atol=1e-12)


@pytest.mark.parametrize(("padding_mode", "size", "runs"), [
    ("zeros", 5, 1), ("border", 5, 1), ("reflection", 5, 1), ("wrap", 5, 2), ("border", 1, 2),
])  # fmt: skip
def test_taps_of_an_axis_are_one_run_of_pixels(padding_mode: str, size: int, runs: int) -> None:
    row = interpolation("bilinear", padding_mode)
    x = jnp.array([[-0.75, 0.0, 0.5, size - 1.0, size - 0.25]])
    (x, _), _ = row.coordinates([x, x], (size, size))
    taps = row.taps(x, size)
    found = cpu._runs(taps, size, row.padding.wraps)
    assert len(found) == runs

    def dense(pairs: Any) -> np.ndarray:
        total = np.zeros((x.size, size))
        for index, weight in pairs:
            np.add.at(total, (np.arange(x.size), np.asarray(index)[0]), np.asarray(weight)[0])
        return total

    pairs = [(start + k, w) for start, weights in found for k, w in enumerate(weights)]
    np.testing.assert_allclose(dense(pairs), dense(taps), atol=1e-15)


def test_a_splat_of_one_channel_and_of_several_agree() -> None:
    values, points = operands(2, 9, 3)
    row = interpolation("bicubic", "border")
    splat = jax.jit(lambda v: cpu.splat(v, points, interpolation=row, shape=(4, 5)))
    together = splat(values)
    for c in range(3):
        np.testing.assert_allclose(
            splat(values[..., c : c + 1])[..., 0], together[..., c], atol=1e-12
        )


def test_points_gradient_stores_no_taps() -> None:
    """Temporary memory of a large call is less than its taps would take."""
    row, shape, count = interpolation("bicubic", "zeros"), (64, 64), 64 * 64
    image = jax.ShapeDtypeStruct((8, *shape, 3), jnp.float32)
    points = jax.ShapeDtypeStruct((8, count, 2), jnp.float32)
    values = jax.ShapeDtypeStruct((8, count, 3), jnp.float32)
    taps = 16 * 8 * count * 3 * 4

    def gradient(*operands: jax.Array) -> jax.Array:
        return cpu.vjp_points(*operands, interpolation=row, shape=shape)

    program = jax.jit(gradient).lower(image, values, points).compile()
    memory: Any = program.memory_analysis()
    assert memory.temp_size_in_bytes < taps / 2


SHARDED = r"""
import json, re
import jax
jax.config.update("jax_num_cpu_devices", 8)
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import stn_jax as stn

def outcome(image, grid):
    values, pull = jax.vjp(stn.grid_sample, image, grid)
    return values, pull(jnp.cos(values))

mesh = Mesh(np.array(jax.devices()), ("batch",))
split = NamedSharding(mesh, P("batch"))
random = np.random.default_rng(0)
image = random.normal(size=(16, 12, 12, 3)).astype("float32")
grid = random.uniform(-1.2, 1.2, size=(16, 12, 12, 2)).astype("float32")
sharded = jax.device_put((image, grid), split)
compiled = jax.jit(outcome).lower(*sharded).compile()
names = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-"
ours = jax.tree.leaves(compiled(*sharded))
one = jax.tree.leaves(jax.jit(outcome)(image, grid))
report = {
    "collectives": len(re.findall(names, compiled.as_text())),
    "split": all(x.sharding.is_equivalent_to(split, x.ndim) for x in ours),
    "difference": max(float(np.abs(np.asarray(a) - np.asarray(b)).max())
                      for a, b in zip(ours, one)),
}
print(json.dumps(report))
"""


def test_a_sharded_batch_needs_no_collective() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", SHARDED], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["collectives"] == 0
    assert report["split"]
    assert report["difference"] < 1e-4


def test_places_are_counted_for_each_image() -> None:
    """No index spans a batch, so only one image has to fit an int32."""
    values, points = operands(3, 7)
    row = interpolation("bilinear", "border")
    jaxpr = str(jax.make_jaxpr(lambda v, x: cpu.splat(v, x, interpolation=row, shape=(4, 5)))(
        values, points
    ))  # fmt: skip
    scatters = re.findall(r"operand_batching_dims=\(([^)]*)\)", jaxpr)
    assert scatters
    assert all(dims.startswith("0") for dims in scatters)
