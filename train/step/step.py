"""The pure training and evaluation steps, for a mesh of devices.

Each device distorts its shard of the batch, runs the network and computes the gradient. A single
all-reduce then sums gradients and metrics over the devices; it is the only communication.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from stn_jax.models import Prediction
from stn_jax.regularizers import outside_penalty
from stn_jax.sampling.platforms.cpu_fusion import materialize_input
from train.config.parts import Config, DataConfig, OptimConfig
from train.data.batches import Batch
from train.data.distortions import distorted_batch
from train.run.devices import AXIS, options_to_run_once
from train.step.network import Network, Params
from train.step.optimizer import is_localization


class Data(NamedTuple):
    """One split on the devices: ``images`` (n, h, w, c) uint8, ``labels`` (n,) int32."""

    images: Array
    labels: Array


class NonFinite(NamedTuple):
    """The first step with a NaN or an infinity.

    Attributes:
        step: that step, or -1 if every number was finite so far.
        flags: for each of `non_finite_names`, whether it was not finite at that step.
    """

    step: Array
    flags: Array


class TrainState(NamedTuple):
    """Everything that a step changes, which is everything that resuming needs.

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


class ExampleMetrics(NamedTuple):
    """Metrics of each image of a batch, ``(b,)`` each; the last two are None without a transformer.

    Attributes:
        loss: cross-entropy, without label smoothing or penalties.
        predicted: the label with the largest logit.
        error: 1 if that label is wrong, else 0.
        outside: fraction of grid points outside the image.
        theta_distance: Euclidean distance of theta from the identity.
    """

    loss: Array
    predicted: Array
    error: Array
    outside: Array | None
    theta_distance: Array | None


def example_metrics(network: Network, prediction: Prediction, labels: Array) -> ExampleMetrics:
    """Returns the metrics of each image, averaged over the transformers if several."""
    loss = optax.softmax_cross_entropy_with_integer_labels(prediction.logits, labels)
    predicted = jnp.argmax(prediction.logits, axis=-1).astype(labels.dtype)
    error = (predicted != labels).astype(jnp.float32)
    if network.identity is None:
        return ExampleMetrics(loss, predicted, error, None, None)
    outside, distance = jnp.zeros_like(loss), jnp.zeros_like(loss)
    for warp in prediction.warps:
        axes = jnp.unstack(warp.grid, axis=-1)
        is_outside = functools.reduce(jnp.logical_or, [jnp.abs(x) > 1 for x in axes])
        outside += jnp.mean(is_outside.astype(jnp.float32), axis=(1, 2))
        distance += jnp.linalg.norm(warp.theta - network.identity[None], axis=-1)
    count = len(prediction.warps)
    return ExampleMetrics(loss, predicted, error, outside / count, distance / count)


def make_objective(
    network: Network, config: OptimConfig
) -> Callable[[Params, Array, Array, Array | None], tuple[Array, dict[str, Array]]]:
    """Returns ``(params, images, labels, keys) -> (objective, metrics)``, summed over images."""

    def objective(
        params: Params, images: Array, labels: Array, keys: Array | None
    ) -> tuple[Array, dict[str, Array]]:
        prediction = network(params, images, keys)
        with jax.named_scope("loss"):
            return cost_and_metrics(prediction, labels)

    def cost_and_metrics(prediction: Prediction, labels: Array) -> tuple[Array, dict[str, Array]]:
        identity = 0 if network.identity is None else network.identity
        classes = prediction.logits.shape[-1]
        targets = optax.smooth_labels(
            jax.nn.one_hot(labels, classes, dtype=jnp.float32), config.label_smoothing
        )
        cost = optax.softmax_cross_entropy(prediction.logits, targets)
        for warp in prediction.warps:
            if config.outside_penalty:
                cost += config.outside_penalty * outside_penalty(warp.grid)
            if config.identity_penalty:
                distance = jnp.sum((warp.theta - identity) ** 2, axis=-1)
                cost += config.identity_penalty * distance
        per_image = example_metrics(network, prediction, labels)._asdict()
        del per_image["predicted"]
        metrics = {name: jnp.sum(value) for name, value in per_image.items() if value is not None}
        return jnp.sum(cost), metrics

    return objective


def non_finite_names(params: Params) -> list[str]:
    """Returns the name of each entry of `NonFinite.flags`."""
    gradients = [f"the gradient of {name}" for name in sorted(params)]
    return ["the loss", "theta", *gradients, "the update of the parameters"]


def make_init(
    network: Network, optimizer: optax.GradientTransformation, config: Config, mesh: Mesh
) -> Callable[[], TrainState]:
    """Returns the compiled ``() -> state`` that makes the initial state.

    `jax.eval_shape` of it gives the shapes for restoring a checkpoint.
    """

    def init() -> TrainState:
        params = network.init()
        names = ["loss", "error", "grad_norm"]
        if network.identity is not None:
            names += ["outside", "theta_distance", "localization_grad_norm"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            average=jax.tree.map(jnp.copy, params) if config.train.average else None,
            opt_state=optimizer.init(params),
            totals={name: jnp.zeros((), jnp.float32) for name in names},
            non_finite=NonFinite(
                jnp.full((), -1, jnp.int32), jnp.zeros(len(non_finite_names(params)), bool)
            ),
        )

    out = NamedSharding(mesh, P())
    return jax.jit(init, out_shardings=out, compiler_options=options_to_run_once())


