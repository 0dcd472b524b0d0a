"""Evaluation of a network on a split of the data, during training and afterwards."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from train.config.parts import Config, DataConfig
from train.data import Dataset, load
from train.data.distortions import canvas_shape
from train.errors import UserError
from train.run.checkpoints import Checkpoints
from train.run.devices import AXIS, make_mesh, replicate
from train.run.progress import log
from train.run.workdir import check_data, read_config, read_task
from train.step.network import Network, Params, build_network
from train.step.optimizer import make_optimizer
from train.step.step import (
    Data,
    ExampleMetrics,
    Visualization,
    make_eval_step,
    make_init,
    make_visualize_step,
)

SEEDS = {"train": 1, "valid": 2, "test": 3}
"""Seed of each split's distortions: every image has one fixed distortion, the same in all runs."""

MAX_VISUALIZED = 16
"""Largest number of images in a `Visualization`; smaller ones are padded to it."""


def input_shape(config: DataConfig, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Returns the shape ``(h, w, c)`` of a distorted image, the network's input.

    Raises:
        UserError: if the canvas is smaller than the images.
    """
    try:
        height, width = canvas_shape(config.distortion, config.canvas, image_shape)
    except ValueError as error:
        raise UserError(str(error)) from error
    return height, width, image_shape[2]


class Evaluator:
    """Evaluates parameters of a network on the splits of a dataset.

    Args:
        network: the network.
        config: distortion and canvas.
        dataset: the images and labels.
        mesh: the devices; each split is replicated over them.
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
        self.visualize_step = make_visualize_step(network, config)

    def _images(self, split: str) -> np.ndarray:
        return getattr(self.dataset, f"x_{split}")

    def labels(self, split: str) -> np.ndarray:
        """Returns the labels of a split."""
        return getattr(self.dataset, f"y_{split}")

    def example_metrics(self, params: Params, split: str, batch_size: int) -> ExampleMetrics:
        """Returns the metrics of every image of a split as NumPy arrays.

        Args:
            params: parameters of the network.
            split: "train", "valid" or "test".
            batch_size: images for each step, rounded up to a multiple of the devices. The result
                does not depend on it; the last batch is padded to avoid a second compilation.
        """
        count, devices = len(self.labels(split)), self.mesh.size
        size = -(-min(batch_size, count) // devices) * devices
        sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))  # type: ignore[arg-type]
        batches = []
        for start in range(0, count, size):
            indices = np.minimum(np.arange(start, start + size), count - 1).astype(np.int32)
            indices = jax.device_put(indices, sharding)
            batches.append(self.eval_step(params, self.data[split], self.seeds[split], indices))
        batches = jax.device_get(batches)
        return jax.tree.map(lambda *arrays: np.concatenate(arrays)[:count], *batches)

    def visualize(self, params: Params, split: str, indices: np.ndarray) -> Visualization:
        """Returns up to `MAX_VISUALIZED` images of a split and the network's output."""
        padded = np.resize(np.asarray(indices, np.int32), MAX_VISUALIZED)  # one shape, one program
        arguments = self.data[split], self.seeds[split], replicate(padded, self.mesh)
        shown = jax.device_get(self.visualize_step(params, *arguments))
        return jax.tree.map(lambda array: array[: len(indices)], shown)


def summarize(per_image: ExampleMetrics) -> dict[str, float]:
    """Returns the mean of each metric over all images, the error in percent."""
    means = {
        name: float(np.mean(values, dtype=np.float64))
        for name, values in per_image._asdict().items()
        if values is not None and name != "predicted"
    }
    return means | {"error": 100 * means["error"]}


class Run(NamedTuple):
    """A trained network, loaded from its work directory.

    Attributes:
        config: the config it was trained with.
        task: the description of its data, see `workdir.describe_data`.
        network: the network.
        params: parameters with the lowest validation error, or the last without validation.
        step: the step of these parameters.
        mesh: the devices.
    """

    config: Config
    task: dict[str, Any]
    network: Network
    params: Params
    step: int
    mesh: Mesh


def load_run(workdir: Path) -> Run:
    """Loads a trained network, without its data.

    Raises:
        UserError: if the directory has no trained network.
    """
    config, task, mesh = read_config(workdir), read_task(workdir), make_mesh()
    shape, classes = tuple(task["input_shape"]), len(task["class_names"])
    network = build_network(config.model, shape, classes, config.train.seed)
    optimizer = make_optimizer(config.optim, config.train.steps)
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    which = "last" if checkpoints.step("best") is None else "best"
    abstract_state = jax.eval_shape(make_init(network, optimizer, config, mesh))
    state, _ = checkpoints.restore(which, abstract_state, mesh)
    checkpoints.close()
    return Run(config, task, network, state.eval_params, int(state.step), mesh)


def load_evaluator(workdir: Path) -> tuple[Run, Evaluator]:
    """Loads a trained network and its data, to evaluate it again.

    Raises:
        UserError: if there is no run, or its data have changed.
    """
    run = load_run(workdir)
    dataset = load(run.config.data)
    check_data(workdir, dataset, tuple(run.task["input_shape"]))
    return run, Evaluator(run.network, run.config.data, dataset, run.mesh)


def evaluate(workdir: Path, split: str, batch_size: int) -> int:
    """Evaluates a trained network and prints the result; the verb ``evaluate``.

    Args:
        workdir: work directory of a run.
        split: "train", "valid" or "test".
        batch_size: images for each step; 0 uses the run's.

    Returns:
        The exit code.

    Raises:
        UserError: if there is no such run or split.
    """
    if batch_size < 0:
        raise UserError(
            f"--batch-size {batch_size} is not allowed; it must be 0 (the run's) or above."
        )
    run, evaluator = load_evaluator(workdir)
    if split not in evaluator.data:
        raise UserError(f"--split {split} is empty: the run has data.valid_fraction=0.0.")
    size = batch_size or run.config.train.eval_batch_size
    per_image = evaluator.example_metrics(run.params, split, size)
    numbers = summarize(per_image)
    wrong, count = int(per_image.error.sum()), len(per_image.error)
    details = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items() if name != "error")
    log(
        f"{split} error {numbers['error']:.2f} % ({wrong} of {count:,} images), step {run.step:,}  "
        f"{details}"
    )
    return 0
