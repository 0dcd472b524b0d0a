"""Addition: what an example is made of."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from bright_digits import DATA, LABELS, make_spec, read_labels
from jax import random

from train.config import Addition, Cluttered, NoDistortion
from train.data.batches import make_examples
from train.data.dataset import DataSpec
from train.tasks.addition import SumOfDigits

pytestmark = pytest.mark.usefixtures("plain_numerics")


def build(distortion: Any, classes: int = 10, channels: int = 1, **fields: Any) -> SumOfDigits:
    return Addition(**fields).build(make_spec(classes, channels), distortion)


def brightest(images: Any) -> np.ndarray:
    return read_labels(np.asarray(images).max(axis=(1, 2)))


def test_each_digit_has_a_channel_and_the_label_is_their_sum() -> None:
    task = build(NoDistortion(canvas=8))
    assert (task.input_shape, task.num_outputs, task.others) == ((8, 8, 2), 19, 1)
    assert task.class_names == tuple(map(str, range(19)))
    images, sums = make_examples(task, random.key(0), DATA, jnp.arange(40), None)
    assert images.shape == (40, 8, 8, 2)
    digits = brightest(images)
    np.testing.assert_array_equal(digits[:, 0], LABELS)
    np.testing.assert_array_equal(digits.sum(axis=1), sums)
    assert len(set(digits[:, 1])) > 5


def test_digits_are_distorted_apart() -> None:
    task = build(Cluttered(canvas=20, patches=0))
    images, _ = make_examples(task, random.key(0), DATA, jnp.arange(8), None)
    lit = np.asarray(images) > 0
    assert not (lit[..., 0] == lit[..., 1]).all(axis=(1, 2)).any()


def test_clutter_is_cut_from_further_images() -> None:
    task = build(Cluttered(patches=3))
    assert task.others == 1 + 2 * 3
    images, sums = make_examples(task, random.key(0), DATA, jnp.arange(4), None)
    assert (images.shape, sums.shape) == ((4, 13, 13, 2), (4,))


def test_weights_of_penalties_are_kept() -> None:
    task = build(NoDistortion(), outside_penalty=0.5, identity_penalty=2.0)
    assert (task.outside_penalty, task.identity_penalty) == (0.5, 2.0)


def test_colour_and_classes_that_are_no_digits_are_refused() -> None:
    with pytest.raises(ValueError, match="3 channels; addition needs images of one channel"):
        build(NoDistortion(), channels=3)
    arrays = {"images": ((6, 6, 1), "uint8"), "labels": ((), "int32")}
    spec = DataSpec("pets", {}, arrays, {"class_names": ["a", "b"]}, "")
    with pytest.raises(ValueError, match=r"pets has the classes a, b; addition needs .* 0, 1"):
        Addition().build(spec, NoDistortion())
