"""Volumes as images: the projection along the depth, behind a 3-D transformer or alone."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import random

import stn_jax as stn
from stn_jax.models import FCN, STN, FullyConnectedLocalizer, Projection

VOLUMES = random.uniform(random.key(0), (2, 6, 5, 4, 1), jnp.float32)


@pytest.mark.parametrize("method", ["max", "mean"])
def test_the_classifier_sees_the_projection_along_the_depth(method: Literal["max", "mean"]) -> None:
    network: Any = Projection(FCN((8,)), method).build((6, 5, 4, 1), 3, rngs=nnx.Rngs(0))
    image = getattr(np, method)(np.asarray(VOLUMES), axis=1)
    np.testing.assert_allclose(network(VOLUMES), network.classifier.classifier(image), rtol=1e-5)


def test_behind_a_transformer_it_sees_the_volume_that_the_transformer_wrote() -> None:
    part = STN(Projection(FCN((8,))), FullyConnectedLocalizer((4,)), stn.Affine(ndim=3), (3, 3, 3))
    network: Any = part.build((6, 5, 4, 1), 3, rngs=nnx.Rngs(0))
    prediction = jax.jit(network.forward)(VOLUMES)
    (warp,) = prediction.warps
    np.testing.assert_array_equal(warp.theta, np.tile(np.eye(3, 4).ravel(), (2, 1)))
    expected = stn.grid_sample(VOLUMES, stn.affine_grid(np.eye(3, 4, dtype=np.float32), (3, 3, 3)))
    np.testing.assert_allclose(warp.features, expected, atol=1e-6)
    logits = network.classifier.classifier(jnp.max(warp.features, axis=1))
    np.testing.assert_allclose(prediction.logits, logits, rtol=1e-5, atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"input_shape=\(6, 5, 4\) does not fit; .* volumes"):
        Projection().build((6, 5, 4), 3, rngs=nnx.Rngs(0))
    method: Any = "sum"
    with pytest.raises(ValueError, match="method='sum' is not allowed; choose one of max, mean"):
        Projection(method=method)
    with pytest.raises(ValueError, match=r"output_shape=\(3, 3\) does not fit; .*\(d, h, w\)"):
        STN(Projection(), transform=stn.Affine(ndim=3), output_shape=(3, 3))
    network = Projection(FCN((8,))).build((6, 5, 4, 1), 3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="add a batch axis"):
        network(VOLUMES[0])
