"""Sequences of labels: images, labels in order, errors per label and per sequence."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bright_digits import DATA, LABELS, make_spec, read_labels
from jax import random

from train.config import Cluttered, NoDistortion, Sequence
from train.data.batches import make_examples
from train.step.step import Evaluated
from train.tasks.sequence import METRICS, LabelSequence

pytestmark = pytest.mark.usefixtures("plain_numerics")


def build(distortion: Any = NoDistortion(), **fields: Any) -> LabelSequence:  # noqa: B008
    return Sequence(**fields).build(make_spec(), distortion)


def read(image: np.ndarray) -> list[int]:
    """Returns the labels from left to right; each image is 6 columns wide."""
    columns = image.max(axis=(0, 2))
    digits = read_labels(columns[columns > 0])
    assert len(digits) % 6 == 0
    return digits[::6].tolist()


def test_a_row_shows_its_labels_from_left_to_right() -> None:
    task = build(length=4)
    assert (task.input_shape, task.num_outputs, task.others) == ((6, 24, 1), 40, 3)
    images, labels = make_examples(task, random.key(0), DATA, jnp.arange(40), None)
    assert [read(image) for image in np.asarray(images)] == labels.tolist()
    np.testing.assert_array_equal(labels[:, 0], LABELS)


def test_random_places_keep_the_order_and_do_not_overlap() -> None:
    task = build(arrangement="random")
    assert task.input_shape == (27, 27, 1)
    images, labels = make_examples(task, random.key(0), DATA, jnp.arange(40), None)
    assert [read(image) for image in np.asarray(images)] == labels.tolist()
    lit = np.asarray(images)[..., 0] > 0
    assert (lit.sum(axis=(1, 2)) == 3 * 36).all()
    assert len({tuple(rows) for rows in lit.any(axis=2).tolist()}) > 20  # heights vary
    again, _ = make_examples(task, random.key(0), DATA, jnp.array([7]), None)
    np.testing.assert_array_equal(again[0], images[7])


def test_a_canvas_is_square_and_holds_the_row() -> None:
    assert build(canvas=30).input_shape == (30, 30, 1)
    with pytest.raises(ValueError, match=r"task.canvas=17 .* 3 images of 6 x 6 .* 18 or above"):
        build(canvas=17)


def test_clutter_takes_further_rows() -> None:
    task = build(Cluttered(patches=2), length=2)
    assert task.others == 5
    example = jax.eval_shape(
        lambda: make_examples(task, random.key(0), DATA, jnp.arange(3), jnp.int32(0))
    )
    assert [x.shape for x in example] == [(3, 13, 26, 1), (3, 2)]


def test_errors_are_counted_per_label_and_per_sequence() -> None:
    labels = np.array([[1, 2], [3, 4], [5, 6]])
    answers = np.array([[1, 2], [3, 0], [0, 0]])
    logits = 50.0 * np.eye(10, dtype=np.float32)[answers].reshape(3, 20)
    assert METRICS["error"].function(logits, labels).tolist() == [0, 0.5, 1]
    assert METRICS["sequence_error"].function(logits, labels).tolist() == [0, 1, 1]
    task = build(length=2)
    np.testing.assert_allclose(METRICS["loss"].function(logits, labels), [0, 25, 50], atol=1e-5)
    np.testing.assert_allclose(task.loss(logits, labels), [0, 25, 50], atol=1e-5)
    evaluated = Evaluated({}, jax.device_get(task.outputs(logits)), labels)
    assert evaluated.outputs["probabilities"].shape == (3, 2, 10)
    assert task.report(evaluated) == {"position_errors": {"1": 33.33, "2": 66.67}}


def test_data_without_labels_are_refused() -> None:
    spec = make_spec()
    del spec.arrays["labels"]
    with pytest.raises(ValueError, match="test has no labels; the task needs arrays images"):
        Sequence().build(spec, NoDistortion())
