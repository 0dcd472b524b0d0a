"""Sequences: several digits in one image, and a label for each from left to right.

Images of data with one label each are composed; data with a row of labels are taken as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax, random

from train.checks import check
from train.data.dataset import DataSpec
from train.data.distortions.base import DIGIT, draw_integers
from train.data.distortions.clutter import cut_patches, paste_patches
from train.tasks.classification import CrossEntropy, get_class_names, get_logits, to_float
from train.tasks.task import Metric, Task, TaskPart

if TYPE_CHECKING:
    from train.evaluation.evaluator import Evaluator
    from train.step.step import Evaluated


@dataclass(frozen=True)
class Sequence(TaskPart):
    """Several labels from left to right; the network has a head for each position.

    Of data with a single label for each image, several images are put into one.

    References:
        Sonderby et al., "Recurrent Spatial Transformer Networks", 2015: three digits on a slope,
        with 8 distractors.
    """

    length: int = 3
    """Number of labels."""
    arrangement: Literal["row", "random", "slope"] = "row"
    """Side by side in a row; with gaps and heights at random; or side by side, rising or falling
    by up to half a digit's height from one to the next, at a random place."""
    canvas: int = 0
    """Side of the square canvas in pixels; 0 just holds a row, and for "random" and "slope" is a
    square as wide as one and a half rows."""
    distractors: int = 0
    """Number of patches of other images, at random places of the canvas."""
    distractor_size: int = 9
    """Side of a distractor, for digits of 28."""
    monitor: Literal["error", "sequence_error"] = "sequence_error"
    """The metric that chooses the best parameters: the error of a label, or of whole sequences."""
    loss: Callable[[Array, Array], Array] = CrossEntropy()  # noqa: RUF009
    """What is minimised, averaged over positions: ``(logits, labels) -> (b,)``."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        super().__post_init__()
        check(
            self,
            "task",
            positive=("length", "distractor_size"),
            not_negative=("canvas", "distractors"),
        )

    def build(self, spec: DataSpec, distortion: Any) -> "LabelSequence":
        """Returns the task for data with ``images``, ``labels`` and ``class_names``.

        Raises:
            ValueError: if the data lack one, have another number of labels for each image, or have
                labels in order and the config asks for distractors.
        """
        shape, _ = spec.arrays.get("labels", ((), ""))
        if shape == ():
            return ComposedSequence(self, spec, distortion)
        if shape != (self.length,):
            raise ValueError(
                f"task.length={self.length} does not fit; {spec.name} has {shape} labels for each "
                "image."
            )
        if self.distractors:
            raise ValueError(
                f"task.distractors={self.distractors} has nothing to do: {spec.name} has a row of "
                "labels for each image, and its images are taken as they are."
            )
        return LabelSequence(self, spec, distortion)


def split_heads(prediction: Any, labels: Array) -> Array:
    """Returns the logits of each position, ``(b, length, classes)``, for labels ``(b, length)``."""
    return get_logits(prediction).reshape(*labels.shape, -1)


def wrong_labels(prediction: Any, labels: Array) -> Array:
    """Returns which positions are predicted wrongly, ``(b, length)``."""
    return jnp.argmax(split_heads(prediction, labels), axis=-1) != labels


METRICS = {
    "loss": Metric(
        lambda prediction, labels: jnp.mean(
            optax.softmax_cross_entropy_with_integer_labels(
                split_heads(prediction, labels), labels
            ),
            axis=-1,
        ),
        title="cross-entropy of a label",
        text="{:.3f}",
        log_scale=True,
    ),
    "error": Metric(
        lambda prediction, labels: jnp.mean(
            wrong_labels(prediction, labels).astype(jnp.float32), axis=-1
        ),
        title="error of a label, %",
        scale=100.0,
        text="{:5.2f} %",
        log_scale=True,
    ),
    "sequence_error": Metric(
        lambda prediction, labels: jnp.any(wrong_labels(prediction, labels), axis=-1).astype(
            jnp.float32
        ),
        title="sequences with an error, %",
        scale=100.0,
        text="{:5.2f} %",
        log_scale=True,
    ),
}
"""Every metric of sequences."""


class LabelSequence(Task):
    """Images with a row of labels each."""

    metrics = METRICS

    def __init__(self, config: Sequence, spec: DataSpec, distortion: Any):
        self.config = config
        self.monitor = config.monitor
        self.class_names = get_class_names(spec)
        self.distortion = distortion.build(spec.arrays["images"][0])
        self.num_outputs = config.length * len(self.class_names)
        self.others = self.distortion.others
        self.input_shape = self.distortion.shape
        self.outside_penalty = config.outside_penalty
        self.identity_penalty = config.identity_penalty

    def example(self, key: Array, rows: dict[str, Array], step: Array | None) -> tuple[Any, Any]:
        """Returns the distorted image and its labels."""
        images = to_float(rows["images"])
        return self.distortion.apply(key, images[0], images[1:], step), rows["labels"][0]

    def loss(self, prediction: Any, targets: Array) -> Array:
        """Returns what is minimised, averaged over the positions."""
        logits = split_heads(prediction, targets)
        costs = self.config.loss(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
        return jnp.mean(costs.reshape(targets.shape), axis=-1)

    def outputs(self, prediction: Any) -> dict[str, Array]:
        """Returns the probability of each class at each position."""
        logits = get_logits(prediction)
        shape = (logits.shape[0], self.config.length, len(self.class_names))
        return {"probabilities": jax.nn.softmax(logits.reshape(shape))}

    def report(self, evaluated: "Evaluated") -> dict[str, Any]:
        """Returns the error of each position in percent, from left to right."""
        wrong = np.argmax(evaluated.outputs["probabilities"], axis=-1) != evaluated.targets
        errors = np.round(100 * wrong.mean(axis=0), 2).tolist()
        return {"position_errors": {str(1 + i): error for i, error in enumerate(errors)}}

    def draw(
        self, evaluator: "Evaluator", params: Any, evaluated: "Evaluated", split: str, folder: Path
    ) -> Path | None:
        """Draws images with their predicted labels, and the worst mistakes."""
        from train.evaluation import figures
        from train.evaluation.selection import find_worst

        predicted = np.argmax(evaluated.outputs["probabilities"], axis=-1)

        def draw_sheet(name: str, indices: np.ndarray, title: str) -> Path:
            shown = evaluator.visualize(params, split, indices)
            captions = [
                figures.caption((self._text(predicted[i]), self._text(evaluated.targets[i])), 0, 1)
                if (predicted[i] != evaluated.targets[i]).any()
                else (self._text(predicted[i]), True)
                for i in indices.tolist()
            ]
            return figures.save(folder / name, figures.draw_examples(shown, captions, title))

        some = np.arange(min(figures.MAX_VISUALIZED, len(predicted)))
        title = f"{figures.SPLIT_NAMES[split]} images and predicted labels"
        if "outside" in evaluated.metrics:
            title += ", with the window of each transformer or step, and what it reads"
        picture = draw_sheet("examples.png", some, title)
        worst = find_worst(evaluated.metrics, "sequence_error", figures.MAX_VISUALIZED)
        if len(worst):
            draw_sheet("mistakes.png", worst, f"The worst mistakes ({split})")
        return picture

    def _text(self, labels: np.ndarray) -> str:
        names = [self.class_names[label] for label in labels.tolist()]
        return ("" if max(map(len, self.class_names)) == 1 else " ").join(names)


class ComposedSequence(LabelSequence):
    """Sequences made of images with one label each.

    The first image is the example's own row of the data; the others are drawn with its key.

    Raises:
        ValueError: for a canvas that cannot hold the images side by side.
    """

    def __init__(self, config: Sequence, spec: DataSpec, distortion: Any):
        super().__init__(config, spec, distortion)
        self.others = config.length * (1 + self.distortion.others) - 1 + config.distractors
        self.input_shape = self._canvas_shape()
        sides = spec.arrays["images"][0][:2]
        self.patch_shape = [max(1, round(config.distractor_size * side / DIGIT)) for side in sides]
        if config.distractor_size > DIGIT:
            raise ValueError(
                f"task.distractor_size={config.distractor_size} is not allowed; it must be 1 to "
                f"{DIGIT}, the side of the digit from which a distractor is cut."
            )

    def _canvas_shape(self) -> tuple[int, ...]:
        height, width, channels = self.distortion.shape
        row = self.config.length * width
        if self.config.canvas:
            if self.config.canvas < max(height, row):
                raise ValueError(
                    f"task.canvas={self.config.canvas} is too small for {self.config.length} images"
                    f" of {width} x {height} side by side; it must be {max(height, row)} or above, "
                    "or 0."
                )
            return self.config.canvas, self.config.canvas, channels
        if self.config.arrangement == "row":
            return height, row, channels
        side = max(height, row + row // 2)
        return side, side, channels

    def example(self, key: Array, rows: dict[str, Array], step: Array | None) -> tuple[Any, Any]:
        """Returns an image with all distorted images, and their labels from left to right."""
        length, clutter = self.config.length, self.config.length * self.distortion.others
        images = to_float(rows["images"])
        others = images[length : length + clutter]
        others = others.reshape(length, self.distortion.others, *images.shape[1:])
        *keys, place_key = random.split(key, length + 1)
        canvas = jnp.zeros(self.input_shape, images.dtype)
        for index, corner in enumerate(self.corners(place_key)):
            image = self.distortion.apply(keys[index], images[index], others[index], step)
            canvas = lax.dynamic_update_slice(canvas, image, (*corner, jnp.int32(0)))
        if self.config.distractors:
            cut_key, paste_key = random.split(random.fold_in(place_key, 0))
            patches = cut_patches(cut_key, images[length + clutter :], self.patch_shape)
            canvas = paste_patches(paste_key, canvas, patches)
        return canvas, rows["labels"][:length]

    def corners(self, key: Array) -> Array:
        """Returns the upper left corner (y, x) of each image; columns do not overlap."""
        length = self.config.length
        height, width = self.distortion.shape[:2]
        room = np.array([self.input_shape[0] - height, self.input_shape[1] - length * width])
        places = np.arange(length, dtype=np.int32)
        if self.config.arrangement == "slope":
            top, left, rise = draw_integers(key, np.array([*room, 2 * (height // 2)]))
            y = jnp.clip(top + (rise - height // 2) * places, 0, room[0].astype(np.int32))
            return jnp.stack([y, left + width * places], axis=-1)
        if self.config.arrangement == "row":
            free = jnp.asarray(np.tile(room // 2, (length, 1)), jnp.int32)
        else:
            free = draw_integers(key, np.tile(room, (length, 1)))
        x = jnp.sort(free[:, 1]) + width * places
        return jnp.stack([free[:, 0], x], axis=-1)