def make_train_step(
    network: Network, optimizer: optax.GradientTransformation, config: Config, mesh: Mesh
) -> Callable[[TrainState, Data, Batch], TrainState]:
    """Returns the compiled step ``(state, data, batch) -> state``; the state is donated.

    Takes one optimiser step for each row of the batch. Several run in a `lax.scan`, which saves
    dispatch on accelerators; on a CPU the body of a loop compiles to slower code.
    """
    objective = make_objective(network, config.optim)
    size = config.train.batch_size

    def device_grads(
        params: Params, data: Data, indices: Array, epoch: Array
    ) -> tuple[Params, dict[str, Array]]:
        """Returns gradient and metrics of the whole batch, from this device's shard and a psum."""
        key = jax.random.fold_in(jax.random.key(config.train.seed), epoch)
        with jax.named_scope("distortion"):
            images = distorted_batch(
                key, data.images, indices, config.data.distortion, config.data.canvas
            )
            images = materialize_input(images)
        keys = None
        if network.uses_dropout:  # split: the distortion folds the indices into key itself
            keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.split(key)[1], indices)
        # The gradient of replicated parameters would be all-reduced array by array. Mark them as
        # varying, and sum everything at once below.
        params = lax.pcast(params, AXIS, to="varying")
        (cost, metrics), gradients = jax.value_and_grad(objective, has_aux=True)(
            params, images, data.labels[indices], keys
        )
        means = jax.tree.map(lambda x: x / size, (gradients, metrics | {"cost": cost}))
        return lax.psum(means, AXIS)

    sharded_grads = jax.shard_map(
        device_grads, mesh=mesh, in_specs=(P(), P(), P(AXIS), P()), out_specs=(P(), P())
    )

    def step(state: TrainState, data: Data, batch: Batch) -> TrainState:
        gradients, metrics = sharded_grads(state.params, data, batch.indices, batch.epoch)
        squares = {name: jnp.sum(g * g) for name, g in gradients.items()}
        metrics["grad_norm"] = jnp.sqrt(sum(squares.values()))
        if network.identity is not None:
            local = [square for name, square in squares.items() if is_localization(name)]
            metrics["localization_grad_norm"] = jnp.sqrt(sum(local))

        with jax.named_scope("optimizer"):
            updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)

        average = state.average
        if average is not None:  # starts with a short memory, to forget the initial parameters
            with jax.named_scope("average"):
                count = state.step.astype(jnp.float32)
                decay = jnp.minimum(config.train.average, (1 + count) / (10 + count))
                average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)

        watched = [metrics["cost"], metrics.get("theta_distance", metrics["cost"])]
        watched += [squares[name] for name in sorted(squares)] + [optax.tree.norm(updates)]
        flags = ~jnp.isfinite(jnp.stack(watched))
        first = (state.non_finite.step < 0) & jnp.any(flags)
        non_finite = jax.tree.map(
            lambda new, old: jnp.where(first, new, old),
            NonFinite(state.step + 1, flags),
            state.non_finite,
        )
        totals = {name: total + metrics[name] for name, total in state.totals.items()}
        return TrainState(state.step + 1, params, average, opt_state, totals, non_finite)

    def scan_steps(state: TrainState, data: Data, batch: Batch) -> TrainState:
        if batch.epoch.shape[0] == 1:
            return step(state, data, jax.tree.map(lambda x: x[0], batch))
        return lax.scan(lambda state, batch: (step(state, data, batch), None), state, batch)[0]

    return jax.jit(scan_steps, donate_argnums=0)


def make_eval_step(
    network: Network, config: DataConfig, mesh: Mesh
) -> Callable[[Params, Data, Array, Array], ExampleMetrics]:
    """Returns the compiled ``(params, data, seed, indices) -> metrics`` of each image."""

    def device_metrics(params: Params, data: Data, seed: Array, indices: Array) -> ExampleMetrics:
        images = distorted_batch(
            jax.random.key(seed), data.images, indices, config.distortion, config.canvas
        )
        return example_metrics(network, network(params, images), data.labels[indices])

    sharded_metrics = jax.shard_map(
        device_metrics, mesh=mesh, in_specs=(P(), P(), P(), P(AXIS)), out_specs=P(AXIS)
    )
    return jax.jit(sharded_metrics, out_shardings=NamedSharding(mesh, P()))


class Visualization(NamedTuple):
    """A few images and the network's output; without a transformer the last three are None.

    Attributes:
        images: ``(b, h, w, c)``, the network's input.
        probabilities: ``(b, classes)``.
        theta: ``(b, num_params)``.
        grid: ``(b, h', w', 2)``.
        features: ``(b, h', w', c)``.
    """

    images: Any
    probabilities: Any
    theta: Any
    grid: Any
    features: Any


def visualize(network: Network, params: Params, images: Array) -> Visualization:
    """Runs the network and returns its probabilities and the warp of its first transformer."""
    prediction = network(params, images)
    probabilities = jax.nn.softmax(prediction.logits)
    if not prediction.warps:
        return Visualization(images, probabilities, None, None, None)
    warp = prediction.warps[0]
    return Visualization(images, probabilities, warp.theta, warp.grid, warp.features)


def make_visualize_step(
    network: Network, config: DataConfig
) -> Callable[[Params, Data, Array, Array], Visualization]:
    """Returns the compiled ``(params, data, seed, indices) -> Visualization``, for figures."""

    def visualize_split(params: Params, data: Data, seed: Array, indices: Array) -> Visualization:
        key = jax.random.key(seed)
        return visualize(
            network,
            params,
            distorted_batch(key, data.images, indices, config.distortion, config.canvas),
        )

    return jax.jit(visualize_split)
