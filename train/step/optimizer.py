"""The optimiser: one optax chain built from the config."""

import optax

from train.config.parts import OptimConfig
from train.step.network import Params


def is_localization(name: str) -> bool:
    """Returns whether a parameter belongs to a localization network, judging by its name."""
    return "localization" in name


def make_schedule(config: OptimConfig, steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the step: linear warm-up, then ``schedule``.

    Args:
        config: peak, schedule and warm-up.
        steps: number of steps of the run; cosine and linear end at 0.
    """
    peak, remaining = config.learning_rate, max(1, steps - config.warmup_steps)
    main = {
        "constant": lambda: optax.constant_schedule(peak),
        "cosine": lambda: optax.cosine_decay_schedule(peak, remaining),
        "linear": lambda: optax.linear_schedule(peak, 0.0, remaining),
        "step": lambda: optax.exponential_decay(
            peak, config.decay_every, config.decay_factor, staircase=True
        ),
    }[config.schedule]()
    if not config.warmup_steps:
        return main
    warmup = optax.linear_schedule(0.0, peak, config.warmup_steps)
    return optax.join_schedules([warmup, main], [config.warmup_steps])


def make_optimizer(config: OptimConfig, steps: int) -> optax.GradientTransformation:
    """Returns the chain: clipping, Adam or momentum, weight decay, localization rate, schedule."""

    def localization(params: Params) -> dict[str, bool]:
        return {name: is_localization(name) for name in params}

    def kernels(params: Params) -> dict[str, bool]:
        return {name: value.ndim > 1 for name, value in params.items()}

    stages = []
    if config.clip_norm:
        stages.append(optax.clip_by_global_norm(config.clip_norm))
    if config.optimizer == "adam":
        stages.append(optax.scale_by_adam())
    elif config.momentum:
        stages.append(optax.trace(config.momentum))
    if config.weight_decay:
        stages.append(optax.add_decayed_weights(config.weight_decay, mask=kernels))
    if config.localization_rate != 1:
        stages.append(optax.masked(optax.scale(config.localization_rate), localization))
    stages.append(optax.scale_by_learning_rate(make_schedule(config, steps)))
    return optax.chain(*stages)
