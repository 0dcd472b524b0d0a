"""The images of each step, a pure function of (seed, step): resuming needs only the step."""

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from train.errors import UserError

if TYPE_CHECKING:
    from train.config.config import TrainConfig
from train.run.devices import AXIS, loops_are_slow


def check_batch(batch_size: int, examples: int, devices: int) -> None:
    """Checks that there are enough examples for a batch, and that it divides among the devices.

    Raises:
        UserError: naming the batch sizes that are allowed.
    """
    if batch_size > examples:
        raise UserError(
            f"train.batch_size={batch_size} is too large; there are {examples} training examples."
        )
    if batch_size % devices:
        raise UserError(
            f"train.batch_size={batch_size} is not allowed; it must be a multiple of the {devices} "
            "devices."
        )


def steps_per_dispatch(run: "TrainConfig", platform: str) -> int:
    """Returns the number of optimiser steps for each call of the compiled step.

    One where loops are slow. Elsewhere the largest number up to 16 that divides every period of
    logging, evaluation and checkpoints.
    """
    if run.steps_per_dispatch:
        return run.steps_per_dispatch
    if loops_are_slow(platform):
        return 1
    period = math.gcd(run.log_every, run.eval_every, run.checkpoint_every)
    return max(count for count in range(1, 17) if period % count == 0)


class Batch(NamedTuple):
    """Indices of the images of one or several steps; nothing else is sent to the device.

    Attributes:
        indices: ``(steps, batch_size)`` int32.
        epoch: ``(steps,)`` int32, folded into the key of the distortions.
    """

    indices: jax.Array
    epoch: jax.Array


class Batches:
    """Shuffles all images anew in each epoch and drops the last, incomplete batch.

    Args:
        count: number of images.
        batch_size: images for each step.
        seed: seed of the shuffling.
        mesh: the devices over which a batch is sharded.
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
        """Returns the indices ``(batch_size,)`` of the images of a step, and its epoch."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        start = batch * self.batch_size
        return self.order(epoch)[start : start + self.batch_size], epoch

    def __call__(self, step: int, steps: int) -> Batch:
        """Puts the indices for ``steps`` steps, starting at ``step``, on the devices."""
        indices, epochs = zip(*(self.indices(step + i) for i in range(steps)), strict=True)
        batch = np.stack(indices), np.array(epochs, np.int32)
        return Batch(*jax.device_put(batch, self.shardings))
