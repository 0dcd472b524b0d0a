"""Networks of house numbers: sizes of the paper, transformers on feature maps, dropout."""

import itertools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import random

from stn_jax.models.svhn import HOUSE_NUMBERS, HouseNumberNet

CNN, SINGLE, MULTI = HOUSE_NUMBERS.values()
SMALL: dict[str, Any] = {"filters": (3, 4, 5, 6), "hidden": (8,)}
IMAGES = random.uniform(random.key(0), (3, 16, 16, 3), jnp.float32)


@nnx.jit
def forward(network: Any, images: jax.Array, keys: jax.Array | None = None) -> Any:
    return network.forward(images, keys=keys)


def count_parameters(part: HouseNumberNet, side: int) -> int:
    network = nnx.eval_shape(lambda: part.build((side, side, 3), 55, rngs=nnx.Rngs(0)))
    return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(nnx.state(network, nnx.Param)))


def convolutions() -> int:
    counts = (3, 48, 64, 128, 160, 192, 192, 192, 192)
    return sum(25 * a * b + b for a, b in itertools.pairwise(counts))


def linear(*sizes: int) -> int:
    return sum(a * b + b for a, b in itertools.pairwise(sizes))


@pytest.mark.parametrize("side", [64, 128])
def test_sizes_are_the_papers(side: int) -> None:
    """Appendix A.5; counted by hand from its list of layers."""
    cnn = convolutions() + linear((side // 16) ** 2 * 192, 3072, 3072, 55)
    assert count_parameters(CNN, side) == cnn
    single = 25 * 3 * 32 + 32 + 25 * 32 * 32 + 32 + linear((side // 2) ** 2 * 32, 32, 32, 6)
    assert count_parameters(SINGLE, side) == cnn + single
    maps = [side**2 * 3, (side // 2) ** 2 * 48, (side // 2) ** 2 * 64, (side // 4) ** 2 * 128]
    multi = sum(linear(size, 32, 32, 6) for size in maps)
    assert count_parameters(MULTI, side) == cnn + multi


@pytest.mark.parametrize("part", HOUSE_NUMBERS.values(), ids=HOUSE_NUMBERS)
def test_an_untrained_transformer_changes_nothing(part: HouseNumberNet) -> None:
    part = replace(part, **SMALL)
    network = part.build((16, 16, 3), 22, rngs=nnx.Rngs(0))
    prediction = forward(network, IMAGES)
    assert prediction.logits.shape == (3, 22)
    assert len(prediction.warps) == part.transformers
    for warp in prediction.warps:
        np.testing.assert_allclose(warp.theta, np.tile([1, 0, 0, 0, 1, 0], (3, 1)))
    if part.transformers:
        np.testing.assert_allclose(prediction.warps[0].features, IMAGES, atol=1e-6)


def test_a_transformer_moves_the_feature_map_that_it_stands_before() -> None:
    network: Any = replace(MULTI, **SMALL).build((16, 16, 3), 22, rngs=nnx.Rngs(0))
    before = forward(network, IMAGES).warps
    head = network.transformers[2].localization.head
    head.bias[...] = jnp.array([1.0, 0, 2 / 8, 0, 1, 0], jnp.float32)  # a pixel of the 8 x 8 map
    after = forward(network, IMAGES).warps
    np.testing.assert_array_equal(after[1].features, before[1].features)
    moved, unmoved = after[2].features, before[2].features
    np.testing.assert_allclose(moved[:, :, :-1], unmoved[:, :, 1:], atol=1e-5)
    assert np.abs(np.asarray(after[3].features - before[3].features)).max() > 1e-3


def test_dropout_depends_on_the_keys_alone() -> None:
    network = replace(SINGLE, filters=(3, 4), hidden=(8,)).build((16, 16, 3), 22, rngs=nnx.Rngs(0))
    keys = random.split(random.key(1), 3)
    dropped = forward(network, IMAGES, keys).logits
    np.testing.assert_array_equal(forward(network, IMAGES, keys).logits, dropped)
    alone = forward(network, IMAGES[1:2], keys[1:2]).logits
    np.testing.assert_allclose(alone[0], dropped[1], rtol=1e-4, atol=1e-5)
    plain = forward(network, IMAGES).logits
    assert np.abs(np.asarray(plain - dropped)).max() > 1e-3
    network.dropout = False
    np.testing.assert_array_equal(forward(network, IMAGES, keys).logits, plain)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="transformers=9 is not allowed; it must be 0 to 8"):
        HouseNumberNet(transformers=9)
    with pytest.raises(ValueError, match="kernel_size=4 does not fit; it must be odd"):
        HouseNumberNet(kernel_size=4)
    with pytest.raises(ValueError, match="shrink=2 leaves nothing"):
        HouseNumberNet((1,) * 8).build((8, 8, 3), 55, rngs=nnx.Rngs(0))
