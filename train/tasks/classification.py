"""Classification: one label for each image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from train.checks import check
from train.data.dataset import DataSpec
from train.tasks.task import Metric, Task, TaskPart

if TYPE_CHECKING:
    from train.evaluation.evaluator import Evaluator
    from train.step.step import Evaluated


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy of softmax."""

    label_smoothing: float = 0.0
    """Weight of the uniform distribution in the targets."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "task.loss", fraction=("label_smoothing",))

    def __call__(self, logits: Array, labels: Array) -> Array:
        """Returns the loss of each example: ``(b, k), (b,) -> (b,)``."""
        targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=jnp.float32)
        targets = optax.smooth_labels(targets, self.label_smoothing)
        losses: Array = optax.softmax_cross_entropy(logits, targets)
        return losses


@dataclass(frozen=True)
class Classification(TaskPart):
    """One label for each image."""

    loss: Callable[[Array, Array], Array] = CrossEntropy()
    """What is minimised: ``(logits, labels) -> (b,)``; a part without ``build``, or a function."""
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    """Weight of each class in what is minimised: one number for each class, or "balanced", in
    inverse proportion to its training examples."""

    def build(self, spec: DataSpec, distortion: Any) -> "LabelledImages":
        """Returns the task for data with ``images``, ``labels`` and ``class_names``."""
        return LabelledImages(self, spec, distortion)


METRICS = {
    "loss": Metric(
        lambda prediction, labels: optax.softmax_cross_entropy_with_integer_labels(
            get_logits(prediction), labels
        ),
        title="cross-entropy",
        text="{:.3f}",
        log_scale=True,
    ),
    "error": Metric(
        lambda prediction, labels: (predict(prediction) != labels).astype(jnp.float32),
        title="error, %",
        scale=100.0,
        text="{:5.2f} %",
        log_scale=True,
    ),
}
"""Every metric of classification."""


def get_class_names(spec: DataSpec) -> tuple[str, ...]:
    """Returns the names of the classes of data with images and labels.

    Raises:
        ValueError: if the data lack one of these.
    """
    missing = [name for name in ("images", "labels") if name not in spec.arrays]
    missing += [name for name in ("class_names",) if name not in spec.info]
    if missing:
        raise ValueError(
            f"{spec.name} has no {missing[0]}; the task needs arrays images and labels, and "
            "class_names in the data's info."
        )
    return tuple(spec.info["class_names"])


def get_logits(prediction: Any) -> Array:
    """Returns the logits of a network's prediction, which may be bare logits."""
    logits: Array = getattr(prediction, "logits", prediction)
    return logits


def predict(prediction: Any) -> Array:
    """Returns the label with the largest logit."""
    return jnp.argmax(get_logits(prediction), axis=-1).astype(jnp.int32)


