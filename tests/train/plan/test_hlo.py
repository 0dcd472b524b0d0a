"""Costs of compiled programs: loops, branches, gathers and collectives; unknown topologies."""

import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from train.errors import UserError
from train.plan import hlo

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="needs the TPU compiler: pip install -e '.[tpu]'",
)


def compile_one(function: Callable[..., Any], *arrays: tuple[int, ...]) -> jax.stages.Compiled:
    sharding = SingleDeviceSharding(hlo.topology_devices("v5e:1x1")[0])
    return (
        jax.jit(function)
        .lower(*(jax.ShapeDtypeStruct(a, jnp.float32, sharding=sharding) for a in arrays))
        .compile()
    )


def square(x: jax.Array) -> jax.Array:
    return jnp.sin(x) @ x


def test_loop_bodies_are_multiplied_by_trip_counts() -> None:
    def repeat(times: int) -> jax.stages.Compiled:
        return compile_one(
            lambda x: jax.lax.fori_loop(0, times, lambda _, x: square(x), x), (256, 256)
        )

    few, many = repeat(5), repeat(50)
    assert [cost.times for cost in hlo.instruction_costs(many) if cost.opcode == "while"] == [50]
    # Less than 10, since instructions outside the loop run once.
    ratio = hlo.estimated_seconds(many) / hlo.estimated_seconds(few)
    assert 7 < ratio <= 10


def test_longest_branch_counts() -> None:
    def choose(x: jax.Array) -> Any:
        return jax.lax.cond(x[0, 0] > 0, lambda x: square(square(square(x))), lambda x: x + 1, x)

    both, long = compile_one(choose, (512, 512)), compile_one(lambda x: x + 1, (512, 512))
    assert hlo.estimated_seconds(both) > 2 * hlo.estimated_seconds(long)
    assert "convolution" in {cost.opcode for cost in hlo.instruction_costs(both)}


def test_gather_costs_agree_with_cost_analysis() -> None:
    def read(image: jax.Array, position: Any) -> Any:
        return image.at[position.astype(jnp.int32)].get(mode="promise_in_bounds")

    compiled = compile_one(jax.vmap(read), (64, 16384, 256), (64, 16384))
    (gather,) = (cost for cost in hlo.instruction_costs(compiled) if cost.opcode == "gather")
    assert gather.seconds == pytest.approx(hlo.roofline_seconds(compiled), rel=0.1)


def test_collectives_are_reported() -> None:
    devices = np.array(hlo.topology_devices("v5e:2x4"))
    mesh = Mesh(devices, ("data",))
    x = jax.ShapeDtypeStruct((64, 128), jnp.float32, sharding=NamedSharding(mesh, P("data")))
    compiled = jax.jit(lambda x: x - x.mean(0, keepdims=True)).lower(x).compile()
    assert hlo.collectives(compiled) == {"all-reduce": 1}
    alone = jax.jit(lambda x: x + 1).lower(x).compile()
    assert hlo.collectives(alone) == {}
    needed = hlo.memory(alone)
    assert (needed.arguments, needed.outputs) == (8 * 128 * 4, 8 * 128 * 4)
    assert needed.total >= needed.arguments + needed.outputs


@pytest.mark.parametrize("topology", ["v5e", "v5e:3x5", "v99:2x2", ""])
def test_unknown_topologies_are_refused(topology: str) -> None:
    with pytest.raises(UserError, match=f"topology='{topology}'.*v5e:2x4"):
        hlo.topology_devices(topology)
