"""The maps as a CPU runs them: chunks, runs of pixels, shards. Values are in test_contract too."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sampling.cases import interpolation, primitives
from stn_jax.sampling import gather
from stn_jax.sampling.platforms import cpu


def operands(batch, count, channels=2, shape=(4, 5)):
    rng = np.random.default_rng(0)
    values = jnp.asarray(rng.standard_normal((batch, count, channels)))
    points = rng.uniform(-1.5, np.array(shape[::-1]) + 0.5, (batch, count, len(shape)))
    points[0, 1, 0] = np.nan
    return values, jnp.asarray(points)


def derived(values, points, row, shape):
    """The image's gradient as JAX derives it from the gathers."""

    def one(values, points):
        zero = jnp.zeros((*shape, values.shape[-1]))
        return jax.vjp(lambda u: gather.sample(u, points, row), zero)[1](values)[0]

    return jax.vmap(one)(values, points)


@pytest.mark.parametrize(
    ("batch", "count", "channels", "chunk", "loops"),
    [
        (1, 12, 2, 8, 1),  # parts of an image's points, a whole number of them
        (1, 13, 2, 8, 1),  # a prime number of points: the last part is filled up with zeros
        (1, 12, 2, 48, 0),  # all at once
        (4, 6, 1, 12, 1),  # two images at a time
        (5, 6, 1, 12, 1),  # the last two of which one is none
        (3, 13, 2, 8, 1),  # parts of several images, one loop over all of them
    ],
)
def test_splat_goes_by_chunks(monkeypatch, batch, count, channels, chunk, loops):
    values, points = operands(batch, count, channels)
    row = interpolation("bilinear", "reflection")
    expected = derived(values, points, row, (4, 5))
    monkeypatch.setattr(cpu, "_CHUNK", chunk)

    def splat(values, points):
        return cpu.splat(values, points, interpolation=row, shape=(4, 5))

    assert primitives(splat, values, points).get("scan", 0) == loops
    np.testing.assert_allclose(jax.jit(splat)(values, points), expected, atol=1e-12)


def test_images_whose_pixels_an_int32_cannot_count_go_one_after_the_other(monkeypatch):
    values, points = operands(5, 13)
    row = interpolation("bilinear", "border")
    monkeypatch.setattr(cpu, "_CHUNK", 8)
    monkeypatch.setattr(cpu, "_MAX_INT32", 2 * 4 * 5 * 2)  # two images at a time

    def splat(values, points):
        return cpu.splat(values, points, interpolation=row, shape=(4, 5))

    assert primitives(splat, values, points)["scan"] == 2
    expected = derived(values, points, row, (4, 5))
    np.testing.assert_allclose(jax.jit(splat)(values, points), expected, atol=1e-12)


@pytest.mark.parametrize(("width", "loops"), [(2**14, 1), (2**15, 2)])
def test_the_limit_is_that_of_an_int32(width, loops):
    """Of three images; traced alone, for nobody has the memory."""
    values = jax.ShapeDtypeStruct((3, 2**18, 1), jnp.float32)
    points = jax.ShapeDtypeStruct((3, 2**18, 2), jnp.float32)
    row, shape = interpolation("bilinear", "border"), (2**15, width)
    counts = primitives(
        lambda v, x: cpu.splat(v, x, interpolation=row, shape=shape), values, points
    )
    assert counts["scan"] == loops


