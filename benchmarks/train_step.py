"""How long does a whole training step take, here and in PyTorch?

    python benchmarks/train_step.py
    python benchmarks/train_step.py --networks tutorial --repeats 31 --out train_step.json

A step distorts 256 real digits (RTS), runs the network, computes the gradient and applies Adam.
Ours is the step of ``python -m train fit``, with its metrics and checks for NaN. PyTorch's is
written as its users write it, with the fastest memory format and number of threads on this machine.
Before timing, distorted images, loss and all gradients are compared for the same weights and draws.
The gradients are compared in float64, since in float32 a point on a pixel centre may be rounded to
either side of it, where the derivatives differ.
"""

import argparse
import copy
import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from timing import Competitor, alternate, cores, milliseconds, save, verdict
from torch_networks import PaperNetwork, Tutorial, distort

from stn_jax.models import CNN, STN, ConvolutionalLocalizer, TutorialNet
from train.config import RTS, Adam, Config, Constant, TrainConfig
from train.data import Dataset, Images
from train.data.batches import make_examples
from train.experiment import Experiment
from train.run.devices import tune_malloc
from train.step.state import Params
from train.step.step import make_objective

BATCH = 256
RATE = 1e-3
TOLERANCE = 1e-4
"""Allowed norm of a difference, relative to the norm, for each array."""


def make_config(model: Any, canvas: int) -> Config:
    """Returns the config of a network on bundled digits."""
    return Config(
        model,
        data=Images("bundled", valid_fraction=0.0),
        distortion=RTS(canvas=canvas),
        optim=Adam(learning_rate=RATE, schedule=Constant()),
        train=TrainConfig(batch_size=BATCH),
    )


@dataclass(frozen=True)
class Task:
    """A network, here and in PyTorch.

    Attributes:
        title: name in the table.
        config: config of our network.
        twin: class of PyTorch's network.
        names: names of our layers in the order of PyTorch's.
    """

    title: str
    config: Config
    twin: Callable[[], torch.nn.Module]
    names: Sequence[str]


TASKS = {
    "tutorial": Task(
        "PyTorch tutorial's network, 28 x 28",
        make_config(TutorialNet(), 28),
        Tutorial,
        (
            "transformer.localization.layers.0.layers.0",
            "transformer.localization.layers.0.layers.1",
            "transformer.localization.layers.1.hidden.0",
            "transformer.localization.layers.1.head",
            "features.layers.0",
            "features.layers.1",
            "hidden",
            "logits",
        ),
    ),
    "st_cnn": Task(
        "paper's ST-CNN Aff, 42 x 42",
        make_config(STN(CNN(hidden=(160,)), ConvolutionalLocalizer()), 42),
        PaperNetwork,
        (
            "transformer.localization.layers.0.layers.0",
            "transformer.localization.layers.0.layers.1",
            "transformer.localization.layers.1.hidden.0",
            "transformer.localization.layers.1.head",
            "classifier.features.layers.0",
            "classifier.features.layers.1",
            "classifier.classifier.hidden.0",
            "classifier.classifier.logits",
        ),
    ),
}


def layers(twin: torch.nn.Module) -> list[torch.nn.Module]:
    """Lists the layers of a PyTorch network, in the order of `Task.names`."""
    return [m for m in twin.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]


