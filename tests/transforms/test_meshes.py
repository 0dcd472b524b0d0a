"""On meshes, and in `jax.shard_map`, every function gives the values of one device."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = r"""
import jax
jax.config.update("jax_num_cpu_devices", 4)
import json
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import stn_jax as stn

random = np.random.default_rng(0)
normal = lambda *shape: random.normal(size=shape).astype(np.float32)
families = [
    stn.Affine(), stn.Affine(free=((1, 0, 1), (0, 1, 1))), stn.Attention(3), stn.Projective(),
    stn.ThinPlateSpline(), stn.Similarity(), stn.Rigid(3), stn.AffineDiffeomorphic(),
    stn.Flow((3, 4)), stn.Velocity((4, 4), steps=2, integrator="runge_kutta"),
    stn.Chain(stn.Affine(), stn.ThinPlateSpline((3, 3))),
]
calls = {}
for t in families:
    params = np.float32(t.identity() + 0.1 * normal(8, t.num_params))
    name = type(t).__name__ + ("(free)" if getattr(t, "free", None) else "")
    calls[f"{name}.grid"] = (lambda p, t=t: t.grid(p, (2, 3, 4)[3 - t.ndim :]), params)
    for method, count in (("compose", 2), ("invert", 1)):
        try:
            getattr(t, method)(*[params] * count)
        except (NotImplementedError, ValueError):
            continue
        calls[f"{name}.{method}"] = (getattr(t, method), *[params] * count)
square = np.float32([[-1, -1], [1, -1], [1, 1], [-1, 1]])
matrices, homographies = normal(8, 2, 3), np.float32(np.eye(3) + 0.1 * normal(8, 3, 3))
grids, fields = normal(8, 3, 4, 2), 0.1 * normal(8, 4, 4, 2)
spline = lambda o, c: stn.thin_plate_spline_grid(o, (3, 4), control_points=c)
calls |= {
    "rotation": (stn.rotation, normal(8)),
    "scaling": (stn.scaling, normal(8, 3)),
    "shear": (stn.shear, normal(8, 2)),
    "translation": (stn.translation, normal(8, 2)),
    "crop": (stn.crop, normal(8, 4)),
    "compose": (stn.compose, matrices, homographies),
    "compose with one": (lambda m: stn.compose(matrices[0], m), homographies),
    "invert": (stn.invert, homographies),
    "normalize_matrix": (lambda m: stn.normalize_matrix(m, (4, 4), (4, 5)), matrices),
    "homography": (lambda s: stn.homography_from_points(square, s), square + 0.1 * normal(8, 4, 2)),
    "spline between points": (spline, normal(8, 6, 2), normal(8, 6, 2)),
    "flow_grid": (lambda f: stn.flow_grid(f, units="pixels"), grids),
    "velocity_grid": (stn.velocity_grid, fields),
    "identity_penalty": (stn.identity_penalty, grids),
    "jacobian_determinant": (stn.jacobian_determinant, grids),
}
explicit = jax.make_mesh((4,), ("b",), axis_types=(AxisType.Explicit,))
auto = jax.make_mesh((4,), ("b",), axis_types=(AxisType.Auto,))
report = {}


def compare(right, make):
    try:
        pairs = zip(jax.tree.leaves(right), jax.tree.leaves(make()), strict=True)
        return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"


for name, (call, *operands) in calls.items():
    right = call(*operands)
    with jax.set_mesh(explicit):
        put = [jax.device_put(array, NamedSharding(explicit, P("b"))) for array in operands]
        mapped = jax.jit(jax.vmap(call))
        report[name] = {"explicit": compare(right, lambda: call(*put))}
        report[name]["vmap"] = compare(right, lambda: mapped(*put))
    shard = jax.jit(jax.shard_map(call, mesh=auto, in_specs=P("b"), out_specs=P("b")))
    report[name]["shard_map"] = compare(right, lambda: shard(*operands))
for integrator in ("squaring", "runge_kutta"):
    flow = lambda v: jnp.sum(stn.velocity_grid(v, integrator=integrator) ** 2)
    right = jax.grad(flow)(fields)
    shard = jax.jit(jax.shard_map(jax.grad(flow), mesh=auto, in_specs=P("b"), out_specs=P("b")))
    report[f"gradient by {integrator}"] = {"shard_map": compare(right, lambda: shard(fields))}
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    flags = "--xla_backend_optimization_level=0"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_sharded_operands_give_the_values_of_one_device(report: Any) -> None:
    assert len(report) > 30
    wrong = {
        (name, mesh): error
        for name, meshes in report.items()
        for mesh, error in meshes.items()
        if not isinstance(error, float) or error > 2e-5
    }
    assert not wrong