def test_a_prime_number_of_points_is_cut_as_its_neighbour_is():
    """Chunks are of equal size, so no more than a point a chunk is added."""
    for count in (4096, 4093):
        folded = cpu._fold(jnp.ones((1, count)), 1, -(-count // 16))
        assert folded.shape == (16, 1, 256)
        assert folded.sum() == count


@pytest.mark.parametrize(
    ("batch", "chunk", "size"), [(7, 7, 7), (8, 2, 2), (9, 4, 3), (10, 7, 5), (7, 3, 3)]
)
def test_a_batch_goes_by_as_few_chunks_of_equal_size_as_fit(batch, chunk, size):
    seen, x = [], jnp.arange(batch, dtype=jnp.float32)[:, None]

    def double(some):
        seen.append(len(some))
        return 2 * some

    np.testing.assert_array_equal(cpu._map_chunks(double, x, chunk=chunk), 2 * x)
    assert set(seen) == {size}


@pytest.mark.parametrize("num_devices", [1, 2, 4])
def test_every_device_loops_over_its_own_images(monkeypatch, num_devices):
    values, points = operands(8, 6)
    row = interpolation("nearest", "zeros")
    expected = derived(values, points, row, (4, 5))
    monkeypatch.setattr(jax, "device_count", lambda: num_devices)
    monkeypatch.setattr(cpu, "_CHUNK", 12)
    found = jax.jit(lambda v, x: cpu.splat(v, x, interpolation=row, shape=(4, 5)))(values, points)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(("padding_mode", "size", "runs"), [
    ("zeros", 5, 1), ("border", 5, 1), ("reflection", 5, 1), ("wrap", 5, 2), ("border", 1, 2),
])  # fmt: skip
def test_taps_of_an_axis_are_one_run_of_pixels(padding_mode, size, runs):
    row = interpolation("bilinear", padding_mode)
    x = jnp.array([[-0.75, 0.0, 0.5, size - 1.0, size - 0.25]])
    (x, _), _ = row.coordinates([x, x], (size, size))
    taps = row.taps(x, size)
    found = cpu._runs(taps, size, row.padding.wraps)
    assert len(found) == runs

    def dense(pairs):
        total = np.zeros((x.size, size))
        for index, weight in pairs:
            np.add.at(total, (np.arange(x.size), np.asarray(index)[0]), np.asarray(weight)[0])
        return total

    pairs = [(start + k, w) for start, weights in found for k, w in enumerate(weights)]
    np.testing.assert_allclose(dense(pairs), dense(taps), atol=1e-15)


def test_a_splat_of_one_channel_and_of_several_agree():
    values, points = operands(2, 9, 3)
    row = interpolation("bicubic", "border")
    splat = jax.jit(lambda v: cpu.splat(v, points, interpolation=row, shape=(4, 5)))
    together = splat(values)
    for c in range(3):
        np.testing.assert_allclose(
            splat(values[..., c : c + 1])[..., 0], together[..., c], atol=1e-12
        )


def test_no_form_stores_all_taps():
    """Temporary memory of a large call is less than its taps would take."""
    row, shape, count = interpolation("bicubic", "zeros"), (64, 64), 64 * 64
    image = jax.ShapeDtypeStruct((8, *shape, 3), jnp.float32)
    points = jax.ShapeDtypeStruct((8, count, 2), jnp.float32)
    values = jax.ShapeDtypeStruct((8, count, 3), jnp.float32)
    taps = 16 * 8 * count * 3 * 4
    static = {"interpolation": row, "shape": shape}
    for function, operands in (
        (cpu.read, (image, points)),
        (cpu.vjp_points, (image, values, points)),
    ):
        program = jax.jit(lambda *x, f=function: f(*x, **static)).lower(*operands).compile()
        assert program.memory_analysis().temp_size_in_bytes < taps / 2


@pytest.mark.parametrize(("channels", "conditionals"), [(1, 0), (3, 1)])
def test_samples_of_one_channel_alone_may_be_fused_with_what_reads_them(channels, conditionals):
    """A sum over several channels, fused with their samples, would store all taps."""
    _, points = operands(2, 9)
    row, image = interpolation("bilinear", "border"), jnp.ones((2, 4, 5, channels))
    read = primitives(lambda u, x: cpu.read(u, x, interpolation=row, shape=(4, 5)), image, points)
    assert read.get("cond", 0) == conditionals


SHARDED = r"""
import json, re
import jax
jax.config.update("jax_num_cpu_devices", 8)
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import stn_jax as stn
from stn_jax.sampling.platforms import cpu

def outcome(image, grid):
    values, pull = jax.vjp(stn.grid_sample, image, grid)
    return values, pull(jnp.cos(values))

mesh = Mesh(np.array(jax.devices()), ("batch",))
split = NamedSharding(mesh, P("batch"))
random = np.random.default_rng(0)
image = random.normal(size=(16, 12, 12, 3)).astype("float32")
grid = random.uniform(-1.2, 1.2, size=(16, 12, 12, 2)).astype("float32")
report = {}
for name, chunk in (("whole", 1 << 18), ("two images", 864), ("parts", 200)):
    jax.clear_caches()
    cpu._CHUNK = chunk
    sharded = jax.device_put((image, grid), split)
    compiled = jax.jit(outcome).lower(*sharded).compile()
    names = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-"
    ours = jax.tree.leaves(compiled(*sharded))
    cpu._CHUNK = 1 << 18
    jax.clear_caches()
    one = jax.tree.leaves(jax.jit(outcome)(image, grid))
    report[name] = {
        "collectives": len(re.findall(names, compiled.as_text())),
        "split": all(x.sharding.is_equivalent_to(split, x.ndim) for x in ours),
        "difference": max(float(np.abs(np.asarray(a) - np.asarray(b)).max())
                          for a, b in zip(ours, one)),
    }
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def reports():
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", SHARDED], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", ["whole", "two images", "parts"])
def test_a_sharded_batch_needs_no_collective(reports, case):
    assert reports[case]["collectives"] == 0
    assert reports[case]["split"]
    assert reports[case]["difference"] < 1e-4


def test_places_are_counted_for_each_image():
    """No index spans a batch, so only one image has to fit an int32."""
    values, points = operands(3, 7)
    row = interpolation("bilinear", "border")
    jaxpr = str(jax.make_jaxpr(lambda v, x: cpu.splat(v, x, interpolation=row, shape=(4, 5)))(
        values, points
    ))  # fmt: skip
    scatters = re.findall(r"operand_batching_dims=\(([^)]*)\)", jaxpr)
    assert scatters
    assert all(dims.startswith("0") for dims in scatters)
