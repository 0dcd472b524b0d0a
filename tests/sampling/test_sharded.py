"""Eight devices: sampling a sharded batch, forward and back, is each device's own affair."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = r"""
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
mapped = jax.jit(jax.shard_map(outcome, mesh=mesh, in_specs=P("batch"), out_specs=P("batch")))
random = np.random.default_rng(0)
report = []
for shape in [(16, 12, 12, 3), (64, 96, 96, 3), (8, 304, 304, 3)]:
    image = random.normal(size=shape).astype("float32")
    grid = random.uniform(-1.2, 1.2, size=(*shape[:3], 2)).astype("float32")
    compiled = jax.jit(outcome).lower(*jax.device_put((image, grid), split)).compile()
    names = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-"
    sharded = jax.device_put((image, grid), split)
    ours, theirs = jax.tree.leaves(compiled(*sharded)), jax.tree.leaves(mapped(*sharded))
    one = jax.tree.leaves(jax.jit(outcome)(image, grid))
    report.append({
        "collectives": len(re.findall(names, compiled.as_text())),
        "split": all(x.sharding.is_equivalent_to(split, x.ndim) for x in ours),
        "difference": max(float(np.max(np.abs(a - b))) for a, b in
                          zip(map(np.asarray, ours + theirs), map(np.asarray, one + one))),
    })
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def reports() -> list[dict[str, float]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", range(3), ids=["a chunk", "many chunks", "parts of an image"])
def test_no_device_speaks_to_another(reports: list[dict[str, float]], case: int) -> None:
    report = reports[case]
    assert report["collectives"] == 0
    assert report["split"]
    assert report["difference"] < 1e-4
