"""Rigid maps and similarities are products of their parts."""

import jax.numpy as jnp
import numpy as np

import stn_jax as stn


def test_similarity_and_rigid_are_products_of_their_parts() -> None:
    s, a, t = jnp.array(0.7), jnp.array(0.4), jnp.array([0.1, -0.2])
    turned = stn.compose(stn.translation(t), stn.rotation(a))
    np.testing.assert_allclose(stn.Rigid().matrix(jnp.array([a, *t])), turned, atol=1e-15)
    scaled = stn.compose(turned, stn.scaling(jnp.stack([s, s])))
    np.testing.assert_allclose(stn.Similarity().matrix(jnp.array([s, a, *t])), scaled, atol=1e-15)
    t = jnp.array([0.1, -0.2, 0.3])
    for k, axis in enumerate("xyz"):
        vector = jnp.zeros(3).at[k].set(a)
        turned = stn.compose(stn.translation(t), stn.rotation(a, axis=axis))
        np.testing.assert_allclose(
            stn.Rigid(3).matrix(jnp.concatenate([vector, t])), turned, atol=1e-15
        )
        scaled = stn.compose(turned, stn.scaling(jnp.stack([s, s, s])))
        np.testing.assert_allclose(
            stn.Similarity(3).matrix(jnp.concatenate([s[None], vector, t])), scaled, atol=1e-15
        )