class LabelledImages(Task):
    """Classification of images of one shape into known classes."""

    metrics = METRICS
    monitor = "error"

    def __init__(self, config: Classification, spec: DataSpec, distortion: Any):
        self.config = config
        self.class_names = get_class_names(spec)
        self.num_outputs = len(self.class_names)
        self.distortion = distortion.build(spec.arrays["images"][0])
        self.input_shape = self.distortion.shape
        self.others = self.distortion.others
        self.weights = _class_weights(config.class_weights, spec.info)
        self.outside_penalty = config.outside_penalty
        self.identity_penalty = config.identity_penalty

    def example(self, key: Array, rows: dict[str, Array], step: Array | None) -> tuple[Any, Any]:
        """Returns the distorted image and its label."""
        images = to_float(rows["images"])
        return self.distortion.apply(key, images[0], images[1:], step), rows["labels"][0]

    def loss(self, prediction: Any, targets: Array) -> Array:
        """Returns what is minimised."""
        loss = self.config.loss(get_logits(prediction), targets)
        return loss if self.weights is None else loss * jnp.asarray(self.weights)[targets]

    def outputs(self, prediction: Any) -> dict[str, Array]:
        """Returns the probability of each class."""
        return {"probabilities": jax.nn.softmax(get_logits(prediction))}

    def headline(self, metrics: Mapping[str, np.ndarray]) -> str:
        """Returns the error in percent, and how many images it stands for."""
        wrong, count = int(metrics["error"].sum()), len(metrics["error"])
        return f"{100 * wrong / count:.2f} % ({wrong} of {count:,} images)"

    def report(self, evaluated: "Evaluated") -> dict[str, Any]:
        """Returns the error of each class in percent, and how often which is taken for which."""
        matrix = self.confusion(evaluated)
        wrong = 100 * (1 - np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1))
        errors = {
            name: round(float(error), 2)
            for name, error, count in zip(self.class_names, wrong, matrix.sum(axis=1), strict=True)
            if count
        }
        return {"class_errors": errors, "confusion": matrix.tolist()}

    def confusion(self, evaluated: "Evaluated") -> np.ndarray:
        """Returns the number of examples by label (rows) and by predicted label (columns)."""
        matrix = np.zeros((self.num_outputs, self.num_outputs), np.int64)
        predicted = np.argmax(evaluated.outputs["probabilities"], axis=-1)
        np.add.at(matrix, (evaluated.targets, predicted), 1)
        return matrix

    def draw(
        self, evaluator: "Evaluator", params: Any, evaluated: "Evaluated", split: str, folder: Path
    ) -> Path | None:
        """Draws images with what the transformer made of them, the worst mistakes, the classes."""
        from train.evaluation import figures
        from train.evaluation.selection import find_worst, spread_over_classes

        predicted = np.argmax(evaluated.outputs["probabilities"], axis=-1)
        labels = evaluated.targets

        def draw_sheet(name: str, indices: np.ndarray, title: str) -> Path:
            shown = evaluator.visualize(params, split, indices)
            captions = [
                figures.caption(self.class_names, int(predicted[i]), int(labels[i]))
                for i in indices.tolist()
            ]
            return figures.save(folder / name, figures.draw_examples(shown, captions, title))

        is_volume = len(self.input_shape) == 4
        kind = f"{figures.SPLIT_NAMES[split]} {'volumes' if is_volume else 'images'}"
        some = spread_over_classes(labels, figures.MAX_VISUALIZED)
        if "outside" in evaluated.metrics:
            title = f"{kind} with the window that the transformer reads, and its output"
            title = f"{kind}, and what the transformer made of them" if is_volume else title
            picture = draw_sheet("transformer.png", some, title)
        else:
            picture = draw_sheet("examples.png", some, f"{kind} and their predicted labels")
        worst = find_worst(evaluated.metrics, "error", figures.MAX_VISUALIZED)
        if len(worst):
            draw_sheet("mistakes.png", worst, f"The worst mistakes: {kind.lower()}")
        matrix = self.confusion(evaluated)
        figures.save(folder / "confusion.png", figures.draw_confusion(matrix, self.class_names))
        return picture


def _class_weights(
    weights: Literal["balanced"] | tuple[float, ...] | None, info: Mapping[str, Any]
) -> np.ndarray | None:
    if weights is None:
        return None
    classes = len(info["class_names"])
    if weights == "balanced":
        counts = np.maximum(info["class_counts"], 1)
        balanced: np.ndarray = counts.sum() / (classes * counts)
        return balanced.astype(np.float32)
    if len(weights) != classes or min(weights) < 0:
        raise ValueError(
            f"task.class_weights={weights} is not allowed; it must have a number of 0 or above for "
            f"each of the {classes} classes."
        )
    return np.asarray(weights, np.float32)


def to_float(images: Array) -> Array:
    """Returns images in [0, 1] as float32; those of bytes are divided by 255."""
    scale = 255 if images.dtype == jnp.uint8 else 1
    return images.astype(jnp.float32) / scale
