"""The optimiser as one optax chain, put together from the config."""

import optax

from train.config import OptimConfig
from train.network import Params


def is_localization(name: str) -> bool:
    """Says whether a parameter belongs to a localization network, by its name."""
    return "localization" in name


def make_schedule(config: OptimConfig, steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the step: a linear warm-up, then ``schedule``.

    Args:
        config: peak, schedule and warm-up.
        steps: length of the run; cosine and linear reach 0 there.
    """
    peak, rest = config.learning_rate, max(1, steps - config.warmup_steps)
    after = {
        "constant": lambda: optax.constant_schedule(peak),
        "cosine": lambda: optax.cosine_decay_schedule(peak, rest),
        "linear": lambda: optax.linear_schedule(peak, 0.0, rest),
        "step": lambda: optax.exponential_decay(
            peak, config.decay_every, config.decay_factor, staircase=True
        ),
    }[config.schedule]()
    if not config.warmup_steps:
        return after
    rise = optax.linear_schedule(0.0, peak, config.warmup_steps)
    return optax.join_schedules([rise, after], [config.warmup_steps])


def make_optimizer(config: OptimConfig, steps: int) -> optax.GradientTransformation:
    """Returns: clip, then Adam or momentum, weight decay, the localization's rate, the schedule."""

    def localization(params: Params) -> dict[str, bool]:
        return {name: is_localization(name) for name in params}

    def kernels(params: Params) -> dict[str, bool]:
        return {name: value.ndim > 1 for name, value in params.items()}

    parts = []
    if config.clip_norm:
        parts.append(optax.clip_by_global_norm(config.clip_norm))
    if config.optimizer == "adam":
        parts.append(optax.scale_by_adam())
    elif config.momentum:
        parts.append(optax.trace(config.momentum))
    if config.weight_decay:
        parts.append(optax.add_decayed_weights(config.weight_decay, mask=kernels))
    if config.localization_rate != 1:
        parts.append(optax.masked(optax.scale(config.localization_rate), localization))
    parts.append(optax.scale_by_learning_rate(make_schedule(config, steps)))
    return optax.chain(*parts)
