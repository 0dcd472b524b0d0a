"""Explicit meshes, which `jax.make_mesh` makes by default: results are those of one device."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = r"""
import json
import jax
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
import stn_jax as stn

random = np.random.default_rng(0)
normal = lambda *shape: random.normal(size=shape).astype(np.float32)
images, grids = normal(8, 6, 6, 4), 0.5 * normal(8, 5, 4, 2)
scale, shift = 1 + 0.1 * normal(8, 2), normal(8, 2)
rows = lambda u, s, t: stn.separable_sample(u, s, t, (4, 4))
fill = lambda u, g: stn.grid_sample(u, g, padding_mode="fill", fill_value=0.5)
coarse = lambda u, g: stn.grid_sample(u, g, antialias=True, max_levels=1)
calls = {  # function, and operands with how they are split
    "image and grid": (stn.grid_sample, (images, P("b")), (grids, P("b"))),
    "many grids on one image": (stn.grid_sample, (images[0], P()), (grids, P("b"))),
    "one grid on many images": (stn.grid_sample, (images, P("b")), (grids[0], P())),
    "points of one image": (stn.grid_sample, (images[0], P()), (grids.reshape(8, 20, 2), P("b"))),
    "channels": (stn.grid_sample, (images, P(None, None, None, "b")), (grids, P())),
    "windowed": (lambda u, g: stn.grid_sample(u, g, backend="windowed"),
                 (images, P("b")), (grids[0], P())),
    "matmul": (lambda u, g: stn.grid_sample(u, g, backend="matmul"),
               (images[0], P()), (grids, P("b"))),
    "fill": (fill, (images, P("b")), (grids, P("b"))),
    "antialias": (coarse, (images, P("b")), (grids[0], P())),
    "separable_sample": (rows, (images, P("b")), (scale, P("b")), (shift, P())),
    "one image, many scales": (rows, (images[0], P()), (scale, P("b")), (shift, P("b"))),
}
mesh, report = jax.make_mesh((4,), ("b",)), {}
assert mesh.axis_types == (jax.sharding.AxisType.Explicit,)

for name, (call, *operands) in calls.items():
    def run(*arrays, call=call):
        value, pull = jax.vjp(call, *arrays)
        return value, *pull(jnp.cos(value))

    right = run(*(array for array, _ in operands))
    with jax.set_mesh(mesh):
        put = [jax.device_put(array, NamedSharding(mesh, spec)) for array, spec in operands]
        try:
            report[name] = {"split": "b" in str(jax.typeof(call(*put)).sharding.spec)}
            for how, function in (("eager", run), ("jit", jax.jit(run))):
                pairs = zip(right, function(*put), strict=True)
                report[name][how] = max(float(np.abs(np.asarray(a) - np.asarray(b)).max())
                                        for a, b in pairs)
        except Exception as error:
            report[name] = f"{type(error).__name__}: {str(error)[:300]}"
print(json.dumps(report))
"""

CASES = [
    "image and grid", "many grids on one image", "one grid on many images", "points of one image",
    "channels", "windowed", "matmul", "fill", "antialias", "separable_sample",
    "one image, many scales",
]  # fmt: skip


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("case", CASES)
def test_on_a_mesh_as_on_one_device(reports: dict[str, Any], case: Any) -> None:
    assert isinstance(reports[case], dict), reports[case]
    assert reports[case]["split"]
    assert reports[case]["eager"] < 1e-4
    assert reports[case]["jit"] < 1e-4


def test_every_case_is_looked_at(reports: dict[str, Any]) -> None:
    assert sorted(reports) == sorted(CASES)
