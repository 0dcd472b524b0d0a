"""The pure train and evaluation steps, written for a mesh of devices.

Each device takes its share of the batch: it distorts its images, runs the network and takes the
gradient. One sum over the devices then joins gradients and metrics; it is the only communication.
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
from train.batches import Batch
from train.config import Config, DataConfig, OptimConfig
from train.devices import AXIS
from train.distortions import distorted_batch
from train.network import Network, Params
from train.optim import is_localization


class Data(NamedTuple):
    """One split on the devices: ``images`` (n, h, w, c) uint8, ``labels`` (n,) int32."""

    images: Array
    labels: Array


class Fault(NamedTuple):
    """The first step at which a number was not finite.

    Attributes:
        step: that step, or -1.
        flags: which of `fault_names` it was.
    """

    step: Array
    flags: Array


class TrainState(NamedTuple):
    """All that a step changes, and all that resuming needs.

    Attributes:
        step: number of steps done.
        params: parameters by name.
        average: running average of the parameters, or None.
        opt_state: the optimiser's.
        totals: sums of the metrics since they were last logged.
        fault: what went bad first.
    """

    step: Array
    params: Params
    average: Params | None
    opt_state: optax.OptState
    totals: dict[str, Array]
    fault: Fault

    @property
    def judged(self) -> Params:
        """The parameters that evaluation uses: the average, where one is kept."""
        return self.params if self.average is None else self.average


class Outcome(NamedTuple):
    """What came of each image of a batch, ``(b,)`` each; the last two None without a transformer.

    Attributes:
        loss: cross-entropy, without smoothing and penalties.
        predicted: the label with the largest logit.
        error: 1 where that label is wrong, else 0.
        outside: fraction of the grid's points outside the image.
        theta_distance: Euclidean distance of theta from the identity.
    """

    loss: Array
    predicted: Array
    error: Array
    outside: Array | None
    theta_distance: Array | None


def judge(network: Network, prediction: Prediction, labels: Array) -> Outcome:
    """Compares a prediction with the labels; of several transformers the mean is taken."""
    loss = optax.softmax_cross_entropy_with_integer_labels(prediction.logits, labels)
    predicted = jnp.argmax(prediction.logits, axis=-1).astype(labels.dtype)
    error = (predicted != labels).astype(jnp.float32)
    if network.identity is None:
        return Outcome(loss, predicted, error, None, None)
    outside, distance = jnp.zeros_like(loss), jnp.zeros_like(loss)
    for warp in prediction.warps:
        axes = jnp.unstack(warp.grid, axis=-1)
        left = functools.reduce(jnp.logical_or, [jnp.abs(x) > 1 for x in axes])
        outside += jnp.mean(left.astype(jnp.float32), axis=(1, 2))
        distance += jnp.linalg.norm(warp.theta - network.identity, axis=-1)
    count = len(prediction.warps)
    return Outcome(loss, predicted, error, outside / count, distance / count)


def make_objective(
    network: Network, config: OptimConfig
) -> Callable[[Params, Array, Array, Array | None], tuple[Array, dict[str, Array]]]:
    """Returns ``(params, images, labels, keys) -> (objective, metrics)``, sums over the images."""

    def objective(
        params: Params, images: Array, labels: Array, keys: Array | None
    ) -> tuple[Array, dict[str, Array]]:
        prediction = network(params, images, keys)
        with jax.named_scope("loss"):
            return compare(prediction, labels)

    def compare(prediction: Prediction, labels: Array) -> tuple[Array, dict[str, Array]]:
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
        outcome = judge(network, prediction, labels)._asdict()
        del outcome["predicted"]
        metrics = {name: jnp.sum(value) for name, value in outcome.items() if value is not None}
        return jnp.sum(cost), metrics

    return objective


def fault_names(params: Params) -> list[str]:
    """Returns the names that `Fault.flags` stands for."""
    gradients = [f"the gradient of {name}" for name in sorted(params)]
    return ["the loss", "theta", *gradients, "the update of the parameters"]


def make_init(
    network: Network, optimizer: optax.GradientTransformation, config: Config, mesh: Mesh
) -> Callable[[], TrainState]:
    """Returns the compiled ``() -> state``, the state before the first step.

    `jax.eval_shape` of it tells a checkpoint's shapes.
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
            fault=Fault(jnp.full((), -1, jnp.int32), jnp.zeros(len(fault_names(params)), bool)),
        )

    # It runs once, and random numbers take XLA:CPU long to optimise: 1.6 s instead of 5.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return jax.jit(init, out_shardings=NamedSharding(mesh, P()), compiler_options=options)


