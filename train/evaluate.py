"""Judging a network on a split of the data, in training and afterwards."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from train.checkpoints import Checkpoints
from train.config import Config, DataConfig
from train.data import Dataset, load
from train.devices import AXIS, make_mesh, replicate
from train.distortions import canvas_shape
from train.errors import UserError
from train.network import Network, Params, build_network
from train.optim import make_optimizer
from train.progress import say
from train.step import Data, Outcome, View, make_eval_step, make_init, make_view_step
from train.workdir import check_data, load_config, read_task

SEEDS = {"train": 1, "valid": 2, "test": 3}
"""Each split is judged under one fixed distortion of every image, the same in all runs."""


VIEW = 16
"""Largest number of images that are looked at."""


def input_shape(config: DataConfig, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Returns the shape ``(h, w, c)`` of a distorted image, which is what the network sees.

    Raises:
        UserError: if images and canvas do not fit each other.
    """
    try:
        height, width = canvas_shape(config.distortion, config.canvas, image_shape)
    except ValueError as error:
        raise UserError(str(error)) from error
    return height, width, image_shape[2]


class Judge:
    """Judges parameters of a network on the splits of a dataset.

    Args:
        network: the network.
        config: how images are distorted.
        dataset: the images and labels.
        mesh: the devices; each split is copied to all of them.
    """

    def __init__(self, network: Network, config: DataConfig, dataset: Dataset, mesh: Mesh):
        self.dataset = dataset
        self.mesh = mesh
        self.data: dict[str, Data] = {
            split: Data(*replicate((self._images(split), self.labels(split)), mesh))
            for split in SEEDS
            if len(self.labels(split))
        }
        self.seeds = {split: replicate(np.uint32(seed), mesh) for split, seed in SEEDS.items()}
        self.eval_step = make_eval_step(network, config, mesh)
        self.view_step = make_view_step(network, config)

    def _images(self, split: str) -> np.ndarray:
        return getattr(self.dataset, f"x_{split}")

    def labels(self, split: str) -> np.ndarray:
        """Returns the labels of a split."""
        return getattr(self.dataset, f"y_{split}")

    def outcome(self, params: Params, split: str, batch_size: int) -> Outcome:
        """Returns what came of every image of a split, in NumPy.

        Args:
            params: parameters of the network.
            split: "train", "valid" or "test".
            batch_size: images of one step, rounded up to a multiple of the devices; the outcome
                does not depend on it, but the last batch is filled up, so that one program serves.
        """
        count, devices = len(self.labels(split)), self.mesh.size
        size = -(-min(batch_size, count) // devices) * devices
        spread = NamedSharding(self.mesh, PartitionSpec(AXIS))  # type: ignore[arg-type]
        outcomes = []
        for start in range(0, count, size):
            indices = np.minimum(np.arange(start, start + size), count - 1).astype(np.int32)
            indices = jax.device_put(indices, spread)
            outcomes.append(self.eval_step(params, self.data[split], self.seeds[split], indices))
        parts = jax.device_get(outcomes)
        return jax.tree.map(lambda *arrays: np.concatenate(arrays)[:count], *parts)

    def view(self, params: Params, split: str, indices: np.ndarray) -> View:
        """Returns a few images of a split, up to `VIEW`, and what the network made of them."""
        padded = np.resize(np.asarray(indices, np.int32), VIEW)  # so that one program serves
        where = replicate(padded, self.mesh)
        view = self.view_step(params, self.data[split], self.seeds[split], where)
        return jax.tree.map(lambda array: array[: len(indices)], jax.device_get(view))


def summarize(outcome: Outcome) -> dict[str, float]:
    """Returns the means over all images; the error in percent."""
    means = {
        name: float(np.mean(values, dtype=np.float64))
        for name, values in outcome._asdict().items()
        if values is not None and name != "predicted"
    }
    return means | {"error": 100 * means["error"]}


class Run(NamedTuple):
    """A trained network, from its work directory.

    Attributes:
        config: how it was trained.
        task: what `workdir.describe_data` says of its data.
        network: the network.
        params: its parameters: the best of validation where there was one, else the last.
        step: the step they are of.
        mesh: the devices.
    """

    config: Config
    task: dict[str, Any]
    network: Network
    params: Params
    step: int
    mesh: Mesh


def load_run(workdir: Path) -> Run:
    """Loads a trained network; it needs no data.

    Raises:
        UserError: if there is none.
    """
    config, task, mesh = load_config(workdir), read_task(workdir), make_mesh()
    shape, classes = tuple(task["input_shape"]), len(task["class_names"])
    network = build_network(config.model, shape, classes, config.train.seed)
    optimizer = make_optimizer(config.optim, config.train.steps)
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    which = "last" if checkpoints.step("best") is None else "best"
    like = jax.eval_shape(make_init(network, optimizer, config, mesh))
    state, _ = checkpoints.restore(which, like, mesh)
    checkpoints.close()
    return Run(config, task, network, state.judged, int(state.step), mesh)


def load_judge(workdir: Path) -> tuple[Run, Judge]:
    """Loads a trained network and its data, to judge it again.

    Raises:
        UserError: if there is no run, or its data are no longer what they were.
    """
    run = load_run(workdir)
    dataset = load(run.config.data)
    check_data(workdir, dataset, tuple(run.task["input_shape"]))
    return run, Judge(run.network, run.config.data, dataset, run.mesh)


def evaluate(workdir: Path, split: str, batch_size: int) -> int:
    """Judges a trained network again and prints the result; the verb ``evaluate``.

    Args:
        workdir: work directory of a run.
        split: "train", "valid" or "test".
        batch_size: images of one step; 0 takes the run's.

    Returns:
        The exit code.

    Raises:
        UserError: if there is no such run or split.
    """
    if batch_size < 0:
        raise UserError(f"--batch-size {batch_size} does not fit; it must be above 0.")
    run, judge = load_judge(workdir)
    if split not in judge.data:
        raise UserError(f"--split {split} is empty, for the run has data.valid_fraction=0.0.")
    outcome = judge.outcome(run.params, split, batch_size or run.config.train.eval_batch_size)
    numbers = summarize(outcome)
    wrong, count = int(outcome.error.sum()), len(outcome.error)
    details = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items() if name != "error")
    say(
        f"{split} error {numbers['error']:.2f} % ({wrong} of {count:,} images), step {run.step:,}  "
        f"{details}"
    )
    return 0
