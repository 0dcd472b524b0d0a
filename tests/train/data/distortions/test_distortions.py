"""All distortions: reproducible from key and index, whatever the batch and the image's shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from distorting import CANVAS, KINDS, PATCHES, batch, build, dot, many
from jax import random


@pytest.mark.parametrize("kind", KINDS)
def test_distortion_does_not_depend_on_the_batch(kind: str, digits: jax.Array) -> None:
    """An image has the same bits in batches of 32, of 3 and in another order."""
    key = random.key(1)
    whole = np.asarray(batch(key, digits, jnp.arange(32), kind))
    few = np.array([5, 31, 0])
    np.testing.assert_array_equal(batch(key, digits, jnp.asarray(few), kind), whole[few])
    order = np.random.default_rng(0).permutation(32)
    np.testing.assert_array_equal(batch(key, digits, jnp.asarray(order), kind), whole[order])
    assert whole.shape == (32, *build(kind, (28, 28, 1)).shape)
    assert whole.dtype == np.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert (whole.max(axis=(1, 2, 3)) > 0.5).all()


@pytest.mark.parametrize("kind", KINDS)
def test_distortion_depends_on_key_and_index(kind: str, digits: jax.Array) -> None:
    indices = jnp.array([0, 1, 2])
    first = np.asarray(batch(random.key(1), digits, indices, kind))
    np.testing.assert_array_equal(batch(random.key(1), digits, indices, kind), first)
    other = np.asarray(batch(random.key(2), digits, indices, kind))
    same = (first == other).all(axis=(1, 2, 3))
    assert same.tolist() == [kind == "none"] * 3
    if kind != "none":  # the same image with two indices
        twice = batch(random.key(1), jnp.stack([digits[0]] * 40), jnp.array([3, 4, 5]), kind)
        assert not (twice[0] == twice[1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_channels_of_images_of_any_shape_move_together(kind: str) -> None:
    grey = dot((40, 20), (2.0, -3.0), 3)
    colour = jnp.concatenate([grey, 0 * grey, 0.5 * grey], axis=-1)
    others = jnp.stack([colour] * PATCHES)
    out = np.asarray(many(random.split(random.key(3), 1), colour, kind, others=others))[0]
    assert out.shape == build(kind, (40, 20, 3)).shape
    assert out[..., 0].max() > 0.5
    np.testing.assert_array_equal(out[..., 1], 0)
    np.testing.assert_allclose(out[..., 2], out[..., 0] / 2, atol=1e-7)


def test_canvas_is_in_proportion_and_checked() -> None:
    assert {kind: build(kind, (28, 28, 1)).shape for kind in KINDS} == {
        kind: (size, size, 1) for kind, size in CANVAS.items()
    }
    assert build("RTS", (64, 32, 3)).shape == (96, 48, 3)
    assert build("P", (28, 28, 1), canvas=42).shape == (42, 42, 1)
    for kind in KINDS:
        with pytest.raises(ValueError, match=r"distortion.canvas=42 is smaller .* 30 x 64"):
            build(kind, (64, 30, 1), canvas=42)
