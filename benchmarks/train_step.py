"""How long does a whole training step take, here and in PyTorch?

    python benchmarks/train_step.py
    python benchmarks/train_step.py --networks tutorial --repeats 31 --out train_step.json

Take 256 real digits, distort each anew (RTS), run the network, take the gradient, let Adam change
the parameters. Ours is the step that ``python -m train fit`` runs, metrics and the watch for NaN
included; PyTorch's is written as its users write it, in the memory format and with the number of
threads that are quickest here. Before anything is timed, distorted images, loss and every gradient
are checked to be equal, from the same weights and draws: the gradients in float64, for in float32
a point that lies on a pixel's centre may be rounded to either side, where the derivative differs.
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

from train.batches import Batches
from train.config import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from train.data import Dataset, load
from train.devices import make_mesh, replicate, tune_malloc
from train.distortions import distorted_batch
from train.evaluate import input_shape
from train.network import Params, build_network
from train.optim import make_optimizer
from train.step import Data, make_init, make_objective, make_train_step

BATCH = 256
RATE = 1e-3
TOLERANCE = 1e-4
"""What is equal: the norm of a difference over the norm, for each array."""


def config(canvas: int, **model: Any) -> Config:
    """Returns the configuration of a network on bundled digits."""
    return Config(
        data=DataConfig(name="bundled", distortion="RTS", canvas=canvas),
        model=ModelConfig(**model),
        optim=OptimConfig(optimizer="adam", learning_rate=RATE, schedule="constant"),
        train=TrainConfig(batch_size=BATCH),
    )


class Tutorial(torch.nn.Module):
    """The network of PyTorch's tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.localization = torch.nn.ModuleList(
            [torch.nn.Conv2d(1, 8, 7), torch.nn.Conv2d(8, 10, 5)]
        )
        self.theta = torch.nn.ModuleList([torch.nn.Linear(90, 32), torch.nn.Linear(32, 6)])
        self.features = torch.nn.ModuleList([torch.nn.Conv2d(1, 10, 5), torch.nn.Conv2d(10, 20, 5)])
        self.logits = torch.nn.ModuleList([torch.nn.Linear(320, 50), torch.nn.Linear(50, 10)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the logits."""
        y = F.relu(F.max_pool2d(self.localization[0](x), 2))
        y = F.relu(F.max_pool2d(self.localization[1](y), 2))
        y = F.relu(self.theta[0](y.flatten(1)))
        x = transform(x, self.theta[1](y))
        x = F.relu(F.max_pool2d(self.features[0](x), 2))
        x = F.dropout2d(self.features[1](x), training=self.training)
        x = F.relu(F.max_pool2d(x, 2))
        x = F.dropout(F.relu(self.logits[0](x.flatten(1))), training=self.training)
        return self.logits[1](x)


class PaperNetwork(torch.nn.Module):
    """The paper's ST-CNN on RTS."""

    def __init__(self) -> None:
        super().__init__()
        self.localization = torch.nn.ModuleList(
            [torch.nn.Conv2d(1, 20, 5), torch.nn.Conv2d(20, 20, 5)]
        )
        self.theta = torch.nn.ModuleList([torch.nn.Linear(320, 20), torch.nn.Linear(20, 6)])
        self.features = torch.nn.ModuleList([torch.nn.Conv2d(1, 32, 9), torch.nn.Conv2d(32, 64, 7)])
        self.logits = torch.nn.ModuleList([torch.nn.Linear(1600, 160), torch.nn.Linear(160, 10)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the logits."""
        y = F.max_pool2d(F.relu(self.localization[0](F.avg_pool2d(x, 2))), 2)
        y = F.relu(self.theta[0](F.relu(self.localization[1](y)).flatten(1)))
        x = transform(x, self.theta[1](y))
        x = F.max_pool2d(F.relu(self.features[0](x)), 2)
        x = F.max_pool2d(F.relu(self.features[1](x)), 2)
        return self.logits[1](F.relu(self.logits[0](x.flatten(1))))


def transform(x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Samples images as theta ``(b, 6)`` says."""
    grid = F.affine_grid(theta.view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


@dataclass(frozen=True)
class Task:
    """A network, here and in PyTorch.

    Attributes:
        title: what it is called in the table.
        config: ours.
        twin: PyTorch's.
        names: our layers in the order of the twin's.
    """

    title: str
    config: Config
    twin: Callable[[], torch.nn.Module]
    names: Sequence[str]


TASKS = {
    "tutorial": Task(
        "PyTorch tutorial's network, 28 x 28",
        config(28, name="tutorial"),
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
        config(42, name="st_cnn", hidden=(160,)),
        PaperNetwork,
        (
            "transformer.localization.features.layers.0",
            "transformer.localization.features.layers.1",
            "transformer.localization.hidden.0",
            "transformer.localization.head",
            "classifier.features.layers.0",
            "classifier.features.layers.1",
            "classifier.classifier.hidden.0",
            "classifier.classifier.logits",
        ),
    ),
}


def distort(images: torch.Tensor, draws: torch.Tensor, canvas: int) -> torch.Tensor:
    """Distorts uint8 images ``(b, 1, h, w)`` by RTS; ``draws`` (4, b) lie in [-1, 1]."""
    side = images.shape[-1]
    turn, size, x, y = draws
    angle, scale = turn * (torch.pi / 4), 0.95 + 0.25 * size
    room = (canvas - scale * side).clamp(min=0) / 2
    cos, sin, x, y = angle.cos() / scale, angle.sin() / scale, room * x, room * y
    ratio, pixel = canvas / side, 2 / side
    theta = torch.stack(
        [
            *(cos * ratio, sin * ratio, -(cos * x + sin * y) * pixel),
            *(-sin * ratio, cos * ratio, (sin * x - cos * y) * pixel),
        ],
        dim=1,
    ).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(images), 1, canvas, canvas], align_corners=False)
    return F.grid_sample(images.float().div_(255), grid, align_corners=False)


def layers(twin: torch.nn.Module) -> list[torch.nn.Module]:
    """Lists a twin's layers, in the order of `Task.names`."""
    return [m for m in twin.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]


def as_torch(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Lays a kernel of ours out as PyTorch's; ``channels`` of the maps that it flattens, or 0."""
    if kernel.ndim == 4:
        return kernel.transpose(3, 2, 0, 1)
    if channels:  # pixels are flattened (h, w, c) here and (c, h, w) there
        kernel = kernel.reshape(-1, channels, kernel.shape[-1]).swapaxes(0, 1)
    return kernel.reshape(-1, kernel.shape[-1]).T


def arrays(task: Task, params: Params) -> list[np.ndarray]:
    """Lists kernels and biases of ours, or their gradients, as PyTorch lays them out."""
    listed, channels = [], 0
    for name in task.names:
        kernel, bias = np.asarray(params[f"{name}.kernel"]), np.asarray(params[f"{name}.bias"])
        listed += [as_torch(kernel, channels), bias]
        channels = bias.size if kernel.ndim == 4 else 0
    return listed


def weights(twin: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Lists kernels and biases of a twin, in the order of `arrays`."""
    return [p for layer in layers(twin) for p in (layer.weight, layer.bias)]


class Ours:
    """The training step of ``python -m train``, with all that it needs."""

    def __init__(self, task: Task, dataset: Dataset) -> None:
        self.config, mesh = task.config, make_mesh()
        shape = input_shape(self.config.data, dataset.image_shape)
        self.network = build_network(self.config.model, shape, dataset.num_classes, 0)
        optimizer = make_optimizer(self.config.optim, self.config.train.steps)
        self.batches = Batches(len(dataset.y_train), BATCH, 0, mesh)
        self.data = Data(*replicate((dataset.x_train, dataset.y_train), mesh))
        self.state = make_init(self.network, optimizer, self.config, mesh)()
        self.train_step = make_train_step(self.network, optimizer, self.config, mesh)
        self.steps = itertools.count()

    def __call__(self) -> jax.Array:
        """Trains for a step."""
        batch = self.batches(next(self.steps), 1)
        self.state = self.train_step(self.state, self.data, batch)
        return self.state.step

    def example(self) -> tuple[Params, np.ndarray, np.ndarray, np.ndarray, jax.Array]:
        """Returns parameters that move images, indices, draws, labels and distorted images."""
        random = np.random.default_rng(0)
        params = {
            name: value + (0.01 * random.normal(size=value.shape)).astype(np.float32)
            for name, value in jax.device_get(self.state.params).items()
        }
        indices, key = self.batches.indices(0)[0], jax.random.key(1)
        draws = jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i), (4,), minval=-1))(
            indices
        )
        canvas = self.config.data.canvas
        images = distorted_batch(key, self.data.images, jnp.asarray(indices), "RTS", canvas)
        return params, indices, np.asarray(draws), np.asarray(self.data.labels)[indices], images


class Theirs:
    """PyTorch's step of the same network."""

    def __init__(self, task: Task, dataset: Dataset, memory_format: torch.memory_format) -> None:
        self.canvas, self.memory_format = task.config.data.canvas, memory_format
        self.images = torch.from_numpy(dataset.x_train).permute(0, 3, 1, 2).contiguous()
        self.labels = torch.from_numpy(dataset.y_train).long()
        self.network = task.twin().to(memory_format=memory_format)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=RATE, fused=True)

    def distorted(self, indices: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Returns images as the network sees them."""
        with torch.no_grad():
            images = distort(self.images[indices], draws, self.canvas)
            return images.contiguous(memory_format=self.memory_format)

    def __call__(self) -> None:
        """Trains for a step."""
        indices = torch.randint(len(self.images), (BATCH,))
        images = self.distorted(indices, torch.rand(4, BATCH) * 2 - 1)
        self.optimizer.zero_grad()
        F.cross_entropy(self.network(images), self.labels[indices]).backward()
        self.optimizer.step()


def check(task: Task, ours: Ours, theirs: Theirs) -> float:
    """Compares distorted images, and in float64 loss and every gradient, without dropout.

    Returns:
        The largest difference.

    Raises:
        SystemExit: if it is above the tolerance.
    """
    params, indices, draws, labels, images = ours.example()
    objective = make_objective(ours.network, task.config.optim)
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda array: jnp.asarray(array, jnp.float64), (params, images))
        value, gradient = jax.jit(
            jax.value_and_grad(lambda params, images: objective(params, images, labels, None)[0])
        )(*exact)
        value, gradient = jax.tree.map(lambda array: array / BATCH, (value, gradient))

    twin = copy.deepcopy(theirs.network).double().eval()
    with torch.no_grad():
        for weight, array in zip(weights(twin), arrays(task, exact[0]), strict=True):
            weight.copy_(torch.tensor(array))
    seen = theirs.distorted(torch.tensor(indices).long(), torch.tensor(draws.T))
    channels_first = torch.tensor(np.asarray(exact[1])).permute(0, 3, 1, 2)
    their_value = F.cross_entropy(twin(channels_first), torch.tensor(labels).long())
    their_value.backward()
    pairs = {
        "the distorted images": (np.asarray(images)[..., 0], seen.numpy()[:, 0]),
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
    """Checks and times one network: first which form of PyTorch's is quickest, then both in turns.

    Args:
        task: the network.
        dataset: real digits.
        repeats: turns for each.

    Returns:
        The table's row.
    """
    ours, forms, difference = Ours(task, dataset), {}, 0.0
    for memory_format in (torch.contiguous_format, torch.channels_last):
        theirs = Theirs(task, dataset, memory_format)
        difference = max(difference, check(task, ours, theirs))
        for threads in range(1, cores() + 1):
            name = f"{str(memory_format).removeprefix('torch.')}, {threads} threads"
            forms[name] = Competitor(theirs, functools.partial(torch.set_num_threads, threads))
    tried = alternate(forms, repeats=3)
    best = min(tried, key=lambda name: tried[name].median)
    taken = alternate({"ours": Competitor(ours), "torch": forms[best]}, repeats=repeats)
    return {
        "title": task.title,
        "parameters": sum(value.size for value in ours.state.params.values()),
        "difference": difference,
        "torch_form": best,
        "torch_forms": tried,
        **taken,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the networks that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--repeats", type=int, default=15, help="turns for each competitor")
    parser.add_argument("--out", type=Path, help="where to write JSON")
    options = parser.parse_args(arguments)

    tune_malloc()  # as `fit` does; PyTorch gains by it too
    console, rows = Console(width=max(Console().width, 120)), {}
    dataset = load(config(42).data)
    for name in options.networks:
        with console.status(TASKS[name].title):
            rows[name] = measure(TASKS[name], dataset, options.repeats)
    table = Table(title=f"A training step, batch {BATCH}, distortion and Adam included: ms")
    for column in ("network", "parameters", "ours", "PyTorch", "in the form", "steps/s", "verdict"):
        table.add_column(
            column, justify="left" if column in ("network", "in the form") else "right"
        )
    for row in rows.values():
        table.add_row(
            *(row["title"], f"{row['parameters']:,}"),
            *(milliseconds(row["ours"]), milliseconds(row["torch"]), row["torch_form"]),
            f"{1 / row['ours'].median:.1f}",
            verdict(row["ours"], row["torch"]),
        )
    console.print(table)
    if options.out:
        save(options.out, {"batch": BATCH, "networks": rows})


if __name__ == "__main__":
    main()
