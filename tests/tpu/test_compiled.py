"""The default sampler compiled for TPUs: algorithm, memory, estimated time. Needs libtpu, no TPU.

Times are estimates for one v5e: the sum of the compiler's cycles, and for gathers and scatters,
which have none, the bytes of their rows (`train.plan.hlo`). docs/performance.md quotes them.
"""

import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from train.plan import hlo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("libtpu") is None,
        reason="needs the TPU compiler: pip install -e '.[tpu]'",
    ),
]


def loss(theta: jax.Array, image: jax.Array) -> jax.Array:
    grid = stn.affine_grid(theta, image.shape[-3:-1])
    return jnp.sum(stn.grid_sample(image, grid) ** 2)


def compile_gradients(topology: Any, shape: tuple[int, ...]) -> Any:
    """Compiles value and both gradients for this image shape and the first device of a topology."""
    sharding = jax.sharding.SingleDeviceSharding(hlo.topology_devices(topology)[0])
    theta, image = (
        jax.ShapeDtypeStruct(s, jnp.float32, sharding=sharding) for s in ((shape[0], 2, 3), shape)
    )
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(theta, image).compile()


@pytest.mark.parametrize(
    ("shape", "milliseconds"),
    [((256, 28, 28, 1), 0.36), ((256, 60, 60, 1), 2.45), ((64, 128, 128, 3), 20.6)],
)
def test_small_images_use_matrix_products(shape: tuple[int, ...], milliseconds: float) -> None:
    compiled = compile_gradients("v5e:1x1", shape)
    costs = hlo.instruction_costs(compiled)
    assert not {"gather", "scatter", "sort"} & {cost.opcode for cost in costs}
    assert max((cost.times for cost in costs if cost.opcode == "while"), default=0) <= 64
    assert 0 < 1e3 * hlo.estimated_seconds(compiled) <= milliseconds
    # With products rounded to bfloat16 the identity transform changes an image by 2e-3.
    products = [line for line in compiled.as_text().splitlines() if " convolution(" in line]
    assert products
    assert all("operand_precision={highest,highest}" in line for line in products)


@pytest.mark.parametrize(
    ("shape", "milliseconds"), [((32, 224, 224, 64), 200), ((8, 512, 512, 16), 120)]
)
def test_large_images_fit_into_memory(shape: tuple[int, ...], milliseconds: int) -> None:
    compiled = compile_gradients("v5e:1x1", shape)
    assert 0 < 1e3 * hlo.estimated_seconds(compiled) <= milliseconds
    assert hlo.memory(compiled).total < 15.75 * 2**30


@pytest.mark.parametrize("topology", ["v4:1x1x1", "v5e:1x1", "v5p:1x1x1", "v6e:1x1", "tpu7x:1x1x1"])
def test_sampler_compiles_for_every_generation(topology: str) -> None:
    assert hlo.estimated_seconds(compile_gradients(topology, (16, 28, 28, 1))) > 0


@pytest.mark.parametrize("backend", ["matmul", "windowed"])
def test_identity_transform_returns_the_image(backend: str) -> None:
    image = np.random.default_rng(0).random((2, 60, 60, 3), np.float32)
    grid = stn.affine_grid(jnp.eye(2, 3, dtype=jnp.float32), (60, 60))
    value = stn.grid_sample(image, grid, backend=backend)
    np.testing.assert_allclose(value, image, atol=1e-5)