def as_torch(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Converts a kernel to PyTorch's layout; ``channels`` of its flattened input maps, or 0."""
    if kernel.ndim == 4:
        return kernel.transpose(3, 2, 0, 1)
    if channels:  # pixels are flattened (h, w, c) here and (c, h, w) there
        kernel = kernel.reshape(-1, channels, kernel.shape[-1]).swapaxes(0, 1)
    return kernel.reshape(-1, kernel.shape[-1]).T


def arrays(task: Task, params: Params) -> list[np.ndarray]:
    """Lists our kernels and biases, or their gradients, in PyTorch's layout."""
    listed, channels = [], 0
    for name in task.names:
        kernel, bias = np.asarray(params[f"{name}.kernel"]), np.asarray(params[f"{name}.bias"])
        listed += [as_torch(kernel, channels), bias]
        channels = bias.size if kernel.ndim == 4 else 0
    return listed


def weights(twin: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Lists kernels and biases of a PyTorch network, in the order of `arrays`."""
    return [p for layer in layers(twin) for p in (layer.weight, layer.bias)]


class Ours:
    """The training step of ``python -m train``."""

    def __init__(self, task: Task) -> None:
        self.experiment = Experiment.from_config(task.config)
        self.network, self.batches = self.experiment.network, self.experiment.batches
        self.data = self.experiment.arrays("train")
        self.state = self.experiment.init()
        self.steps = itertools.count()

    def __call__(self) -> jax.Array:
        """Takes one training step."""
        batch = self.batches(next(self.steps), 1)
        self.state = self.experiment.train_step(self.state, self.data, batch)
        return self.state.step

    def example(self) -> tuple[Params, np.ndarray, np.ndarray, np.ndarray, jax.Array]:
        """Returns perturbed parameters, indices, draws, labels and distorted images."""
        random = np.random.default_rng(0)
        params = {
            name: value + (0.01 * random.normal(size=value.shape)).astype(np.float32)
            for name, value in jax.device_get(self.state.params).items()
        }
        indices, key = self.batches.indices(0)[0], jax.random.key(1)
        draws = jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i), (4,), minval=-1))(
            indices
        )
        task = self.experiment.task
        images, labels = make_examples(task, key, self.data, jnp.asarray(indices), None)
        return params, indices, np.asarray(draws), np.asarray(labels), images


class Theirs:
    """The training step of the same network in PyTorch."""

    def __init__(self, task: Task, dataset: Dataset, memory_format: torch.memory_format) -> None:
        self.canvas, self.memory_format = task.config.distortion.canvas, memory_format
        self.images = torch.from_numpy(dataset.x_train).permute(0, 3, 1, 2).contiguous()
        self.labels = torch.from_numpy(dataset.y_train).long()
        self.network = task.twin().to(memory_format=memory_format)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=RATE, fused=True)

    def distorted(self, indices: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Returns distorted images, the input of the network."""
        with torch.no_grad():
            images = distort(self.images[indices], draws, self.canvas)
            return images.contiguous(memory_format=self.memory_format)

    def __call__(self) -> None:
        """Takes one training step."""
        indices = torch.randint(len(self.images), (BATCH,))
        images = self.distorted(indices, torch.rand(4, BATCH) * 2 - 1)
        self.optimizer.zero_grad()
        F.cross_entropy(self.network(images), self.labels[indices]).backward()
        self.optimizer.step()


def compare(task: Task, ours: Ours, theirs: Theirs) -> float:
    """Compares distorted images, and loss and all gradients in float64, without dropout.

    Returns:
        The largest difference.

    Raises:
        SystemExit: if it exceeds the tolerance.
    """
    params, indices, draws, labels, images = ours.example()
    objective: Any = make_objective(ours.network, ours.experiment.task)
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda array: jnp.asarray(array, jnp.float64), (params, images))
        value, gradient = jax.jit(
            jax.value_and_grad(lambda params, images: objective(params, images, labels, None)[0])
        )(*exact)
        value, gradient = jax.device_get(
            jax.tree.map(lambda array: array / BATCH, (value, gradient))
        )

    twin = copy.deepcopy(theirs.network).double().eval()
    with torch.no_grad():
        for weight, array in zip(weights(twin), arrays(task, exact[0]), strict=True):
            weight.copy_(torch.tensor(array))
    distorted = theirs.distorted(torch.tensor(indices).long(), torch.tensor(draws.T))
    channels_first = torch.tensor(np.asarray(exact[1])).permute(0, 3, 1, 2)
    their_value = F.cross_entropy(twin(channels_first), torch.tensor(labels).long())
    their_value.backward()
    pairs = {
        "the distorted images": (np.asarray(images)[..., 0], distorted.numpy()[:, 0]),
        "the loss": (value, their_value.detach().numpy()),
    }
    for name, g, weight in zip(
        (f"the gradient of {name}.{kind}" for name in task.names for kind in ("kernel", "bias")),
        arrays(task, gradient),
        weights(twin),
        strict=True,
    ):
        pairs[name] = (g, weight.grad.numpy())
    differences = {
        name: float(np.linalg.norm(np.ravel(a - b)) / np.linalg.norm(np.ravel(b)))
        for name, (a, b) in pairs.items()
    }
    for name, difference in differences.items():
        if not difference < TOLERANCE:
            raise SystemExit(f"{task.title}: {name} differs by {difference:.1e}; nothing is timed.")
    return max(differences.values())


def measure(task: Task, dataset: Dataset, repeats: int) -> dict[str, Any]:
    """Compares and times one network, in turns with the fastest variant of PyTorch's.

    Args:
        task: the network.
        dataset: the digits.
        repeats: number of turns.

    Returns:
        A row of the table.
    """
    ours, variants, difference = Ours(task), {}, 0.0
    for memory_format in (torch.contiguous_format, torch.channels_last):
        theirs = Theirs(task, dataset, memory_format)
        difference = max(difference, compare(task, ours, theirs))
        for threads in range(1, cores() + 1):
            name = f"{str(memory_format).removeprefix('torch.')}, {threads} threads"
            variants[name] = Competitor(theirs, functools.partial(torch.set_num_threads, threads))
    tried = alternate(variants, repeats=3)
    best = min(tried, key=lambda name: tried[name].median)
    taken = alternate({"ours": Competitor(ours), "torch": variants[best]}, repeats=repeats)
    return {
        "title": task.title,
        "parameters": sum(value.size for value in ours.state.params.values()),
        "difference": difference,
        "torch_variant": best,
        "torch_variants": tried,
        **taken,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Times the networks given on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--repeats", type=int, default=15, help="turns for each competitor")
    parser.add_argument("--out", type=Path, help="where to write JSON")
    options = parser.parse_args(arguments)

    tune_malloc()  # as `fit` does; it speeds up PyTorch too
    console, rows = Console(width=max(Console().width, 120)), {}
    dataset = TASKS["st_cnn"].config.data.build()
    for name in options.networks:
        with console.status(TASKS[name].title):
            rows[name] = measure(TASKS[name], dataset, options.repeats)
    table = Table(title=f"A training step, batch {BATCH}, distortion and Adam included: ms")
    for column in ("network", "parameters", "ours", "PyTorch", "variant", "steps/s", "verdict"):
        table.add_column(column, justify="left" if column in ("network", "variant") else "right")
    for row in rows.values():
        table.add_row(
            *(row["title"], f"{row['parameters']:,}"),
            *(milliseconds(row["ours"]), milliseconds(row["torch"]), row["torch_variant"]),
            f"{1 / row['ours'].median:.1f}",
            verdict(row["ours"], row["torch"]),
        )
    console.print(table)
    if options.out:
        save(options.out, {"batch": BATCH, "networks": rows})


if __name__ == "__main__":
    main()
