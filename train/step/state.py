"""What a training step changes, which is everything that resuming needs."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from train.run.devices import options_to_run_once
from train.step.network import Network, Params


class NonFinite(NamedTuple):
    """The first step with a NaN or an infinity.

    Attributes:
        step: that step, or -1 if every number was finite so far.
        flags: for each of `non_finite_names`, whether it was not finite at that step.
    """

    step: Array
    flags: Array


def non_finite_names(params: Params) -> list[str]:
    """Returns the name of each entry of `NonFinite.flags`."""
    gradients = [f"the gradient of {name}" for name in sorted(params)]
    return ["the loss", "theta", *gradients, "the update of the parameters"]


class TrainState(NamedTuple):
    """Everything that a step changes.

    Attributes:
        step: number of steps taken.
        params: parameters by name.
        average: running average of the parameters, or None.
        opt_state: state of the optimiser.
        totals: sums of the metrics since the last log entry.
        non_finite: the first step with a NaN or an infinity.
    """

    step: Array
    params: Params
    average: Params | None
    opt_state: optax.OptState
    totals: dict[str, Array]
    non_finite: NonFinite

    @property
    def eval_params(self) -> Params:
        """The parameters used for evaluation: the running average if there is one."""
        return self.params if self.average is None else self.average


def make_init(
    network: Network,
    transformation: optax.GradientTransformation,
    metrics: list[str],
    mesh: Mesh,
    *,
    average: bool,
) -> Callable[[], TrainState]:
    """Returns the compiled ``() -> state`` that makes the initial state.

    `jax.eval_shape` of it gives the shapes for restoring a checkpoint.

    Args:
        network: the network.
        transformation: the optimiser.
        metrics: names of the metrics of a step.
        mesh: the devices; the state is replicated over them.
        average: whether a running average of the parameters is kept.
    """

    def init() -> TrainState:
        params = network.init()
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            average=jax.tree.map(jnp.copy, params) if average else None,
            opt_state=transformation.init(params),
            totals={name: jnp.zeros((), jnp.float32) for name in metrics},
            non_finite=NonFinite(
                jnp.full((), -1, jnp.int32), jnp.zeros(len(non_finite_names(params)), bool)
            ),
        )

    out = NamedSharding(mesh, PartitionSpec())
    return jax.jit(init, out_shardings=out, compiler_options=options_to_run_once())
