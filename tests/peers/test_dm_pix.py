"""Why this library exists: dm_pix has gradient zero at the identity, ours has not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn

pix = pytest.importorskip("dm_pix")


def test_gradient_at_the_identity() -> None:
    image = jnp.asarray(np.random.default_rng(0).random((8, 8, 1)), jnp.float32)
    target = jnp.roll(image, 1, axis=1)

    def theirs(shift: jax.Array) -> jax.Array:
        rows, columns = jnp.meshgrid(*[jnp.arange(8, dtype=jnp.float32)] * 2, indexing="ij")
        coordinates = jnp.stack([rows, columns + shift]).astype(jnp.float32)
        moved = pix.flat_nd_linear_interpolate(image[..., 0], coordinates)
        return jnp.mean((moved - target[..., 0]) ** 2)

    def ours(shift: jax.Array) -> jax.Array:
        rows, columns = jnp.meshgrid(*[jnp.arange(8, dtype=jnp.float32)] * 2, indexing="ij")
        points = jnp.stack([columns + shift, rows], axis=-1).astype(jnp.float32)
        return jnp.mean((stn.sample_pixels(image, points) - target) ** 2)

    zero = jnp.zeros((), jnp.float32)
    with jax.numpy_dtype_promotion("standard"):
        assert jax.grad(theirs)(zero) == 0
        np.testing.assert_allclose(theirs(zero), ours(zero), rtol=1e-6)
    assert jnp.abs(jax.grad(ours)(zero)) > 1e-2
