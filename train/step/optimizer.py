"""Optimisers: clipping, Adam or momentum, weight decay, rates of their own, and a schedule."""

import abc
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import optax

from train.checks import check
from train.errors import UserError

Params = dict[str, jax.Array]


def is_localization(name: str) -> bool:
    """Returns whether a parameter belongs to a localization network.

    That is a module called ``localization``, as in `stn_jax.nn.SpatialTransformer`.

    Example:
        >>> is_localization("transformer.localization.head.kernel"), is_localization("head.kernel")
        (True, False)
    """
    return "localization" in name.split(".")


@dataclass(frozen=True)
class Constant:
    """The learning rate stays as it is."""

    def build(self, peak: float, steps: int) -> optax.Schedule:
        """Returns the rate by step."""
        return optax.constant_schedule(peak)


@dataclass(frozen=True)
class Cosine:
    """The learning rate falls to 0 as half a cosine."""

    def build(self, peak: float, steps: int) -> optax.Schedule:
        """Returns the rate by step."""
        return optax.cosine_decay_schedule(peak, steps)


@dataclass(frozen=True)
class Linear:
    """The learning rate falls linearly to 0."""

    def build(self, peak: float, steps: int) -> optax.Schedule:
        """Returns the rate by step."""
        return optax.linear_schedule(peak, 0.0, steps)


@dataclass(frozen=True)
class Staircase:
    """The learning rate is multiplied by a factor again and again."""

    every: int = 50_000
    """Number of steps between two falls."""
    factor: float = 0.1
    """Factor of the rate at each fall."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "optim.schedule", positive=("every", "factor"))

    def build(self, peak: float, steps: int) -> optax.Schedule:
        """Returns the rate by step."""
        return optax.exponential_decay(peak, self.every, self.factor, staircase=True)


@dataclass(frozen=True)
class Milestones:
    """The learning rate is multiplied by a factor at each of some steps."""

    steps: tuple[int, ...] = (10_000, 20_000, 25_000)
    """The steps at which the rate falls."""
    factor: float = 0.1
    """Factor of the rate at each fall."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "optim.schedule", positive=("steps", "factor"))

    def build(self, peak: float, steps: int) -> optax.Schedule:
        """Returns the rate by step."""
        return optax.piecewise_constant_schedule(peak, dict.fromkeys(self.steps, self.factor))


class Optimizer(NamedTuple):
    """An optimiser and its learning rate by step."""

    transformation: optax.GradientTransformation
    schedule: optax.Schedule


@dataclass(frozen=True)
class OptimizerPart(abc.ABC):
    """What all optimisers share."""

    learning_rate: float = 1e-3
    """Peak learning rate of the schedule."""
    schedule: Any = Cosine()
    """How the rate falls after the warm-up: constant, cosine, linear or staircase."""
    warmup_steps: int = 0
    """Number of steps over which the rate rises linearly from 0."""
    clip_norm: float = 0.0
    """Largest norm of the whole gradient, which is scaled down to it; 0 is off."""
    weight_decay: float = 0.0
    """Decoupled weight decay of kernels, as in AdamW; biases have none."""
    localization_rate: float = 1.0
    """Learning rate of the localization network, relative to the other parameters."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "optim",
            positive=("learning_rate",),
            not_negative=("warmup_steps", "clip_norm", "weight_decay", "localization_rate"),
        )

    @abc.abstractmethod
    def scale(self) -> optax.GradientTransformation:
        """Returns the rule from gradients to directions."""

    def build(self, steps: int) -> Optimizer:
        """Returns the optimiser of a run.

        Args:
            steps: number of steps of the run.

        Raises:
            ValueError: for a warm-up that is longer than the run.
        """
        if self.warmup_steps >= steps:
            raise ValueError(
                f"optim.warmup_steps={self.warmup_steps} is not allowed; the run has "
                f"train.steps={steps}, and the warm-up must be shorter."
            )
        schedule = self.schedule.build(self.learning_rate, steps - self.warmup_steps)
        if self.warmup_steps:
            rise = optax.linear_schedule(0.0, self.learning_rate, self.warmup_steps)
            schedule = optax.join_schedules([rise, schedule], [self.warmup_steps])
        stages = []
        if self.clip_norm:
            stages.append(optax.clip_by_global_norm(self.clip_norm))
        stages.append(self.scale())
        if self.weight_decay:
            stages.append(optax.add_decayed_weights(self.weight_decay, mask=_kernels))
        if self.localization_rate != 1:
            stages.append(optax.masked(optax.scale(self.localization_rate), _localization))
        stages.append(optax.scale_by_learning_rate(schedule))
        return Optimizer(optax.chain(*stages), schedule)


@dataclass(frozen=True)
class Adam(OptimizerPart):
    """Adam, and with weight decay AdamW."""

    def scale(self) -> optax.GradientTransformation:
        """Returns Adam's rule."""
        return optax.scale_by_adam()


@dataclass(frozen=True)
class SGD(OptimizerPart):
    """Stochastic gradient descent."""

    learning_rate: float = 1e-2
    """Peak learning rate of the schedule."""
    momentum: float = 0.9
    """Decay of the running sum of gradients; 0 is plain descent."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        super().__post_init__()
        check(self, "optim", fraction=("momentum",))

    def scale(self) -> optax.GradientTransformation:
        """Returns the running sum."""
        return optax.trace(self.momentum) if self.momentum else optax.identity()


def _localization(params: Params) -> dict[str, bool]:
    found = {name: is_localization(name) for name in params}
    if not any(found.values()):
        raise UserError(
            "optim.localization_rate has nothing to do: the network has no module called "
            "localization."
        )
    return found


def _kernels(params: Params) -> dict[str, bool]:
    return {name: value.ndim > 1 for name, value in params.items()}