def make_train_step(
    network: Network, optimizer: optax.GradientTransformation, config: Config, mesh: Mesh
) -> Callable[[TrainState, Data, Batch], TrainState]:
    """Returns the compiled step ``(state, data, batch) -> state``; it consumes the state.

    It does as many optimiser steps as the batch has rows: one plainly, several in a `lax.scan`,
    which saves dispatch on accelerators (on a CPU a loop body is compiled to slower code).
    """
    objective = make_objective(network, config.optim)
    size = config.train.batch_size

    def share(
        params: Params, data: Data, indices: Array, epoch: Array
    ) -> tuple[Params, dict[str, Array]]:
        """One device's part: mean gradient and metrics, summed over all devices."""
        key = jax.random.fold_in(jax.random.key(config.train.seed), epoch)
        with jax.named_scope("distortion"):
            images = distorted_batch(
                key, data.images, indices, config.data.distortion, config.data.canvas
            )
            images = materialize_input(images)
        keys = None
        if network.draws:  # by other numbers than the distortion's, which is drawn from key itself
            keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.split(key)[1], indices)
        # A gradient with respect to parameters known to be equal on all devices would be summed
        # over devices array by array; so they are declared different, and summed once below.
        params = lax.pcast(params, AXIS, to="varying")
        (cost, metrics), gradients = jax.value_and_grad(objective, has_aux=True)(
            params, images, data.labels[indices], keys
        )
        mine = jax.tree.map(lambda x: x / size, (gradients, metrics | {"cost": cost}))
        return lax.psum(mine, AXIS)

    everywhere = jax.shard_map(
        share, mesh=mesh, in_specs=(P(), P(), P(AXIS), P()), out_specs=(P(), P())
    )

    def one(state: TrainState, data: Data, batch: Batch) -> TrainState:
        gradients, metrics = everywhere(state.params, data, batch.indices, batch.epoch)
        squares = {name: jnp.sum(g * g) for name, g in gradients.items()}
        metrics["grad_norm"] = jnp.sqrt(sum(squares.values()))
        if network.identity is not None:
            ours = [square for name, square in squares.items() if is_localization(name)]
            metrics["localization_grad_norm"] = jnp.sqrt(sum(ours))

        with jax.named_scope("optimizer"):
            updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)

        average = state.average
        if average is not None:  # begins as a plain mean, for the first weights are worth nothing
            with jax.named_scope("average"):
                step = state.step.astype(jnp.float32)
                decay = jnp.minimum(config.train.average, (1 + step) / (10 + step))
                average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)

        suspects = [metrics["cost"], metrics.get("theta_distance", metrics["cost"])]
        suspects += [squares[name] for name in sorted(squares)] + [optax.tree.norm(updates)]
        flags = ~jnp.isfinite(jnp.stack(suspects))
        first = (state.fault.step < 0) & jnp.any(flags)
        fault = jax.tree.map(
            lambda new, old: jnp.where(first, new, old), Fault(state.step + 1, flags), state.fault
        )
        totals = {name: total + metrics[name] for name, total in state.totals.items()}
        return TrainState(state.step + 1, params, average, opt_state, totals, fault)

    def several(state: TrainState, data: Data, batch: Batch) -> TrainState:
        if batch.epoch.shape[0] == 1:
            return one(state, data, jax.tree.map(lambda x: x[0], batch))
        return lax.scan(lambda state, batch: (one(state, data, batch), None), state, batch)[0]

    return jax.jit(several, donate_argnums=0)


def make_eval_step(
    network: Network, config: DataConfig, mesh: Mesh
) -> Callable[[Params, Data, Array, Array], Outcome]:
    """Returns the compiled ``(params, data, seed, indices) -> outcome`` of each image."""

    def share(params: Params, data: Data, seed: Array, indices: Array) -> Outcome:
        images = distorted_batch(
            jax.random.key(seed), data.images, indices, config.distortion, config.canvas
        )
        return judge(network, network(params, images), data.labels[indices])

    everywhere = jax.shard_map(
        share, mesh=mesh, in_specs=(P(), P(), P(), P(AXIS)), out_specs=P(AXIS)
    )
    return jax.jit(everywhere, out_shardings=NamedSharding(mesh, P()))


class View(NamedTuple):
    """A few images and what the network made of them; without a transformer the last are None.

    Attributes:
        images: ``(b, h, w, c)``, as the network sees them.
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


def look(network: Network, params: Params, images: Array) -> View:
    """Runs the network and keeps what its first transformer did."""
    prediction = network(params, images)
    probabilities = jax.nn.softmax(prediction.logits)
    if not prediction.warps:
        return View(images, probabilities, None, None, None)
    warp = prediction.warps[0]
    return View(images, probabilities, warp.theta, warp.grid, warp.features)


def make_view_step(
    network: Network, config: DataConfig
) -> Callable[[Params, Data, Array, Array], View]:
    """Returns the compiled ``(params, data, seed, indices) -> view``, for figures."""

    def view(params: Params, data: Data, seed: Array, indices: Array) -> View:
        key = jax.random.key(seed)
        return look(
            network,
            params,
            distorted_batch(key, data.images, indices, config.distortion, config.canvas),
        )

    return jax.jit(view)
