"""The recurrent transformer: its equations, its steps, gradients through time, sizes."""

import itertools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import random

from stn_jax.models import CNN, RecurrentSTN

PART = RecurrentSTN(
    CNN((4,), (3,), (8,)), (4, 4), (3, 3), units=6, steps=3, output_shape=(8, 9), shrink=1
)
IMAGES = random.uniform(random.key(0), (5, 16, 16, 1), jnp.float32)


@pytest.fixture(scope="module")
def network() -> Any:
    """A network whose windows move: the head is not zero."""
    network: Any = PART.build((16, 16, 1), 12, rngs=nnx.Rngs(0))
    head = network.transformer.localization.head
    head.kernel[...] = random.normal(random.key(1), head.kernel.shape, jnp.float32) / 10
    return network


@pytest.fixture(scope="module")
def prediction(network: Any) -> Any:
    return nnx.jit(lambda network, images: network.forward(images))(network, IMAGES)


def test_an_untrained_window_is_the_whole_image_at_each_step() -> None:
    warps = jax.jit(PART.build((16, 16, 1), 12, rngs=nnx.Rngs(0)).forward)(IMAGES).warps
    assert [warp.theta.tolist() for warp in warps] == [[[1, 0, 0, 0, 1, 0]] * 5] * 3
    assert {warp.features.shape for warp in warps} == {(5, 8, 9, 1)}
    assert {warp.grid.shape for warp in warps} == {(5, 8, 9, 2)}


def test_each_step_reads_its_own_window_of_the_image(network: Any, prediction: Any) -> None:
    assert len(prediction.warps) == 3
    assert not np.allclose(prediction.warps[0].theta, prediction.warps[1].theta, atol=1e-3)
    assert not np.allclose(prediction.warps[1].theta, prediction.warps[2].theta, atol=1e-3)
    logits = prediction.logits.reshape(5, 3, 4)
    for step, warp in enumerate(prediction.warps):
        expected = network.classifier(warp.features)
        np.testing.assert_allclose(logits[:, step], expected, rtol=1e-4, atol=1e-5)


def test_the_state_follows_the_equations_of_the_gated_unit(network: Any, prediction: Any) -> None:
    """Against NumPy, gate by gate, with the gates' weights cut out of the stacked ones."""

    def gates(layer: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return np.split(np.asarray(layer.kernel[...]), 3, 1), np.split(
            np.asarray(layer.bias[...]), 3
        )

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return np.asarray(1 / (1 + np.exp(-a)))

    net = network.transformer.localization
    u = np.asarray(net.features(IMAGES)).reshape(5, -1)
    (w_r, w_z, w_n), (b_r, b_z, b_n) = gates(net.input)
    (u_r, u_z, u_n), (c_r, c_z, c_n) = gates(net.recurrent)
    h = np.zeros((5, 6), np.float32)
    for warp in prediction.warps:
        r = sigmoid(u @ w_r + b_r + h @ u_r + c_r)
        z = sigmoid(u @ w_z + b_z + h @ u_z + c_z)
        n = np.tanh(u @ w_n + b_n + r * (h @ u_n + c_n))
        h = (1 - z) * n + z * h
        theta = h @ np.asarray(net.head.kernel[...]) + np.asarray(net.head.bias[...])
        np.testing.assert_allclose(warp.theta, theta, rtol=1e-4, atol=1e-5)


def test_the_first_label_does_not_depend_on_later_steps(network: Any) -> None:
    """And the last one does on the recurrent weights, which no first step uses."""

    def loss(network: Any, step: jax.Array) -> jax.Array:
        return jnp.sum(network(IMAGES).reshape(5, 3, 4)[:, step] ** 2)

    gradient = nnx.jit(nnx.grad(loss), static_argnums=1)
    first, last = (gradient(network, step).transformer.localization for step in (0, 2))
    kernel = np.asarray(first.recurrent.kernel[...])
    np.testing.assert_array_equal(kernel, 0)
    assert np.abs(np.asarray(last.recurrent.kernel[...])).max() > 1e-5
    assert np.abs(np.asarray(first.input.kernel[...])).max() > 1e-5


def test_dropout_is_drawn_anew_at_each_step() -> None:
    """An untrained network reads the same window at each step, and without keys says the same."""
    part = replace(PART, classifier=CNN((4,), (3,), (8,), dropout=0.5))
    network: Any = part.build((16, 16, 1), 12, rngs=nnx.Rngs(0))
    forward = nnx.jit(lambda network, keys: network.forward(IMAGES, keys=keys).logits)
    whole, dropped = (
        np.asarray(forward(network, keys)).reshape(5, 3, 4)
        for keys in (None, random.split(random.key(2), 5))
    )
    np.testing.assert_array_equal(whole, whole[:, :1].repeat(3, axis=1))
    for one, other in itertools.combinations(range(3), 2):
        assert np.abs(dropped[:, one] - dropped[:, other]).max(axis=-1).min() > 1e-3


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="steps=3 does not fit; 10 outputs need"):
        PART.build((16, 16, 1), 10, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="units=0 does not fit"):
        RecurrentSTN(units=0)
    with pytest.raises(ValueError, match="16x16 pixels is too small"):
        RecurrentSTN(kernel_sizes=(9, 9, 9), shrink=1).build((16, 16, 1), 30, rngs=nnx.Rngs(0))
