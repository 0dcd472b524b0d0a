"""The config of a run: its parts, and the length of the training.

A part is a frozen dataclass with a method ``build``: the package's, or one of a user's config file.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from train.checks import check, check_types
from train.data.distortions import RTS
from train.data.sources import Images
from train.step.optimizer import Adam
from train.step.precision import Precision
from train.tasks.classification import Classification


@dataclass(frozen=True)
class TrainConfig:
    """Length of the run, batch sizes and intervals."""

    steps: int = 1000
    """Number of optimiser steps."""
    batch_size: int = 128
    """Examples for each step, over all devices."""
    eval_batch_size: int = 500
    """Examples for each evaluation step; the result does not depend on it."""
    log_every: int = 50
    """Interval, in steps, of logging the mean training metrics."""
    eval_every: int = 500
    """Interval, in steps, of evaluation on the validation examples."""
    checkpoint_every: int = 500
    """Interval, in steps, of checkpoints; there is one at the end too."""
    steps_per_dispatch: int = 0
    """Optimiser steps for each dispatch; 0 is 1 on a CPU and up to 16 on accelerators."""
    seed: int = 0
    """Seed of the initial weights, the order of the examples and their distortions."""
    average: float = 0.0
    """Decay of the running average of parameters used for evaluation; 0 uses the last ones."""
    precision: Precision = "float32"
    """Of activations and products; with bfloat16 parameters, localization networks and coordinates
    stay in float32."""
    mesh: tuple[int, int] = (0, 1)
    """Devices along two axes, data and model: the first splits batches, the second the kernels of
    large fully connected layers and what the optimiser keeps of them; 0 is all that there are."""
    start_from: str | None = None
    """Work directory of another run whose parameters to start from; those of the same name and
    shape are taken."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "train",
            positive=(
                *("steps", "batch_size", "eval_batch_size"),
                *("log_every", "eval_every", "checkpoint_every"),
            ),
            not_negative=("steps_per_dispatch", "seed"),
            fraction=("average",),
        )
        if self.mesh[0] < 0 or self.mesh[1] < 1:
            raise ValueError(
                f"train.mesh={self.mesh} is not allowed; it must be (0 or the devices that split "
                "batches, 1 or those that split large layers)."
            )
        if self.seed >= 1 << 32:
            raise ValueError(f"train.seed={self.seed} is not allowed; it must be below 2^32.")


@dataclass(frozen=True)
class Config:
    """The config of a run.

    Attributes:
        model: the network; ``build(input_shape, num_outputs, rngs=)`` returns a Flax NNX module.
        data: the examples; ``build()`` returns arrays by split.
        distortion: what is done to an example's image; ``build(image_shape)``.
        task: what is learned; ``build(spec, distortion)`` returns loss and metrics.
        optim: the optimiser; ``build(steps)`` returns optax's transformation and the schedule.
        train: length of the run, batch sizes and intervals.
    """

    model: Any
    data: Any = Images()  # noqa: RUF009
    distortion: Any = RTS()  # noqa: RUF009
    task: Any = Classification()  # noqa: RUF009
    optim: Any = Adam()  # noqa: RUF009
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        """Checks that each part can be built, and the types of all their fields."""
        check_types(self, "config")
        for name in ("model", "data", "distortion", "task", "optim"):
            part = getattr(self, name)
            if not is_part(part) or not callable(getattr(part, "build", None)):
                raise ValueError(
                    f"config.{name}={part!r} is not allowed; it must be a part: an instance of a "
                    "frozen dataclass with a method build."
                )
        for path, part in walk(self):
            check_types(part, path)


def is_part(value: Any) -> bool:
    """Returns whether a value is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def walk(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the path and value of every part inside a part, at any depth."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if is_part(value):
            inner = f"{path}.{field.name}" if path else field.name
            yield inner, value
            yield from walk(value, inner)
