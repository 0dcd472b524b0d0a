"""What a task is: examples, a loss, and ONE table of metrics.

A task's config is a frozen dataclass whose ``build(spec, distortion)`` returns a `Task`. What
examples, loss, metrics and outputs compute is pure and runs on the devices, inside the step.
"""

import abc
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from stn_jax.nn import Warp
from stn_jax.regularizers import outside_penalty
from train.checks import check
from train.step.state import Network

if TYPE_CHECKING:
    from train.evaluation.evaluator import Evaluator
    from train.step.step import Evaluated


class Metric(NamedTuple):
    """A number that says how well an example was done; reported as the mean over examples.

    Attributes:
        function: ``(prediction, targets) -> (b,)``.
        title: name on the axis of its curve.
        scale: factor of what is reported, 100 for percent.
        text: format of what is printed, such as ``"{:.2f} %"``; empty prints nothing.
        log_scale: whether its curve has a logarithmic axis.
    """

    function: Callable[[Any, Any], Array]
    title: str
    scale: float = 1.0
    text: str = ""
    log_scale: bool = False


class Task(abc.ABC):
    """What is learned, for data of one kind.

    Attributes:
        input_shape: shape of one input of the network, without batch.
        num_outputs: what a network's ``build`` is told: the number of labels in classification.
        others: number of other rows of the data that an example needs.
        metrics: the table of metrics by name; ``loss`` is one of them.
        monitor: name of the metric that chooses the best checkpoint; low is good.
        outside_penalty: weight of `stn_jax.outside_penalty` in what is minimised.
        identity_penalty: weight of ``|theta - identity|^2`` in what is minimised.
    """

    input_shape: tuple[int, ...]
    num_outputs: int
    others: int = 0
    metrics: Mapping[str, Metric]
    monitor: str = "loss"
    outside_penalty: float = 0.0
    identity_penalty: float = 0.0

    @abc.abstractmethod
    def example(self, key: Array, rows: dict[str, Array], step: Array | None) -> tuple[Any, Any]:
        """Makes one example.

        Args:
            key: key of the example, for its distortion.
            rows: the example's row of each array of the data, and those of ``others`` other
                examples: ``(1 + others, *shape)``.
            step: number of steps taken so far in training; None in evaluation, where the key of an
                example is always the same.

        Returns:
            What the network sees, and what the loss is told, both without batch.
        """

    @abc.abstractmethod
    def loss(self, prediction: Any, targets: Any) -> Array:
        """Returns what is minimised, for each example of a batch: ``(b,)``."""

    def outputs(self, prediction: Any) -> dict[str, Array]:
        """Returns what is kept of each example's prediction, for figures and ``predict``."""
        return {}

    def scale(self, means: Mapping[str, Any]) -> dict[str, float]:
        """Returns means over examples in the units of the table."""
        units = {name: metric.scale for name, metric in self.metrics.items()}
        return {name: units.get(name, 1.0) * float(mean) for name, mean in means.items()}

    def headline(self, metrics: Mapping[str, np.ndarray]) -> str:
        """Returns the monitored metric as text, from its values for every example."""
        values = metrics[self.monitor]
        mean = self.scale({self.monitor: np.mean(values, dtype=np.float64)})[self.monitor]
        text = (self.metrics[self.monitor].text or "{:.4g}").format(mean).strip()
        return f"{text} ({len(values):,} examples)"

    def report(self, evaluated: "Evaluated") -> dict[str, Any]:
        """Returns what ``summary.json`` says beside the metrics, as JSON has it."""
        return {}

    def draw(
        self, evaluator: "Evaluator", params: Any, evaluated: "Evaluated", split: str, folder: Path
    ) -> Path | None:
        """Draws the figures of the task, and returns the path of the most informative one."""
        return None


@dataclass(frozen=True)
class TaskPart:
    """What the configs of tasks share."""

    outside_penalty: float = 0.0
    """Weight of the squared distance by which samples of the transformers leave the image."""
    identity_penalty: float = 0.0
    """Weight of the squared distance of theta from the identity."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "task", not_negative=("outside_penalty", "identity_penalty"))


def warp_metrics(network: Network) -> dict[str, Metric]:
    """Returns the metrics of spatial transformers, averaged over the transformers of a network."""

    def outside(prediction: Any, targets: Any) -> Array:
        """Returns the fraction of grid points outside the image."""
        fractions = []
        for warp in prediction.warps:
            axes = jnp.unstack(warp.grid, axis=-1)
            is_outside = functools.reduce(jnp.logical_or, [jnp.abs(x) > 1 for x in axes])
            spatial = tuple(range(1, is_outside.ndim))
            fractions.append(jnp.mean(is_outside.astype(jnp.float32), axis=spatial))
        return _mean(fractions)

    def theta_distance(prediction: Any, targets: Any) -> Array:
        """Returns the Euclidean distance of theta from the identity."""
        return _mean([jnp.sqrt(square) for square in _theta_squares(network, prediction.warps)])

    metrics = {"outside": Metric(outside, "fraction of samples outside the image")}
    if network.identities:
        metrics["theta_distance"] = Metric(theta_distance, "distance of theta from the identity")
    return metrics


def warp_penalty(task: Task, network: Network, warps: tuple[Warp, ...]) -> Array | float:
    """Returns the penalties of a task on what the transformers did: ``(b,)``."""
    cost: Array | float = 0.0
    for warp in warps:
        if task.outside_penalty:
            cost += task.outside_penalty * outside_penalty(warp.grid)
    if warps and task.identity_penalty:
        cost += task.identity_penalty * sum(_theta_squares(network, warps))
    return cost


def get_warps(prediction: Any) -> tuple[Warp, ...]:
    """Returns what the spatial transformers of a network did; empty without one."""
    return tuple(getattr(prediction, "warps", ()))


def _theta_squares(network: Network, warps: tuple[Warp, ...]) -> list[Array]:
    squares = []
    for index, warp in enumerate(warps):
        squares.append(jnp.sum((warp.theta - network.identity(warps, index)[None]) ** 2, axis=-1))
    return squares


def _mean(values: Sequence[Array]) -> Array:
    return sum(values[1:], start=values[0]) / len(values)
