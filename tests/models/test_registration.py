"""The network of registration: it starts at the identity, and chains its maps."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import random

import stn_jax as stn
from stn_jax.models import ConvolutionalLocalizer, RegistrationNet
from stn_jax.models.registration import double

SHAPE = (8, 16, 12)
PART = RegistrationNet(
    ConvolutionalLocalizer((2,), (3,), (4,)), encoder=(3, 4), decoder=(5,), steps=4
)
KERNEL = (3, 3, 3, 5, 3)
VOLUMES = random.uniform(random.key(0), (2, *SHAPE, 2), jnp.float32)


@pytest.fixture(scope="module")
def align() -> Callable[..., Any]:
    """The network as a compiled function of what is added to its last layers, and of volumes."""
    graph, state = nnx.split(PART.build((*SHAPE, 2), 0, rngs=nnx.Rngs(0)))

    @jax.jit
    def align(state: Any, bias: jax.Array, kernel: jax.Array, volumes: jax.Array) -> Any:
        network: Any = nnx.merge(graph, state)
        head = network.localization.layers[-1].head
        head.bias[...] = head.bias[...] + bias
        network.field.last.kernel[...] = network.field.last.kernel[...] + kernel
        return network.forward(volumes)

    return functools.partial(align, state)


def test_untrained_it_moves_nothing(align: Any) -> None:
    alignment = align(jnp.zeros(12, jnp.float32), jnp.zeros(KERNEL, jnp.float32), VOLUMES)
    assert alignment.velocity.shape == (2, 4, 8, 6, 3)
    assert not np.any(alignment.velocity)
    identity = stn.identity_grid(SHAPE, dtype=jnp.float32)
    for warp in alignment.warps:
        np.testing.assert_allclose(warp.grid, identity[None].repeat(2, axis=0), atol=1e-6)
        np.testing.assert_allclose(warp.features, VOLUMES[..., :1], atol=1e-5)
    np.testing.assert_array_equal(alignment.warps[0].theta[0], stn.Affine(ndim=3).identity())


def test_the_grid_is_the_affine_map_after_the_flow_and_the_volume_is_sampled_once(
    align: Any,
) -> None:
    bias, kernel = (
        0.05 * random.normal(random.key(1), shape, jnp.float32) for shape in ((12,), KERNEL)
    )
    alignment = align(bias, kernel, VOLUMES)
    affine, both = alignment.warps
    np.testing.assert_allclose(affine.theta[0], stn.Affine(ndim=3).identity() + bias, atol=1e-6)
    flow = stn.Velocity((4, 8, 6), steps=4).grid(alignment.velocity.reshape(2, -1), SHAPE)
    for theta, points, grid in zip(affine.theta, flow, both.grid, strict=True):
        np.testing.assert_allclose(grid, stn.Affine(ndim=3).apply(theta, points), atol=1e-5)
    assert float(jnp.abs(both.grid - affine.grid).max()) > 1e-3
    sampled = stn.grid_sample(VOLUMES[..., :1], both.grid)
    np.testing.assert_allclose(both.features, sampled, atol=1e-5)


def test_doubling_repeats_voxels() -> None:
    x = jnp.arange(4.0, dtype=jnp.float32).reshape(1, 2, 2, 1)
    expected = np.kron(np.arange(4.0).reshape(2, 2), np.ones((2, 2)))
    np.testing.assert_array_equal(double(x)[0, ..., 0], expected)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 16, 12, 1), r"\(8, 16, 12, 1\) does not fit; registration needs \(d, h, w, 2\)"),
        ((8, 16, 2), r"\(8, 16, 2\) does not fit"),
        ((8, 16, 10, 2), r"halves each side 2 times, so sides must be multiples of 4"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PART.build(shape, 0, rngs=nnx.Rngs(0))


def test_a_decoder_longer_than_the_encoder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"decoder=\(2, 2\) is too long for encoder=\(4,\)"):
        RegistrationNet(encoder=(4,), decoder=(2, 2))
