"""Classification: one label for each image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        return optax.softmax_cross_entropy(logits, targets)


@dataclass(frozen=True)
class Classification(TaskPart):
    """One label for each image."""

    loss: Callable[[Array, Array], Array] = CrossEntropy()
    """What is minimised: ``(logits, labels) -> (b,)``; a part of its own, without ``build``."""

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


def get_logits(prediction: Any) -> Array:
    """Returns the logits of a network's prediction, which may be bare logits."""
    return getattr(prediction, "logits", prediction)


def predict(prediction: Any) -> Array:
    """Returns the label with the largest logit."""
    return jnp.argmax(get_logits(prediction), axis=-1).astype(jnp.int32)


class LabelledImages(Task):
    """Classification of images of one shape into known classes."""

    metrics = METRICS
    monitor = "error"

    def __init__(self, config: Classification, spec: DataSpec, distortion: Any):
        self.config = config
        self.class_names = tuple(spec.info["class_names"])
        self.num_outputs = len(self.class_names)
        self.distortion = distortion.build(spec.arrays["images"][0])
        self.input_shape = self.distortion.shape
        self.others = self.distortion.others
        self.outside_penalty = config.outside_penalty
        self.identity_penalty = config.identity_penalty

    def example(self, key: Array, rows: dict[str, Array], step: Array | None) -> tuple[Any, Any]:
        """Returns the distorted image and its label."""
        images = _to_float(rows["images"])
        return self.distortion.apply(key, images[0], images[1:], step), rows["labels"][0]

    def loss(self, prediction: Any, targets: Array) -> Array:
        """Returns what is minimised."""
        return self.config.loss(get_logits(prediction), targets)

    def outputs(self, prediction: Any) -> dict[str, Array]:
        """Returns the probability of each class."""
        return {"probabilities": jax.nn.softmax(get_logits(prediction))}

    def headline(self, metrics: Mapping[str, np.ndarray]) -> str:
        """Returns the error in percent, and how many images it stands for."""
        wrong, count = int(metrics["error"].sum()), len(metrics["error"])
        return f"{100 * wrong / count:.2f} % ({wrong} of {count:,} images)"

    def draw(
        self, evaluator: "Evaluator", params: Any, evaluated: "Evaluated", folder: Path
    ) -> Path | None:
        """Draws test images with what the transformer made of them, and the worst mistakes."""
        from train.evaluation import figures

        predicted = np.argmax(evaluated.outputs["probabilities"], axis=-1)
        labels = evaluator.arrays["test"]["labels"]

        def draw_sheet(name: str, indices: np.ndarray, title: str) -> Path:
            shown = evaluator.visualize(params, "test", indices)
            captions = [
                figures.caption(self.class_names, int(predicted[i]), int(labels[i]))
                for i in indices.tolist()
            ]
            return figures.save(folder / name, figures.draw_examples(shown, captions, title))

        first = np.arange(min(figures.MAX_VISUALIZED, len(labels)))
        if "outside" in evaluated.metrics:
            title = "Test images with the window that the transformer reads, and its output"
            picture = draw_sheet("transformer.png", first, title)
        else:
            title = "Test images and their predicted labels"
            picture = draw_sheet("examples.png", first, title)
        worst = np.argsort(-evaluated.metrics["loss"], kind="stable")[: figures.MAX_VISUALIZED]
        worst = worst[evaluated.metrics["error"][worst] > 0]
        if len(worst):
            draw_sheet("mistakes.png", worst, "The worst mistakes on test images")
        return picture


def _to_float(images: Array) -> Array:
    """Returns images in [0, 1] as float32; those of bytes are divided by 255."""
    scale = 255 if images.dtype == jnp.uint8 else 1
    return images.astype(jnp.float32) / scale
