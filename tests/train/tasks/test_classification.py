"""Classification: loss, metrics, weights of classes, errors by class."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.config import Classification, CrossEntropy, NoDistortion
from train.data.dataset import DataSpec
from train.step.step import Evaluated
from train.tasks.classification import METRICS, LabelledImages

pytestmark = pytest.mark.usefixtures("plain_numerics")

LOGITS = jnp.array([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5], [0.3, 0.2, 0.1]], np.float32)
LABELS = jnp.array([0, 2, 0], np.int32)


def build(**fields: Any) -> LabelledImages:
    spec = DataSpec(
        "test",
        {"train": 60},
        {"images": ((4, 4, 1), "uint8"), "labels": ((), "int32")},
        {"class_names": ["a", "b", "c"], "class_counts": [30, 20, 10]},
        "",
    )
    return Classification(**fields).build(spec, NoDistortion())


def test_data_without_labels_or_names_are_refused() -> None:
    arrays: dict[str, tuple[tuple[int, ...], str]] = {"images": ((4, 4, 1), "uint8")}
    spec = DataSpec("loose", {"train": 1}, arrays, {}, "")
    for more, words in (({}, "loose has no labels"), ({"labels": ((), "int32")}, "no class_names")):
        with pytest.raises(ValueError, match=words):
            Classification().build(spec._replace(arrays=arrays | more), NoDistortion())


def test_cross_entropy_is_optaxs_and_smoothed() -> None:
    expected = optax.softmax_cross_entropy_with_integer_labels(LOGITS, LABELS)
    np.testing.assert_allclose(CrossEntropy()(LOGITS, LABELS), expected, rtol=1e-6)
    smoothed = CrossEntropy(0.3)(LOGITS, LABELS)
    uniform = -jnp.mean(jnp.log(jnp.exp(LOGITS) / jnp.exp(LOGITS).sum(1, keepdims=True)), axis=1)
    np.testing.assert_allclose(smoothed, 0.7 * expected + 0.3 * uniform, rtol=1e-5)


def test_metrics_are_of_each_example() -> None:
    assert METRICS["error"].function(LOGITS, LABELS).tolist() == [0, 1, 0]
    assert build().headline({"error": np.array([0.0, 1.0, 0.0])}) == "33.33 % (1 of 3 images)"
    assert build().scale({"error": 0.25, "outside": 0.25}) == {"error": 25.0, "outside": 0.25}


@dataclass(frozen=True)
class Own:
    """A user's loss."""

    factor: float = 3.0

    def __call__(self, logits: Any, labels: Any) -> Any:
        return self.factor * logits[:, 0]


def test_any_loss_is_minimised() -> None:
    np.testing.assert_allclose(build(loss=Own(2.0)).loss(LOGITS, LABELS), 2 * LOGITS[:, 0])


def test_weights_of_classes_multiply_the_loss() -> None:
    plain = build().loss(LOGITS, LABELS)
    weighted = build(class_weights=(1, 2, 0.5)).loss(LOGITS, LABELS)
    np.testing.assert_allclose(weighted, plain * jnp.array([1, 0.5, 1]), rtol=1e-6)
    balanced = build(class_weights="balanced")
    assert balanced.weights is not None
    np.testing.assert_allclose(balanced.weights, [60 / 90, 60 / 60, 60 / 30])
    with pytest.raises(ValueError, match=r"task.class_weights=\(1.0, 2.0\) .* 3 classes"):
        build(class_weights=(1.0, 2.0))


def test_images_are_scaled_and_labels_kept() -> None:
    rows = {"images": jnp.full((1, 4, 4, 1), 51, jnp.uint8), "labels": jnp.array([2])}
    image, label = build().example(jax.random.key(0), rows, None)
    np.testing.assert_allclose(image, 0.2)
    assert label == 2


def test_errors_by_class_and_confusion_are_reported() -> None:
    probabilities = np.eye(3)[[0, 0, 1, 1, 1]]
    evaluated = Evaluated({}, {"probabilities": probabilities}, np.array([0, 0, 0, 1, 1]))
    assert build().report(evaluated) == {
        "class_errors": {"a": 33.33, "b": 0.0},
        "confusion": [[2, 1, 0], [0, 2, 0], [0, 0, 0]],
    }
