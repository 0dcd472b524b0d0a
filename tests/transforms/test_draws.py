"""No gradient of thousands of random parameters is NaN or infinite, for any family."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import ON_PIXELS, QUICK_FIRST, TRANSFORMS, named

import stn_jax as stn


def lost_draws(
    transform: stn.Transform, count: int, scales: tuple[float, ...] = (0.1, 1.0, 10.0)
) -> list[int]:
    """How many of ``count`` random draws of each scale have a gradient that is not finite."""
    shape = (3, 4) if transform.ndim == 2 else (2, 2, 3)
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.random((*shape, 1)), jnp.float32)
    noise = rng.standard_normal((len(scales), count, transform.num_params))
    params = transform.identity() + np.reshape(scales, (-1, 1, 1)) * noise

    def loss(params: jax.Array, image: jax.Array) -> jax.Array:
        return jnp.sum(stn.spatial_transform(image, params, shape, transform=transform) ** 2)

    def finite(params: jax.Array) -> tuple[Any, ...]:
        pair = jax.grad(loss, (0, 1))(params, image)
        return jnp.all(jnp.stack([jnp.isfinite(g).all() for g in pair])), jnp.any(pair[1] != 0)

    @jax.jit
    def run(params: jax.Array) -> Any:
        return jax.lax.map(finite, params, batch_size=500)

    good, seen = run(jnp.asarray(params.reshape(-1, params.shape[-1]), jnp.float32))
    assert np.mean(seen) > 0.1  # some of what was drawn does look at the image
    lost: list[int] = np.sum(~np.asarray(good).reshape(len(scales), count), axis=1).tolist()
    return lost


@pytest.mark.parametrize("transform", QUICK_FIRST, ids=named)
def test_no_gradient_of_hundreds_of_draws_is_lost(transform: stn.Transform) -> None:
    assert lost_draws(transform, 500) == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("transform", [*TRANSFORMS, ON_PIXELS], ids=named)
def test_no_gradient_of_ten_thousand_draws_is_lost(transform: stn.Transform) -> None:
    assert lost_draws(transform, 10_000) == [0, 0, 0]
