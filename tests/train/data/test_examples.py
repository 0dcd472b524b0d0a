"""Examples: the rows of the data that they are made of; they depend on key and index alone."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.data.examples import draw_rows, make_examples

pytestmark = pytest.mark.usefixtures("plain_numerics")


def rows(count: int, others: int, indices: Any = None, seed: int = 0) -> np.ndarray:
    indices = jnp.arange(count) if indices is None else jnp.asarray(indices)
    draw = jax.vmap(lambda index: draw_rows(jax.random.key(seed), index, count, others)[1])
    return np.asarray(draw(indices))


def test_an_example_is_its_own_row_and_others() -> None:
    drawn = rows(50, 3)
    np.testing.assert_array_equal(drawn[:, 0], np.arange(50))
    assert drawn.min() == 0
    assert drawn.max() == 49
    assert (drawn[:, 1:] != drawn[:, :1]).all()
    assert len(np.unique(drawn[:, 1:])) > 40  # all over the data
    assert not np.array_equal(drawn, rows(50, 3, seed=1))


def test_rows_depend_on_the_index_and_not_on_the_batch() -> None:
    np.testing.assert_array_equal(rows(50, 3)[[7, 3]], rows(50, 3, [7, 3]))


def test_two_examples_are_each_others_other() -> None:
    assert rows(2, 2).tolist() == [[0, 1, 1], [1, 0, 0]]


class Sum:
    """A task that adds its rows, and counts the steps."""

    others = 1

    def example(self, key: Any, rows: Any, step: Any) -> Any:
        return rows["x"].sum(axis=0), jnp.int32(-1) if step is None else step


def test_tasks_make_examples_of_rows_and_are_told_the_step() -> None:
    data = {"x": jnp.arange(8.0)[:, None]}
    indices = jnp.array([2, 5])
    task: Any = Sum()
    key = jax.random.key(0)
    inputs, steps = make_examples(task, key, data, indices, jnp.int32(9))
    np.testing.assert_array_equal(inputs[:, 0], rows(8, 1, [2, 5]).sum(axis=1))
    assert steps.tolist() == [9, 9]
    assert make_examples(task, key, data, indices, None)[1].tolist() == [-1, -1]
