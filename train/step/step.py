"""The pure training and evaluation steps, for a mesh of devices.

Each device makes the examples of its shard of the batch, runs the network and computes the
gradient. A single all-reduce then sums gradients and metrics over the devices; it is the only
communication, unless a mesh has a second axis: the compiler splits large layers along it, and
communicates for that.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from stn_jax.nn import Warp
from stn_jax.sampling.platforms import materialize_input
from train.data.batches import Batch, Rows, epoch_key, make_examples
from train.data.dataset import DataSpec
from train.errors import UserError
from train.run.devices import AXIS, MODEL_AXIS, shard_large
from train.step.optimizer import is_localization
from train.step.state import Network, NonFinite, Params, TrainState
from train.tasks.task import Task, get_warps, warp_metrics, warp_penalty

Objective = Callable[[Params, Any, Any, Array | None], tuple[Array, dict[str, Array]]]


def make_metrics(network: Network, task: Task) -> Callable[[Any, Any], dict[str, Array]]:
    """Returns ``(prediction, targets) -> metrics``, each ``(b,)``."""

    def metrics(prediction: Any, targets: Any) -> dict[str, Array]:
        table = dict(task.metrics)
        if get_warps(prediction):
            table |= warp_metrics(network)
        return {name: metric.function(prediction, targets) for name, metric in table.items()}

    return metrics


def make_objective(network: Network, task: Task) -> Objective:
    """Returns ``(params, inputs, targets, keys) -> (objective, metrics)``, summed over examples."""
    example_metrics = make_metrics(network, task)

    def objective(
        params: Params, inputs: Any, targets: Any, keys: Array | None
    ) -> tuple[Array, dict[str, Array]]:
        prediction = network(params, inputs, keys)
        with jax.named_scope("loss"):
            cost = task.loss(prediction, targets)
            batch = jax.tree.leaves(inputs)[0].shape[0]
            if cost.shape != (batch,):
                raise UserError(
                    f"task: the loss has shape {cost.shape} for a batch of {batch}; it must be one "
                    f"number for each example, ({batch},)."
                )
            cost += warp_penalty(task, network, get_warps(prediction))
            metrics = example_metrics(prediction, targets) | {"objective": cost}
            return jnp.sum(cost), {name: jnp.sum(value) for name, value in metrics.items()}

    return objective


def make_train_step(
    network: Network,
    task: Task,
    transformation: optax.GradientTransformation,
    mesh: Mesh,
    *,
    batch_size: int,
    seed: int,
    average: float,
) -> Callable[[TrainState, Rows | None, Batch], TrainState]:
    """Returns the compiled step ``(state, data, batch) -> state``; the state is donated.

    The rows of a batch are taken from ``data``, or are in the batch where the host has read them.
    Takes one optimiser step for each row of the batch. Several run in a `lax.scan`, which saves
    dispatch on accelerators; on a CPU the body of a loop compiles to slower code.
    """
    objective = make_objective(network, task)

    def device_grads(
        params: Params,
        data: Rows | None,
        indices: Array,
        rows: Rows | None,
        epoch: Array,
        step: Array,
    ) -> tuple[Params, dict[str, Array]]:
        """Returns gradient and metrics of the whole batch, from this device's shard and a psum."""
        key = epoch_key(seed, epoch)
        with jax.named_scope("distortion"):
            inputs, targets = make_examples(task, key, data, indices, step, rows)
            inputs = jax.tree.map(materialize_input, inputs)
        keys = None
        if network.uses_dropout:  # split: the distortion folds the indices into key itself
            keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.split(key)[1], indices)
        # The gradient of replicated parameters would be all-reduced array by array. Mark them as
        # varying, and sum everything at once below.
        params = lax.pcast(params, AXIS, to="varying")
        (_, metrics), gradients = jax.value_and_grad(objective, has_aux=True)(
            params, inputs, targets, keys
        )
        means = jax.tree.map(lambda x: x / batch_size, (gradients, metrics))
        total: tuple[Params, dict[str, Array]] = lax.psum(means, AXIS)
        return total

    sharded_grads = jax.shard_map(
        device_grads,
        mesh=mesh,
        in_specs=(P(), P(), P(AXIS), P(AXIS), P(), P()),
        out_specs=(P(), P()),
        axis_names={AXIS},
    )

    def step(state: TrainState, data: Rows | None, batch: Batch) -> TrainState:
        gradients, metrics = sharded_grads(
            state.params, data, batch.indices, batch.rows, batch.epoch, state.step
        )
        squares = {name: jnp.sum(g * g) for name, g in gradients.items()}
        metrics |= norms(squares)

        with jax.named_scope("optimizer"):
            updates, opt_state = transformation.update(gradients, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)

        running = state.average
        if running is not None:  # starts with a short memory, to forget the initial parameters
            with jax.named_scope("average"):
                count = state.step.astype(jnp.float32)
                decay = jnp.minimum(average, (1 + count) / (10 + count))
                running = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, running, params)

        watched = [metrics["objective"], metrics.get("theta_distance", metrics["objective"])]
        watched += [squares[name] for name in sorted(squares)] + [optax.tree.norm(updates)]
        flags = ~jnp.isfinite(jnp.stack(watched))
        first = (state.non_finite.step < 0) & jnp.any(flags)
        non_finite = jax.tree.map(
            lambda new, old: jnp.where(first, new, old),
            NonFinite(state.step + 1, flags),
            state.non_finite,
        )
        totals = {name: total + metrics[name] for name, total in state.totals.items()}
        new = TrainState(state.step + 1, params, running, opt_state, totals, non_finite)
        if MODEL_AXIS not in mesh.shape:
            return new
        sharded: TrainState = jax.tree.map(
            lambda x: lax.with_sharding_constraint(x, shard_large(x, mesh)), new
        )
        return sharded

    def scan_steps(state: TrainState, data: Rows | None, batch: Batch) -> TrainState:
        if batch.epoch.shape[0] == 1:
            return step(state, data, jax.tree.map(lambda x: x[0], batch))
        return lax.scan(lambda state, batch: (step(state, data, batch), None), state, batch)[0]

    return jax.jit(scan_steps, donate_argnums=0)


