"""Config -> data, devices, task, network, optimiser, step: said once, for every verb and test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from train.config.config import Config
from train.data.batches import Batch, Batches, Rows, check_batch, epoch_key, steps_per_dispatch
from train.data.dataset import Data, DataSpec, describe, reads_by_index, report
from train.data.reader import Reader
from train.errors import UserError
from train.run.devices import AXIS, make_mesh, replicate
from train.step.state import Network, TrainState, build_network, make_init
from train.step.step import make_train_step, step_metrics
from train.tasks.task import Task


@dataclass(frozen=True)
class Experiment:
    """Everything that a config names, built.

    Attributes:
        config: the config.
        spec: description of the data.
        data: the data on the host; None where they were not loaded.
        mesh: the devices.
        task: what is learned.
        network: the network, as a function of its parameters.
        optimizer: optax's transformation.
        schedule: the learning rate by step.
        init: the compiled function that returns the initial state.
        abstract_state: shapes, dtypes and shardings of the training state.
    """

    config: Config
    spec: DataSpec
    data: Data | None
    mesh: Mesh
    task: Task
    network: Network
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    init: Callable[[], TrainState]
    abstract_state: TrainState

    @classmethod
    def from_config(
        cls,
        config: Config,
        *,
        spec: DataSpec | None = None,
        devices: Sequence[jax.Device] | None = None,
    ) -> "Experiment":
        """Builds the parts of a config, each from what it depends on.

        Args:
            config: the config.
            spec: description of the data, if they need not be loaded.
            devices: the devices; None is those of all processes.

        Raises:
            UserError: for parts that do not fit together.
        """
        try:
            optimizer, schedule = config.optim.build(config.train.steps)
            data = None
            if spec is None:
                data = config.data.build()
                spec = describe(data)
            mesh = make_mesh(devices, config.train.mesh)
            check_batch(config.train.batch_size, spec.counts["train"], mesh.shape[AXIS])
            task = config.task.build(spec, config.distortion)
        except ValueError as error:
            raise UserError(str(error)) from error
        network = build_network(
            config.model,
            task.input_shape,
            task.num_outputs,
            config.train.seed,
            config.train.precision,
        )
        metrics = step_metrics(network, task, spec)
        average = bool(config.train.average)
        init, abstract_state = make_init(network, optimizer, metrics, mesh, average=average)
        return cls(
            *(config, spec, data, mesh, task, network, optimizer, schedule, init, abstract_state)
        )

    @cached_property
    def train_step(self) -> Callable[[TrainState, Rows | None, Batch], TrainState]:
        """The compiled training step."""
        run = self.config.train
        return make_train_step(
            self.network,
            self.task,
            self.optimizer,
            self.mesh,
            batch_size=run.batch_size,
            seed=run.seed,
            average=run.average,
        )

    @cached_property
    def batches(self) -> Batches:
        """The images of each step: their indices, and where they are read by index their rows."""
        run = self.config.train
        reader = self.reader("train", partial(epoch_key, run.seed)) if self.data else None
        return Batches(self.spec.counts["train"], run.batch_size, run.seed, self.mesh, reader)

    @property
    def steps_per_dispatch(self) -> int:
        """Number of optimiser steps for each call of the training step."""
        return steps_per_dispatch(self.config.train, self.mesh.devices.flat[0].platform)

    def arrays(self, split: str) -> Rows | None:
        """Returns the arrays of a split on all devices; None where they are read by index."""
        assert self.data is not None
        arrays = self.data.splits[split]
        return None if reads_by_index(arrays) else replicate(dict(arrays), self.mesh)

    def reader(self, split: str, make_key: Callable[[jax.Array], jax.Array]) -> Reader | None:
        """Returns what reads the rows of a split; None where they lie on the devices.

        Args:
            split: "train", "valid" or "test".
            make_key: returns the key that the step draws the split's examples from.
        """
        assert self.data is not None
        arrays = self.data.splits[split]
        return Reader(arrays, self.task.others, make_key) if reads_by_index(arrays) else None

    @property
    def parameters(self) -> int:
        """Number of parameters of the network."""
        return sum(int(np.prod(x.shape)) for x in self.abstract_state.params.values())

    def describe(self) -> list[str]:
        """Returns what is said when a run begins: lines about the data, and one about the rest."""
        shape = " x ".join(map(str, self.task.input_shape))
        model = type(self.config.model).__name__
        distortion = type(self.config.distortion).__name__
        devices = f"{self.mesh.size} x {self.mesh.devices.flat[0].device_kind}"
        rest = f"{distortion}, {shape}; {model}, {self.parameters:,} parameters; {devices}"
        return [*([] if self.data is None else report(self.data)), rest]
