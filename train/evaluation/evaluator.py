"""Evaluation of a network on a split of the data, during training and afterwards."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from train.data.batches import Rows
from train.data.dataset import Arrays
from train.data.reader import Reader
from train.errors import UserError
from train.evaluation.other_data import with_data
from train.evaluation.predictor import check_batch_size
from train.experiment import Experiment
from train.run.checkpoints import Checkpoints
from train.run.devices import AXIS, part_of_process, put, replicate
from train.run.progress import log
from train.run.workdir import check_data, read_config, read_spec
from train.step.state import Params
from train.step.step import Evaluated, Visualization, make_eval_step, make_visualize_step

SEEDS = {"train": 1, "valid": 2, "test": 3}
"""Seed of each split's distortions: every example has one fixed distortion, in all runs."""

MAX_VISUALIZED = 16
"""Largest number of examples in a `Visualization`; smaller ones are padded to it."""


class Evaluator:
    """Evaluates parameters of an experiment's network on the splits of its data.

    Args:
        experiment: the experiment, with its data.
    """

    def __init__(self, experiment: Experiment):
        assert experiment.data is not None
        self.experiment = experiment
        self.mesh = experiment.mesh
        self.arrays: dict[str, Arrays] = dict(experiment.data.splits)
        self.readers = {s: experiment.reader(s, jax.random.key) for s in self.arrays}
        others = experiment.task.others
        self.samples = {s: Reader(x, others, jax.random.key) for s, x in self.arrays.items()}
        self.on_devices: dict[str, Rows | None] = {}
        self.seeds = {split: replicate(np.uint32(seed), self.mesh) for split, seed in SEEDS.items()}
        self.eval_step = make_eval_step(experiment.network, experiment.task, self.mesh)
        self.visualize_step = make_visualize_step(experiment.network, experiment.task)

    @property
    def final_split(self) -> str:
        """The split that is looked at once, when a run is finished: test where there is one."""
        return next(split for split in ("test", "valid", "train") if split in self.arrays)

    def data(self, split: str) -> Rows | None:
        """Returns the arrays of a split on the devices, sent once; None if read by index."""
        if split not in self.on_devices:
            self.on_devices[split] = self.experiment.arrays(split)
        return self.on_devices[split]

    def evaluate(self, params: Params, split: str, batch_size: int) -> Evaluated:
        """Returns metrics and outputs of every example of a split as NumPy arrays.

        All processes call this, and each has the whole result.

        Args:
            params: parameters of the network, each on every device.
            split: "train", "valid" or "test".
            batch_size: examples for each step, rounded up to a multiple of the devices. The result
                does not depend on it; the last batch is padded to avoid a second compilation.
        """
        count, devices = self.experiment.spec.counts[split], self.mesh.shape[AXIS]
        size = -(-min(batch_size, count) // devices) * devices
        sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))
        every = np.minimum(np.arange(-(-count // size) * size), count - 1).astype(np.int32)
        every = every.reshape(-1, size)[:, part_of_process(sharding, size)]
        rows: Any = itertools.repeat(None)
        reader, batches = self.readers[split], []
        if reader is not None:
            rows = reader((np.uint32(SEEDS[split]), indices) for indices in every)
        for batch in zip(every, rows, strict=False):
            batch = put(batch, sharding)
            batches.append(self.eval_step(params, self.data(split), self.seeds[split], *batch))
            if reader is not None:  # at most two batches of rows on the devices
                jax.block_until_ready(batches[-2:][0])
        batches = jax.device_get(batches)
        evaluated: Evaluated = jax.tree.map(lambda *a: np.concatenate(a)[:count], *batches)
        return evaluated

    def summarize(self, evaluated: Evaluated) -> dict[str, float]:
        """Returns the mean of each metric over all examples, in the units of its table."""
        metrics = evaluated.metrics.items()
        means = {name: np.mean(values, dtype=np.float64) for name, values in metrics}
        return self.experiment.task.scale(means)

    def visualize(self, params: Params, split: str, indices: np.ndarray) -> Visualization:
        """Returns up to `MAX_VISUALIZED` examples of a split and the network's output.

        One device of this process computes it, so a process may call this alone.

        Args:
            params: parameters of the network, each on every device.
            split: "train", "valid" or "test".
            indices: numbers of the examples.
        """
        padded = np.resize(np.asarray(indices, np.int32), MAX_VISUALIZED)  # one shape, one program
        reader, seed = self.samples[split], np.uint32(SEEDS[split])
        rows = reader.read(reader.find_rows(seed, padded))
        here = jax.tree.map(lambda array: array.addressable_data(0), params)
        arguments = jax.device_put((here, seed, padded, rows), self.mesh.local_devices[0])
        padded_shown = jax.device_get(self.visualize_step(*arguments))
        shown: Visualization = jax.tree.map(lambda x: x[: len(indices)], padded_shown)
        return shown


class Run(NamedTuple):
    """A trained network, loaded from its work directory.

    Attributes:
        experiment: what it was trained with.
        params: parameters with the lowest validation metric, or the last without validation.
        step: the step of these parameters.
    """

    experiment: Experiment
    params: Params
    step: int


def load_run(workdir: Path, *, data: bool) -> Run:
    """Loads a trained network.

    Args:
        workdir: work directory of a run.
        data: whether its data are loaded too.

    Raises:
        UserError: if the directory has no trained network, or its data have changed.
    """
    config, spec = read_config(workdir), read_spec(workdir)
    run = dataclasses.replace(config.train, mesh=(0, 1))  # of the devices that there are now
    config = dataclasses.replace(config, train=run)
    experiment = Experiment.from_config(config, spec=None if data else spec)
    if data:
        check_data(workdir, experiment.spec)
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    which = "last" if checkpoints.step("best") is None else "best"
    state, _ = checkpoints.restore(which, experiment.abstract_state, experiment.mesh)
    checkpoints.close()
    return Run(experiment, state.eval_params, int(state.step))


def evaluate(workdir: Path, split: str, batch_size: int, data: str | None = None) -> int:
    """Evaluates a trained network and prints the result; the verb ``evaluate``.

    Args:
        workdir: work directory of a run.
        split: "train", "valid" or "test".
        data: name of other images, or the place of the run's data if they have moved.
        batch_size: examples for each step; 0 uses the run's.

    Returns:
        The exit code.

    Raises:
        UserError: if there is no such run or split.
    """
    check_batch_size(batch_size)
    run = load_run(workdir, data=data is None)
    if data is not None:
        run = run._replace(experiment=with_data(run.experiment, data))
    experiment, evaluator = run.experiment, Evaluator(run.experiment)
    if split not in evaluator.arrays:
        splits = ", ".join(evaluator.arrays)
        raise UserError(f"--split {split} is empty; the data have {splits}.")
    evaluated = evaluator.evaluate(
        run.params, split, batch_size or experiment.config.train.eval_batch_size
    )
    numbers, task = evaluator.summarize(evaluated), experiment.task
    details = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
    log(f"{split} {task.monitor} {task.headline(evaluated.metrics)}, step {run.step:,}  {details}")
    for name, values in task.report(evaluated).items():
        if isinstance(values, dict):
            log(f"{name.replace('_', ' ')}: " + "  ".join(f"{k} {v:g}" for k, v in values.items()))
    return 0
