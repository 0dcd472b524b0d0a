"""Batches: the rows of each step, and the examples that they make, pure functions of (seed, step).

Resuming needs only the step. An example is made of one row of the data, or of several where its
task or distortion needs others (a second digit, patches of clutter). Which others is drawn from the
example's own key, so an example depends on the key and its index, not on the rest of the batch.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int

from train.data.distortions.base import draw_integers
from train.errors import UserError
from train.run.devices import AXIS, loops_are_slow, part_of_process, put

if TYPE_CHECKING:
    from train.config.config import TrainConfig
    from train.data.reader import HostRows, Reader
    from train.tasks.task import Task

Rows = dict[str, Array]
"""Arrays by name; their first axes are rows."""


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
    """The images of one or several steps; nothing else is sent to the device.

    Attributes:
        indices: ``(steps, batch_size)`` int32.
        epoch: ``(steps,)`` int32, folded into the key of the distortions.
        rows: what the host has read of each array, ``(steps, batch_size, 1 + others, *shape)``;
            None where all images lie on the devices.
    """

    indices: jax.Array
    epoch: jax.Array
    rows: Rows | None = None


class Batches:
    """Shuffles all images anew in each epoch and drops the last, incomplete batch.

    Args:
        count: number of images.
        batch_size: images for each step.
        seed: seed of the shuffling.
        mesh: the devices over which a batch is sharded.
        reader: reads the images of a batch; None if they lie on the devices.
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, mesh: Mesh, reader: "Reader | None" = None
    ):
        self.batch_size = batch_size
        self.reader = reader
        self.reading: Iterator["HostRows"] = iter(())
        self.next_step = -1
        self.steps_per_epoch = count // batch_size
        self.order = functools.lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng((seed, epoch)).permutation(count).astype(np.int32)
        )
        self.sharded = NamedSharding(mesh, PartitionSpec(None, AXIS))
        self.replicated = NamedSharding(mesh, PartitionSpec())
        self.part = part_of_process(self.sharded, batch_size, axis=1)

    def indices(self, step: int) -> tuple[np.ndarray, int]:
        """Returns the indices ``(batch_size,)`` of the images of a step, and its epoch."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        start = batch * self.batch_size
        return self.order(epoch)[start : start + self.batch_size], epoch

    def __call__(self, step: int, steps: int) -> Batch:
        """Puts the images for ``steps`` steps, starting at ``step``, on the devices.

        Each process gives, and reads, the part of each batch that lies on its own devices.
        """
        indices, epochs = zip(*(self.indices(step + i) for i in range(steps)), strict=True)
        rows = None if self.reader is None else self._read(self.reader, step, steps)
        part = np.stack(indices)[:, self.part]
        sharded, rows = put((part, rows), self.sharded)
        return Batch(sharded, put(np.array(epochs, np.int32), self.replicated), rows)

    def _read(self, reader: "Reader", step: int, steps: int) -> "HostRows":
        if step != self.next_step:  # the first step of a run
            following = map(self.indices, itertools.count(step))
            self.reading = reader(
                (np.int32(epoch), indices[self.part]) for indices, epoch in following
            )
        read = [next(self.reading) for _ in range(steps)]
        self.next_step = step + steps
        return {name: np.stack([rows[name] for rows in read]) for name in read[0]}


def draw_rows(
    key: Array, index: Int[Array, ""], count: int, others: int
) -> tuple[Array, Int[Array, "1_plus_others"]]:
    """Returns the key of an example, and the rows of the data that it is made of.

    Args:
        key: a key of `jax.random`, a different one for each epoch.
        index: row of the example.
        count: number of rows of the data.
        others: number of other rows that it needs.
    """
    key = random.fold_in(key, index)
    if not others:
        return key, index[None]
    key, rows_key = random.split(key)
    steps = 1 + draw_integers(rows_key, np.full(others, max(count - 2, 0))).astype(index.dtype)
    return key, jnp.concatenate([index[None], (index + steps) % count])


def epoch_key(seed: int, epoch: Array) -> Array:
    """Returns the key of the training examples of an epoch."""
    return random.fold_in(random.key(seed), epoch)


def make_examples(
    task: "Task",
    key: Array,
    data: Rows | None,
    indices: Int[Array, "b"],
    step: Array | None,
    rows: Rows | None = None,
) -> tuple[Any, Any]:
    """Returns the inputs and targets of a batch, each with a leading batch axis.

    Args:
        task: says what an example is.
        key: a key of `jax.random`, a different one for each epoch.
        data: all rows of a split, on the device; None where the host reads them.
        indices: rows of the batch.
        step: number of steps taken so far in training; None in evaluation.
        rows: what the host has read, ``(b, 1 + others, *shape)``; None takes them from ``data``.
    """
    count = len(indices) if data is None else jax.tree.leaves(data)[0].shape[0]

    def make_example(index: Array, rows: Rows | None) -> tuple[Any, Any]:
        example_key, numbers = draw_rows(key, index, count, task.others)
        if rows is None:
            rows = jax.tree.map(lambda array: array[numbers], data)
        return task.example(example_key, rows, step)

    return jax.vmap(make_example)(indices, rows)
