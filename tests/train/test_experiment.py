"""Experiments: built from a config or from a description of data, in few files."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from running import ROOT

from stn_jax.models import FCN, STN
from train.config import Config, NoDistortion, TrainConfig
from train.errors import UserError
from train.experiment import Experiment
from train.tasks.task import Metric, Task

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_a_description_of_the_data_is_enough_for_the_network(experiment: Experiment) -> None:
    again = Experiment.from_config(experiment.config, spec=experiment.spec)
    assert again.data is None
    assert again.abstract_state == experiment.abstract_state
    assert again.task.input_shape == (18, 18, 1)
    assert again.parameters == experiment.parameters


def test_parts_that_do_not_fit_are_refused(experiment: Experiment) -> None:
    config = experiment.config
    large = dataclasses.replace(config.train, batch_size=300)
    canvas = NoDistortion(canvas=5)
    for change, words in (
        ({"train": large}, "train.batch_size=300"),
        ({"distortion": canvas}, "5"),
    ):
        with pytest.raises(UserError, match=words):
            Experiment.from_config(dataclasses.replace(config, **change), spec=experiment.spec)


@dataclass(frozen=True)
class Pairs:
    """A user's data without labels: volumes in one array."""

    def build(self) -> Any:
        x = np.random.default_rng(0).random((6, 4, 4, 4, 1)).astype(np.float32)
        return SimpleNamespace(name="volumes", splits={"train": {"x": x}}, info={})


@dataclass(frozen=True)
class Difference:
    """A user's task: bring a volume to another one, drawn by the example's key."""

    def build(self, spec: Any, distortion: Any) -> Task:
        return DifferenceTask()


class DifferenceTask(Task):
    input_shape, num_outputs, others = (4, 4, 4, 2), 1, 1
    metrics = {"loss": Metric(lambda moved, fixed: jnp.mean(moved, axis=(1, 2, 3, 4)), "loss")}  # noqa: RUF012

    def example(self, key: Any, rows: Any, step: Any) -> Any:
        fixed, moving = rows["x"]
        return jnp.concatenate([fixed, moving], axis=-1), fixed

    def loss(self, prediction: Any, targets: Any) -> jax.Array:
        return jnp.mean((prediction - targets) ** 2, axis=(1, 2, 3, 4))


@dataclass(frozen=True)
class Scale:
    """A user's network on volumes."""

    def build(self, input_shape: Any, num_outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
        return nnx.Linear(2, 1, rngs=rngs)


def test_pairs_of_volumes_without_labels_are_an_experiment() -> None:
    config = Config(Scale(), data=Pairs(), task=Difference(), train=TrainConfig(batch_size=2))
    experiment = Experiment.from_config(config)
    state = experiment.init()
    state = experiment.train_step(state, experiment.arrays("train"), experiment.batches(0, 1))
    assert int(state.step) == 1
    assert {"loss", "objective", "grad_norm"} == set(state.totals)
    assert float(state.totals["objective"]) > 0


@dataclass(frozen=True)
class Summed(Difference):
    """A task whose loss forgets the examples."""

    def build(self, spec: Any, distortion: Any) -> Task:
        task = DifferenceTask()
        task.loss = lambda prediction, targets: jnp.mean(prediction)  # type: ignore[method-assign]
        return task


def test_a_loss_without_one_number_for_each_example_is_refused() -> None:
    config = Config(Scale(), data=Pairs(), task=Summed(), train=TrainConfig(batch_size=2))
    with pytest.raises(UserError, match=r"the loss has shape \(\) for a batch of 1.*\(1,\)"):
        Experiment.from_config(config)


@dataclass(frozen=True)
class Digits:
    """Data that need no reading."""

    def build(self) -> Any:
        x, y = np.zeros((8, 12, 12, 1), np.uint8), np.zeros(8, np.int32)
        info = {"class_names": ["0", "1"], "class_counts": [8, 0]}
        return SimpleNamespace(
            name="zeros", splits={"train": {"images": x, "labels": y}}, info=info
        )


def test_setting_up_a_step_touches_few_files(calls_of: Any) -> None:
    """From a config and its data to the first step, traced, compiled and run."""
    config = Config(STN(FCN((2,))), data=Digits(), train=TrainConfig(batch_size=4))

    def set_up() -> None:
        experiment = Experiment.from_config(config)
        step = experiment.train_step
        step(experiment.init(), experiment.arrays("train"), experiment.batches(0, 1))

    files = calls_of(set_up, [ROOT / "train", ROOT / "stn_jax" / "models"])
    assert Path("train/step/step.py") in files
    assert len(files) <= 12, sorted(map(str, files))


def test_devices_can_be_chosen(experiment: Experiment) -> None:
    one = Experiment.from_config(experiment.config, spec=experiment.spec, devices=jax.devices()[:1])
    assert one.mesh.size == 1
