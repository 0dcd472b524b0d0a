"""The paper's networks for distorted MNIST: their sizes, shapes and names."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stn_jax as stn
from stn_jax.models import (
    CNN,
    FCN,
    PAPER,
    STN,
    ConvolutionalLocalizer,
    FullyConnectedLocalizer,
    ParallelSTN,
    Projection,
    RecurrentSTN,
)


@pytest.mark.parametrize("name", PAPER)
def test_sizes_are_the_papers(name: str) -> None:
    """About 400k parameters each (paper, appendix A.4), with its layers and 42 x 42 inputs."""
    widths: dict[str, FCN | CNN | STN] = {"fcn": FCN((208, 128)), "st_fcn": STN(FCN((200, 128)))}
    model = (PAPER | widths)[name].build((42, 42, 1), 10, rngs=nnx.Rngs(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
    if name.endswith("fcn"):
        assert 350_000 < count < 450_000
    images = jax.ShapeDtypeStruct((2, 42, 42, 1), jnp.float32)
    prediction = jax.eval_shape(model.forward, images)
    assert prediction.logits.shape == (2, 10)
    assert len(prediction.warps) == name.startswith("st_")


@pytest.mark.parametrize("transform", [stn.Projective(), stn.ThinPlateSpline((4, 4))], ids=str)
def test_any_transform(transform: stn.Transform) -> None:
    config = STN(CNN(shrink=2, kernel_sizes=(5, 5)), FullyConnectedLocalizer(), transform, (40, 40))
    model = config.build((42, 42, 3), 4, rngs=nnx.Rngs(0))
    prediction = jax.eval_shape(model.forward, jax.ShapeDtypeStruct((2, 42, 42, 3), jnp.float32))
    assert prediction.logits.shape == (2, 4)
    assert prediction.warps[0].theta.shape == (2, transform.num_params)
    assert prediction.warps[0].features.shape == (2, 40, 40, 3)


def test_each_convolution_needs_a_kernel_size() -> None:
    with pytest.raises(ValueError, match=r"kernel_sizes=\(9, 7\).*filters=\(8,\)"):
        CNN(filters=(8,))
    number: Any = 8
    with pytest.raises(ValueError, match="filters=8 does not fit; give a tuple"):
        CNN(filters=number)
    with pytest.raises(ValueError, match=r"kernel_sizes=\(9, 0\) does not fit"):
        CNN(kernel_sizes=(9, 0))


def test_dropout_that_would_do_nothing_is_refused() -> None:
    part = Projection(CNN((4,), (5,), dropout=0.5))
    with pytest.raises(ValueError, match=r"classifier\.dropout=0\.5 has nothing to do"):
        part.build((12, 12, 12, 1), 3, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("value", [1, -0.1, "half", float("nan")])
@pytest.mark.parametrize("part", [FCN, CNN])
def test_a_probability_of_dropout_is_in_its_range(part: type[Any], value: Any) -> None:
    with pytest.raises(ValueError, match=r"dropout=.* does not fit; give a number in \[0, 1\)"):
        part(dropout=value)


def test_any_module_can_be_the_classifier() -> None:
    class Linear:
        def build(self, input_shape: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs) -> Any:
            return nnx.Sequential(lambda x: x.reshape(len(x), -1), nnx.Linear(64, 3, rngs=rngs))

    model = STN(Linear(), output_shape=(8, 8)).build((12, 12, 1), 3, rngs=nnx.Rngs(0))
    images = jax.ShapeDtypeStruct((2, 12, 12, 1), jnp.float32)
    assert jax.eval_shape(model.forward, images).logits.shape == (2, 3)


@pytest.mark.parametrize(
    ("model", "classifier"),
    [
        (None, CNN((4,), (5,), (16,), dropout=0.5)),
        (STN, FCN((16, 8), dropout=0.5)),
        (ParallelSTN, FCN((16, 8), dropout=0.5)),
        (functools.partial(RecurrentSTN, filters=(4,), kernel_sizes=(3,)), FCN(dropout=0.5)),
    ],
)
def test_dropout_depends_on_each_images_own_key_and_is_for_training_alone(
    classifier: Any, model: Callable[[Any], Any] | None
) -> None:
    part = classifier if model is None else model(classifier)
    net = part.build((12, 12, 1), 3, rngs=nnx.Rngs(0))
    images = jax.random.uniform(jax.random.key(1), (6, 12, 12, 1), jnp.float32)
    keys = jax.random.split(jax.random.key(2), 6)
    forward = nnx.jit(lambda net, x, keys: net.forward(x, keys=keys).logits)
    dropped = forward(net, images, keys)
    np.testing.assert_allclose(forward(net, images[::2], keys[::2]), dropped[::2], atol=1e-5)
    assert np.abs(dropped - forward(net, images, keys[::-1])).max(axis=1).min() > 1e-3
    whole = net.forward(images).logits
    assert np.abs(whole - dropped).max() > 1e-3
    plain = dataclasses.replace(classifier, dropout=0.0)
    part = plain if model is None else model(plain)
    other = part.build((12, 12, 1), 3, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(other.forward(images, keys=keys).logits, whole)


@pytest.mark.parametrize("name", PAPER)
def test_an_input_of_another_shape_is_refused(name: str) -> None:
    model = PAPER[name].build((42, 42, 1), 10, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"\(2, 40, 40, 1\).*built for \(b, 42, 42, 1\)"):
        model(jnp.ones((2, 40, 40, 1), jnp.float32))


def wrong(part: Callable[..., Any], **options: Any) -> Any:
    """Returns a part with options of a type that it does not take."""
    return part(**options)


@pytest.mark.parametrize(
    ("part", "num_classes", "message"),
    [
        (FCN(), 0, "num_classes=0 does not fit"),
        (FCN(), 2.5, r"num_classes=2\.5 does not fit"),
        (FCN((0,)), 3, r"hidden=\(0,\) does not fit"),
        (wrong(FCN, hidden=8), 3, "hidden=8 does not fit; give a tuple"),
        (CNN(shrink=0), 3, "shrink=0 does not fit"),
        (wrong(CNN, shrink=1.5), 3, r"shrink=1\.5 does not fit"),
        (STN(CNN()), 0, "num_classes=0 does not fit"),
        (wrong(STN, padding_mode="foo"), 3, "padding_mode='foo' is not known"),
        (STN(FCN(), FullyConnectedLocalizer(shrink=100)), 3, "shrink=100 leaves nothing"),
        (STN(FCN(), ConvolutionalLocalizer(filters=(5,))), 3, r"filters=\(5,\) does not fit"),
    ],
)
def test_sizes_that_cannot_be_meant_are_refused_by_name(
    part: Any, num_classes: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        part.build((28, 28, 1), num_classes, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("shape", [20, (20,), (0, 5), (2.5, 3), (4, 4, 4), "ab"])
def test_output_shape_is_refused_by_its_name(shape: Any) -> None:
    with pytest.raises(ValueError, match="output_shape="):
        STN(output_shape=shape)
