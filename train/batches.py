"""Which images a step sees: a pure function of (seed, step); resuming needs the step alone."""

import functools
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from train.devices import AXIS


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
