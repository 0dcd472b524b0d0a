"""Windows of half size: they tile the image, share a localization network, have backbones."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import random

from stn_jax.models import PartNet, ResidualBackbone
from stn_jax.models.cub import drop, tile_centres

SMALL = PartNet(4, ResidualBackbone((4,), (1,)), window=8, localization_size=8, units=4)
IMAGES = random.uniform(random.key(0), (2, 16, 16, 3), jnp.float32)


@pytest.fixture(scope="module")
def network() -> Any:
    return SMALL.build((16, 16, 3), 5, rngs=nnx.Rngs(0))


@nnx.jit
def forward(network: Any, images: jax.Array, keys: jax.Array | None = None) -> Any:
    return network.forward(images, keys=keys)


def test_untrained_windows_are_the_quarters_of_the_image(network: Any) -> None:
    prediction = forward(network, IMAGES)
    assert prediction.logits.shape == (2, 5)
    quarters = [IMAGES[:, y : y + 8, x : x + 8] for y in (0, 8) for x in (0, 8)]
    for warp, quarter in zip(prediction.warps, quarters, strict=True):
        np.testing.assert_allclose(warp.features, quarter, atol=1e-5)
    assert tile_centres(2).tolist() == [[-0.5, 0], [0.5, 0]]
    assert tile_centres(1).tolist() == [[0, 0]]


def test_the_localization_network_is_shared_and_each_window_has_a_backbone(network: Any) -> None:
    net = network.transformer.localization
    assert net.shrink == 2
    assert net.head.bias.shape == (8,)
    assert len(network.backbones) == 4
    described = [
        np.asarray(backbone(warp.features)).mean(axis=(1, 2))
        for backbone, warp in zip(network.backbones, forward(network, IMAGES).warps, strict=True)
    ]
    expected = network.logits(np.concatenate(described, axis=-1))
    np.testing.assert_allclose(forward(network, IMAGES).logits, expected, rtol=1e-4, atol=1e-5)


def test_a_translation_moves_one_window(network: Any) -> None:
    moved: Any = SMALL.build((16, 16, 3), 5, rngs=nnx.Rngs(0))
    bias = moved.transformer.localization.head.bias
    bias[...] = bias[...].at[2].add(-2 / 16)  # the second window, a pixel to the left
    before, after = forward(network, IMAGES).warps, forward(moved, IMAGES).warps
    np.testing.assert_allclose(after[1].features, IMAGES[:, :8, 7:15], atol=1e-5)
    np.testing.assert_array_equal(after[0].features, before[0].features)


def test_dropout_keeps_the_mean_and_depends_on_the_keys_alone(network: Any) -> None:
    keys = random.split(random.key(1), 2)
    dropped = forward(network, IMAGES, keys).logits
    np.testing.assert_array_equal(forward(network, IMAGES, keys).logits, dropped)
    assert np.abs(np.asarray(forward(network, IMAGES).logits - dropped)).max() > 1e-3
    values = np.asarray(drop(random.split(random.key(2), 100), jnp.ones((100, 50)), 0.7))
    np.testing.assert_allclose(np.unique(values), [0, 1 / 0.3], rtol=1e-6)
    np.testing.assert_allclose(values.mean(), 1, atol=0.1)


@pytest.mark.parametrize(("transformers", "side"), [(0, 224), (2, 448), (4, 448)])
def test_full_sizes(transformers: int, side: int) -> None:
    part = PartNet(transformers)
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    network = nnx.eval_shape(lambda: part.build((side, side, 3), 200, rngs=nnx.Rngs(0)))
    prediction = nnx.eval_shape(lambda network, x: network.forward(x), network, images)
    assert prediction.logits.shape == (1, 200)
    assert [warp.features.shape for warp in prediction.warps] == [(1, 224, 224, 3)] * transformers
    assert network.logits.kernel.shape == (512 * max(1, transformers), 200)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="transformers=-1 is not allowed"):
        PartNet(-1)
    with pytest.raises(ValueError, match=r"dropout=1.0 is not allowed; it must be in \[0, 1\)"):
        PartNet(dropout=1.0)
    with pytest.raises(ValueError, match="window=0 does not fit"):
        PartNet(window=0)
