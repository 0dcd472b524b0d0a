"""Chains: one map after the other, sampled once."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn


def test_a_chain_is_one_map_after_the_other_sampled_once() -> None:
    chain = stn.Chain(stn.Affine(), stn.ThinPlateSpline((3, 3)), stn.Rigid())
    rng = np.random.default_rng(0)
    parts = [p.identity() + 0.1 * rng.standard_normal(p.num_params) for p in chain.transforms]
    params = jnp.concatenate(parts)
    points = stn.identity_grid((4, 5), dtype=np.float64)
    expected = points
    for part, own in list(zip(chain.transforms, parts, strict=True))[::-1]:
        expected = part.apply(jnp.asarray(own), expected)
    np.testing.assert_allclose(chain.grid(params, (4, 5)), expected, atol=1e-14)
    assert [p.shape for p in chain.split(params)] == [p.shape for p in parts]


def test_a_chain_does_not_blur_twice() -> None:
    """By half a pixel and on by half a pixel is by a pixel: no blur, where two steps blur."""
    image = np.random.default_rng(0).random((6, 8, 1))
    half = stn.Translation()
    step = jnp.array([1 / 8, 0.0])
    chain = stn.Chain(half, half)

    def once(image: jax.Array | np.ndarray) -> jax.Array:
        return stn.spatial_transform(image, jnp.tile(step, 2), (6, 8), transform=chain)

    def single(image: jax.Array | np.ndarray) -> jax.Array:
        return stn.spatial_transform(image, step, (6, 8), transform=half)

    np.testing.assert_allclose(once(image)[:, :-1], image[:, 1:], atol=1e-12)
    assert np.abs(single(single(image)) - once(image))[:, :-1].max() > 0.1
    reads = [str(jax.make_jaxpr(f)(image)).count(" stn_read[") for f in (once, single)]
    assert reads[0] == reads[1] > 0


@pytest.mark.usefixtures("no_annotations")
def test_a_chain_is_made_of_transforms() -> None:
    name: Any = "flow"
    with pytest.raises(TypeError, match="'flow' is not one"):
        stn.Chain(stn.Affine(), name)


def test_a_chain_can_be_replaced_like_any_dataclass() -> None:
    chain = stn.Chain(stn.Affine())
    parts = (stn.Rigid(), stn.Affine())
    assert dataclasses.replace(chain, transforms=parts) == stn.Chain(*parts)
    assert stn.Chain(transforms=list(parts)) == stn.Chain(*parts)


def test_the_inverse_chain_that_the_error_names_is_the_inverse() -> None:
    chain = stn.Chain(stn.Rigid(), stn.Affine())
    rng = np.random.default_rng(0)
    params = chain.identity() + 0.2 * rng.standard_normal(chain.num_params)
    with pytest.raises(NotImplementedError, match=r"inverse is Chain\(Affine.*, Rigid"):
        chain.invert(params)
    first, second = chain.split(params)
    back = np.concatenate([stn.Affine().invert(second), stn.Rigid().invert(first)])
    points = stn.identity_grid((3, 4), dtype=np.float64)
    moved = chain.apply(params, points)
    again = stn.Chain(stn.Affine(), stn.Rigid()).apply(back, moved)
    np.testing.assert_allclose(again, points, atol=1e-14)
