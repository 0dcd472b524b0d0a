"""From rows of arrays to what a network sees: a pure function of (key, index, rows).

An example is made of one row of the data, or of several where its task or distortion needs others
(a second digit, patches of clutter). Which others is drawn from the example's own key, so an
example depends on the key and its index, not on the rest of the batch.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jaxtyping import Int

from train.data.distortions.base import draw_integers

if TYPE_CHECKING:
    from train.tasks.task import Task

Rows = dict[str, Array]
"""Arrays by name; their first axes are rows."""


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


def make_examples(
    task: "Task", key: Array, data: Rows, indices: Int[Array, "b"], step: Array | None
) -> tuple[Any, Any]:
    """Returns the inputs and targets of a batch, each with a leading batch axis.

    Args:
        task: says what an example is.
        key: a key of `jax.random`, a different one for each epoch.
        data: all rows of a split, on the device.
        indices: rows of the batch.
        step: number of steps taken so far in training; None in evaluation.
    """
    count = jax.tree.leaves(data)[0].shape[0]

    def make_example(index: Array) -> tuple[Any, Any]:
        example_key, rows = draw_rows(key, index, count, task.others)
        return task.example(example_key, jax.tree.map(lambda array: array[rows], data), step)

    return jax.vmap(make_example)(indices)
