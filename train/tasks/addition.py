"""Addition: two digits, each on a channel of its own; the label is their sum."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array, random

from train.data.dataset import DataSpec
from train.tasks.classification import Classification, CrossEntropy, LabelledImages, to_float
from train.tasks.task import TaskPart


@dataclass(frozen=True)
class Addition(TaskPart):
    """The sum of two digits, each distorted on a channel of its own.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, appendix A.1.
    """

    loss: Callable[[Array, Array], Array] = CrossEntropy()  # noqa: RUF009
    """What is minimised: ``(logits, labels) -> (b,)``; a part without ``build``, or a function."""

    def build(self, spec: DataSpec, distortion: Any) -> "SumOfDigits":
        """Returns the task for grey images whose classes are the numbers from 0."""
        return SumOfDigits(self, spec, distortion)


class SumOfDigits(LabelledImages):
    """Classification of pairs of digits by their sum, with its metrics and figures.

    An example's first digit is its own row of the data; the second is drawn with its key, so in
    training it differs in every epoch.

    Raises:
        ValueError: for images of several channels, or classes that are not 0, 1, 2, ...
    """

    def __init__(self, config: Addition, spec: DataSpec, distortion: Any):
        penalties = {
            name: getattr(config, name) for name in ("outside_penalty", "identity_penalty")
        }
        super().__init__(Classification(loss=config.loss, **penalties), spec, distortion)
        digits = [str(digit) for digit in range(self.num_outputs)]
        *shape, channels = self.distortion.shape
        if list(self.class_names) != digits:
            raise ValueError(
                f"task: {spec.name} has the classes {', '.join(self.class_names)}; addition needs "
                f"digits, named {', '.join(digits)}."
            )
        if channels != 1:
            raise ValueError(
                f"task: {spec.name} has {channels} channels; addition needs images of one channel."
            )
        self.num_outputs = 2 * len(digits) - 1
        self.class_names = tuple(map(str, range(self.num_outputs)))
        self.input_shape = (*shape, 2)
        self.others = 1 + 2 * self.distortion.others

    def example(self, key: Array, rows: dict[str, Array], step: Array | None) -> tuple[Any, Any]:
        """Returns the two distorted digits as channels, and the sum of their labels."""
        images, labels = to_float(rows["images"]), rows["labels"]
        others = images[2:].reshape(2, self.distortion.others, *images.shape[1:])
        channels = [
            self.distortion.apply(key, image, clutter, step)
            for key, image, clutter in zip(random.split(key), images[:2], others, strict=True)
        ]
        return jnp.concatenate(channels, axis=-1), labels[0] + labels[1]
