"""The start of a run from the parameters of another."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp

from train.errors import UserError
from train.evaluation.evaluator import load_run
from train.run.progress import log
from train.step.state import TrainState


def start_from(state: TrainState, workdir: str) -> TrainState:
    """Returns an initial state with the parameters of another run.

    Parameters are taken by name where their shapes are equal, as those of all but the last layer
    where the number of classes differs; the others keep their initial values. Step and state of
    the optimiser are those of a beginning.

    Args:
        state: the initial state.
        workdir: work directory of the other run; its best parameters are taken.

    Raises:
        UserError: if there is no such run, or none of its parameters fits.
    """
    others = load_run(Path(os.path.expanduser(workdir)), data=False).params
    taken = {
        name: others[name]
        for name, value in state.params.items()
        if name in others and others[name].shape == value.shape
    }
    new = sorted(set(state.params) - set(taken))
    if not taken:
        raise UserError(
            f"train.start_from={workdir!r} has no parameter of the same name and shape; it has "
            f"{', '.join(sorted(others)[:5])}, and this network {', '.join(new[:5])}."
        )
    more = f"; new: {', '.join(new[:5])}{', ...' if len(new) > 5 else ''}" if new else ""
    log(f"{len(taken)} of {len(state.params)} arrays of parameters are those of {workdir}{more}")
    sharding = jax.tree.map(lambda x: x.sharding, state.params)
    params = jax.device_put(state.params | taken, sharding)
    average = None if state.average is None else jax.tree.map(jnp.copy, params)
    return state._replace(params=params, average=average)
