"""Batches and steps: pure functions of (seed, step), the same one by one and several at once."""

import typing
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.batches import Batches
from train.cli import load_config
from train.config import Config, ModelConfig
from train.data import Dataset, load
from train.devices import make_mesh, replicate
from train.evaluate import Judge, input_shape, summarize
from train.network import TRANSFORMS, Network, build_network
from train.optim import make_optimizer
from train.step import Data, TrainState, fault_names, make_init, make_train_step

pytestmark = pytest.mark.usefixtures("plain_numerics")


class Task(NamedTuple):
    """All that a step needs."""

    config: Config
    dataset: Dataset
    network: Network
    data: Data
    init: object
    step: object
    batches: Batches


@pytest.fixture(scope="module")
def task(tiny_config: Path, compilation_cache: Path) -> Task:
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        config = load_config(tiny_config)
        dataset, mesh = load(config.data), make_mesh()
        shape = input_shape(config.data, dataset.image_shape)
        network = build_network(config.model, shape, dataset.num_classes, config.train.seed)
        optimizer = make_optimizer(config.optim, config.train.steps)
        return Task(
            config,
            dataset,
            network,
            Data(*replicate((dataset.x_train, dataset.y_train), mesh)),
            make_init(network, optimizer, config, mesh),
            make_train_step(network, optimizer, config, mesh),
            Batches(len(dataset.y_train), config.train.batch_size, config.train.seed, mesh),
        )


def _equal(a: TrainState, b: TrainState, **tolerance: float) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **({"rtol": 0, "atol": 0} | tolerance))


def test_an_epoch_visits_every_image_once_and_the_next_in_another_order() -> None:
    batches = Batches(53, 10, seed=3, mesh=make_mesh())
    epochs = [[batches.indices(5 * epoch + i) for i in range(5)] for epoch in (0, 1)]
    orders = [np.concatenate([indices for indices, _ in epoch]) for epoch in epochs]
    assert [{number for _, number in epoch} for epoch in epochs] == [{0}, {1}]
    assert all(len(set(order.tolist())) == 50 for order in orders)
    assert not np.array_equal(*orders)
    again = Batches(53, 10, seed=3, mesh=make_mesh())
    np.testing.assert_array_equal(again.indices(7)[0], batches.indices(7)[0])
    other = Batches(53, 10, seed=4, mesh=make_mesh())
    assert not np.array_equal(other.indices(7)[0], batches.indices(7)[0])


def test_steps_are_pure_and_nothing_but_indices_travels(task: Task) -> None:
    ends = []
    for _ in range(2):
        state = task.init()
        with jax.transfer_guard("disallow"):
            for step in range(3):
                state = task.step(state, task.data, task.batches(step, 1))
        ends.append(jax.device_get(state))
    _equal(*ends)
    assert ends[0].step == 3
    assert ends[0].fault.step == -1


def test_several_steps_in_one_dispatch_are_the_same_steps(task: Task) -> None:
    one, several = task.init(), task.init()
    for step in range(4):
        one = task.step(one, task.data, task.batches(step, 1))
    several = task.step(several, task.data, task.batches(0, 4))
    _equal(one, several, rtol=1e-4, atol=1e-6)


def test_training_lowers_the_loss_and_moves_theta(task: Task) -> None:
    state = task.init()
    losses = []
    for step in range(40):
        before = float(state.totals["loss"])
        state = task.step(state, task.data, task.batches(step, 1))
        losses.append(float(state.totals["loss"]) - before)
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert float(state.totals["theta_distance"]) > 0


def test_the_running_average_follows_the_parameters(task: Task) -> None:
    state = task.init()
    first = jax.device_get(state.params)
    state = jax.device_get(task.step(state, task.data, task.batches(0, 1)))
    state = jax.device_get(task.step(replicate(state, make_mesh()), task.data, task.batches(1, 1)))
    assert state.judged is state.average
    name = "classifier.logits.bias"  # 0.1 of the first, as the decay begins at 1 / 10
    assert not np.array_equal(state.average[name], state.params[name])
    assert not np.array_equal(state.average[name], first[name])


def test_what_is_not_finite_is_named_with_its_step(task: Task) -> None:
    state = task.step(task.init(), task.data, task.batches(0, 1))
    bad = "transformer.localization.head.bias"
    state.params[bad] = state.params[bad].at[0].set(jnp.nan)
    for step in (1, 2):
        state = task.step(state, task.data, task.batches(step, 1))
    assert int(state.fault.step) == 2  # the second step, and not the third that went bad too
    names = fault_names(state.params)
    flagged = [n for n, flag in zip(names, state.fault.flags, strict=True) if flag]
    # Not the gradient of the bias: a point that is no number moves nothing.
    assert {"the loss", "theta", "the gradient of classifier.logits.kernel"} <= set(flagged), (
        flagged
    )


def test_the_outcome_does_not_depend_on_the_batch_size(task: Task) -> None:
    judge = Judge(task.network, task.config.data, task.dataset, make_mesh())
    params = task.init().params
    whole, parts = (judge.outcome(params, "test", size) for size in (21, 8))
    np.testing.assert_array_equal(whole.predicted, parts.predicted)
    np.testing.assert_allclose(whole.loss, parts.loss, rtol=1e-5)
    assert len(whole.loss) == 21
    numbers = summarize(whole)
    wrong = np.mean(whole.predicted != task.dataset.y_test)
    assert numbers["error"] == pytest.approx(100 * wrong)
    assert numbers["theta_distance"] == 0
    assert numbers["outside"] == 0


def test_every_transform_that_a_config_may_name_exists() -> None:
    hints = typing.get_type_hints(ModelConfig)
    assert set(typing.get_args(hints["transform"])) == set(TRANSFORMS)