def norms(squares: dict[str, Array]) -> dict[str, Array]:
    """Returns the norm of the gradient, and of its part that belongs to localization networks."""
    found = {"grad_norm": jnp.sqrt(sum(squares.values()))}
    local = [square for name, square in squares.items() if is_localization(name)]
    return found | ({"localization_grad_norm": jnp.sqrt(sum(local))} if local else {})


def step_metrics(network: Network, task: Task, spec: DataSpec) -> list[str]:
    """Returns the names of the metrics of a training step, without running it.

    Raises:
        UserError: if the loss does not have one number for each example, or a penalty has nothing
            to do.
    """

    def abstract_metrics() -> dict[str, Array]:
        rows = {
            name: jnp.zeros((1 + task.others, *shape), dtype)
            for name, (shape, dtype) in spec.arrays.items()
        }
        example = task.example(jax.random.key(0), rows, jnp.int32(0))
        inputs, targets = jax.tree.map(lambda x: x[None], example)
        params = network.init()
        keys = jax.random.split(jax.random.key(0), 1) if network.uses_dropout else None
        _, metrics = make_objective(network, task)(params, inputs, targets, keys)
        return metrics | norms({name: jnp.sum(value) for name, value in params.items()})

    names = list(jax.eval_shape(abstract_metrics))
    for penalty in ("outside_penalty", "identity_penalty"):
        if getattr(task, penalty) and "outside" not in names:
            raise UserError(
                f"task.{penalty}={getattr(task, penalty)} has nothing to do: the network has no "
                "spatial transformer (its prediction has no warps)."
            )
    return names


class Evaluated(NamedTuple):
    """What is known of each example of a batch or split.

    Attributes:
        metrics: each ``(b,)``.
        outputs: what the task keeps of the prediction, ``(b, ...)``.
        targets: what the loss was told.
    """

    metrics: dict[str, Any]
    outputs: dict[str, Any]
    targets: Any


def make_eval_step(network: Network, task: Task, mesh: Mesh) -> Callable[..., Evaluated]:
    """Returns the compiled ``(params, data, seed, indices, rows=None) -> Evaluated``."""
    example_metrics = make_metrics(network, task)

    def device_metrics(
        params: Params, data: Rows | None, seed: Array, indices: Array, rows: Rows | None
    ) -> Evaluated:
        inputs, targets = make_examples(task, jax.random.key(seed), data, indices, None, rows)
        prediction = network(params, inputs)
        metrics = example_metrics(prediction, targets)
        return Evaluated(metrics, task.outputs(prediction), targets)

    sharded_metrics = jax.shard_map(
        device_metrics,
        mesh=mesh,
        in_specs=(P(), P(), P(), P(AXIS), P(AXIS)),
        out_specs=P(AXIS),
        axis_names={AXIS},
    )

    def eval_step(
        params: Params, data: Rows | None, seed: Array, indices: Array, rows: Rows | None = None
    ) -> Evaluated:
        return sharded_metrics(params, data, seed, indices, rows)

    return jax.jit(eval_step, out_shardings=NamedSharding(mesh, P()))


class Visualization(NamedTuple):
    """A few examples and what the network made of them.

    Attributes:
        inputs: the network's input, such as images ``(b, h, w, c)``.
        outputs: what the task keeps of the prediction.
        warps: what each transformer did; empty without one.
    """

    inputs: Any
    outputs: dict[str, Any]
    warps: tuple[Warp, ...]


def visualize(network: Network, task: Task, params: Params, inputs: Any) -> Visualization:
    """Runs the network and returns its outputs and what its transformers did."""
    prediction = network(params, inputs)
    return Visualization(inputs, task.outputs(prediction), get_warps(prediction))


def make_visualize_step(network: Network, task: Task) -> Callable[..., Visualization]:
    """Returns the compiled ``(params, seed, indices, rows) -> Visualization``."""

    def visualize_split(params: Params, seed: Array, indices: Array, rows: Rows) -> Visualization:
        inputs, _ = make_examples(task, jax.random.key(seed), None, indices, None, rows)
        return visualize(network, task, params, inputs)

    return jax.jit(visualize_split)
