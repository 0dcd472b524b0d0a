"""Which images a step sees: a pure function of (seed, step); resuming needs the step alone."""

import functools
import math
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from train.config import TrainConfig
from train.devices import AXIS
from train.errors import UserError


def check_batch(batch_size: int, images: int, devices: int) -> None:
    """Refuses a batch that the images cannot fill or the devices cannot share.

    Raises:
        UserError: saying what would fit.
    """
    if batch_size > images:
        raise UserError(
            f"train.batch_size={batch_size} does not fit; there are {images} training images."
        )
    if batch_size % devices:
        raise UserError(
            f"train.batch_size={batch_size} does not fit; it must be a multiple of the {devices} "
            "devices."
        )


def steps_per_dispatch(run: TrainConfig, platform: str) -> int:
    """Returns how many steps one call of the compiled step does, where nothing else falls between.

    On a CPU one: XLA compiles a loop's body without its fast convolutions.
    """
    if run.steps_per_dispatch:
        return run.steps_per_dispatch
    if platform == "cpu":
        return 1
    period = math.gcd(run.log_every, run.eval_every, run.checkpoint_every)
    return max(count for count in range(1, 17) if period % count == 0)


class Batch(NamedTuple):
    """Indices of the images of one or several steps; all that travels to the device.

    Attributes:
        indices: ``(steps, batch_size)`` int32.
        epoch: ``(steps,)`` int32, which decides the distortions.
    """

    indices: jax.Array
    epoch: jax.Array


class Batches:
    """Every epoch a new order of all images; the last, incomplete batch of an epoch is left out.

    Args:
        count: number of images.
        batch_size: images of a step.
        seed: decides the order.
        mesh: the devices; each gets its share of a batch.
    """

    def __init__(self, count: int, batch_size: int, seed: int, mesh: Mesh):
        self.batch_size = batch_size
        self.steps_per_epoch = count // batch_size
        self.order = functools.lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng((seed, epoch)).permutation(count).astype(np.int32)
        )
        self.shardings = (
            NamedSharding(mesh, PartitionSpec(None, AXIS)),
            NamedSharding(mesh, PartitionSpec()),
        )

    def indices(self, step: int) -> tuple[np.ndarray, int]:
        """Returns the indices ``(batch_size,)`` of a step's images, and the step's epoch."""
        epoch, place = divmod(step, self.steps_per_epoch)
        start = place * self.batch_size
        return self.order(epoch)[start : start + self.batch_size], epoch

    def __call__(self, step: int, steps: int) -> Batch:
        """Puts the indices of ``steps`` steps from ``step`` on the devices."""
        indices, epochs = zip(*(self.indices(step + i) for i in range(steps)), strict=True)
        batch = np.stack(indices), np.array(epochs, np.int32)
        return Batch(*jax.device_put(batch, self.shardings))
