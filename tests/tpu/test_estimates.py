"""How a compiled program is read: loops, branches, gathers, collectives, and what cannot be."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from train import tpu
from train.errors import UserError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="needs the TPU compiler: pip install -e '.[tpu]'",
)


def compile_one(function, *arrays):
    sharding = SingleDeviceSharding(tpu.describe("v5e:1x1")[0])
    return (
        jax.jit(function)
        .lower(*(jax.ShapeDtypeStruct(a, jnp.float32, sharding=sharding) for a in arrays))
        .compile()
    )


def square(x):
    return jnp.sin(x) @ x


def test_a_loop_counts_as_often_as_it_runs():
    def repeat(times):
        return compile_one(
            lambda x: jax.lax.fori_loop(0, times, lambda _, x: square(x), x), (256, 256)
        )

    few, many = repeat(5), repeat(50)
    assert [part.times for part in tpu.parts(many) if part.opcode == "while"] == [50]
    # Roughly: what is around the loop runs once.
    ratio = tpu.estimated_seconds(many) / tpu.estimated_seconds(few)
    assert 7 < ratio <= 10


def test_of_two_branches_the_longer_counts():
    def choose(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: square(square(square(x))), lambda x: x + 1, x)

    both, long = compile_one(choose, (512, 512)), compile_one(lambda x: x + 1, (512, 512))
    assert tpu.estimated_seconds(both) > 2 * tpu.estimated_seconds(long)
    assert "convolution" in {part.opcode for part in tpu.parts(both)}


def test_a_gather_is_priced_as_the_compiler_prices_it():
    def read(image, position):
        return image.at[position.astype(jnp.int32)].get(mode="promise_in_bounds")

    compiled = compile_one(jax.vmap(read), (64, 16384, 256), (64, 16384))
    (gather,) = (part for part in tpu.parts(compiled) if part.opcode == "gather")
    assert gather.seconds == pytest.approx(tpu.roofline_seconds(compiled), rel=0.1)


def test_devices_that_speak_are_heard():
    devices = np.array(tpu.describe("v5e:2x4"))
    mesh = Mesh(devices, ("data",))
    x = jax.ShapeDtypeStruct((64, 128), jnp.float32, sharding=NamedSharding(mesh, P("data")))
    compiled = jax.jit(lambda x: x - x.mean(0)).lower(x).compile()
    assert tpu.collectives(compiled) == {"all-reduce": 1}
    alone = jax.jit(lambda x: x + 1).lower(x).compile()
    assert tpu.collectives(alone) == {}
    needed = tpu.memory(alone)
    assert (needed.arguments, needed.outputs) == (8 * 128 * 4, 8 * 128 * 4)
    assert needed.total >= needed.arguments + needed.outputs


@pytest.mark.parametrize("topology", ["v5e", "v5e:3x5", "v99:2x2", ""])
def test_a_slice_that_does_not_exist_is_refused(topology):
    with pytest.raises(UserError, match=f"topology='{topology}'.*v5e:2x4"):
        tpu.describe(topology)
