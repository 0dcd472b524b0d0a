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
    read: list[int] = digits[::6].tolist()
    return read


def test_a_row_shows_its_labels_from_left_to_right() -> None:
    task = build(length=4)
    assert (task.input_shape, task.num_outputs, task.others) == ((6, 24, 1), 40, 3)
    images, labels = make_examples(task, random.key(0), DATA, jnp.arange(40), None)
    assert [read(image) for image in np.asarray(images)] == labels.tolist()
    np.testing.assert_array_equal(labels[:, 0], LABELS)


def test_outputs_are_exported_for_any_batch() -> None:
    task = build(length=3)
    (batch,) = jax.export.symbolic_shape("b")
    logits = jax.ShapeDtypeStruct((batch, task.num_outputs), jnp.float32)
    program = jax.export.export(jax.jit(task.outputs))(logits)
    for size in (1, 4):
        found = program.call(jnp.zeros((size, task.num_outputs)))["probabilities"]
        assert found.shape == (size, 3, len(task.class_names))


def test_random_places_keep_the_order_and_do_not_overlap() -> None:
    task = build(arrangement="random")
    assert task.input_shape == (27, 27, 1)
    images, labels = make_examples(task, random.key(0), DATA, jnp.arange(40), None)
    assert [read(image) for image in np.asarray(images)] == labels.tolist()
    lit = np.asarray(images)[..., 0] > 0
    assert (lit.sum(axis=(1, 2)) == 3 * 36).all()
    assert len(np.unique(lit.any(axis=2), axis=0)) > 20  # heights vary
    again, _ = make_examples(task, random.key(0), DATA, jnp.array([7]), None)
    np.testing.assert_array_equal(again[0], images[7])


def test_a_canvas_is_square_and_holds_the_row() -> None:
    assert build(canvas=30).input_shape == (30, 30, 1)
    with pytest.raises(ValueError, match=r"task.canvas=17 .* 3 images of 6 x 6 .* 18 or above"):
        build(canvas=17)


def test_a_slope_is_a_straight_row_that_rises_or_falls() -> None:
    """Heights differ by at most half a digit's; only the canvas bends a row."""
    task: Any = build(arrangement="slope", canvas=60)
    images, labels = make_examples(task, random.key(0), DATA, jnp.arange(40), None)
    assert [read(image) for image in np.asarray(images)] == labels.tolist()
    y, x = np.moveaxis(np.asarray(jax.vmap(task.corners)(random.split(random.key(1), 500))), -1, 0)
    assert (np.diff(x) == 6).all()
    assert (y >= 0).all()
    assert (y <= 54).all()
    assert set(np.unique(x[:, 0])) == set(range(60 - 18 + 1))
    inside = (y > 0).all(axis=1) & (y < 54).all(axis=1)
    rises = np.diff(y)[inside]
    assert (rises[:, 0] == rises[:, 1]).all()
    assert set(np.unique(rises)) == set(range(-3, 4))


def test_distractors_are_patches_of_other_images_anywhere() -> None:
    plain = build(arrangement="slope", canvas=60)
    task: Any = build(arrangement="slope", canvas=60, distractors=4, distractor_size=9)
    assert (task.others, task.patch_shape) == (plain.others + 4, [2, 2])
    images, labels = make_examples(task, random.key(0), DATA, jnp.arange(40), None)
    lit = (np.asarray(images)[..., 0] > 0).sum(axis=(1, 2)) - 3 * 36
    assert (lit <= 4 * 4).all()  # a patch may lie on a digit or on another patch
    assert lit.mean() > 10
    np.testing.assert_array_equal(labels[:, 0], LABELS)
    with pytest.raises(ValueError, match=r"task.distractor_size=29 is not allowed; .* 1 to 28"):
        build(distractors=1, distractor_size=29)
    spec = make_spec()
    spec.arrays["labels"] = (3,), "int32"
    with pytest.raises(ValueError, match=r"task.distractors=2 has nothing to do"):
        Sequence(distractors=2).build(spec, NoDistortion())


def test_the_error_of_a_label_can_choose_the_parameters() -> None:
    wrong = {"error": np.array([1 / 3, 0]), "sequence_error": np.array([1.0, 0])}
    assert build().headline(wrong) == "50.00 % (2 examples)"
    assert build(monitor="error").headline(wrong) == "16.67 % (2 examples)"


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
    losses = task.loss(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(losses, [0, 25, 50], atol=1e-5)
    evaluated = Evaluated({}, jax.device_get(task.outputs(logits)), labels)
    assert evaluated.outputs["probabilities"].shape == (3, 2, 10)
    assert task.report(evaluated) == {"position_errors": {"1": 33.33, "2": 66.67}}


def test_data_without_labels_are_refused() -> None:
    spec = make_spec()
    del spec.arrays["labels"]
    with pytest.raises(ValueError, match="test has no labels; the task needs arrays images"):
        Sequence().build(spec, NoDistortion())
