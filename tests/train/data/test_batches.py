"""Batches and their examples: pure functions of (seed, step), and of key and index."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.config import TrainConfig
from train.data.batches import Batches, check_batch, draw_rows, make_examples, steps_per_dispatch
from train.errors import UserError
from train.run.devices import make_mesh

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_each_epoch_visits_every_example_once_in_a_new_order() -> None:
    batches = Batches(53, 10, seed=3, mesh=make_mesh())
    epochs = [[batches.indices(5 * epoch + i) for i in range(5)] for epoch in (0, 1)]
    orders = [np.concatenate([indices for indices, _ in epoch]) for epoch in epochs]
    assert [{number for _, number in epoch} for epoch in epochs] == [{0}, {1}]
    assert all(len(set(order.tolist())) == 50 for order in orders)
    assert not np.array_equal(orders[0], orders[1])
    again = Batches(53, 10, seed=3, mesh=make_mesh())
    np.testing.assert_array_equal(again.indices(7)[0], batches.indices(7)[0])
    other = Batches(53, 10, seed=4, mesh=make_mesh())
    assert not np.array_equal(other.indices(7)[0], batches.indices(7)[0])


@pytest.mark.parametrize(
    ("batch_size", "message"),
    [
        (60, "train.batch_size=60 .* 53 training examples"),
        (9, "train.batch_size=9 .* multiple of the 4 devices"),
    ],
)
def test_batches_that_do_not_fit_are_refused(batch_size: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_batch(batch_size, examples=53, devices=4)
    check_batch(8, examples=53, devices=4)


def test_steps_per_dispatch_divide_all_periods() -> None:
    run = TrainConfig(log_every=12, eval_every=24, checkpoint_every=60)
    assert steps_per_dispatch(run, "gpu") == 12
    assert steps_per_dispatch(run, "cpu") == 1
    chosen = TrainConfig(steps_per_dispatch=5)
    assert steps_per_dispatch(chosen, "cpu") == steps_per_dispatch(chosen, "tpu") == 5


def rows(count: int, others: int, indices: Any = None, seed: int = 0) -> np.ndarray:
    indices = jnp.arange(count) if indices is None else jnp.asarray(indices)
    draw: Callable[..., jax.Array] = jax.vmap(
        lambda index: draw_rows(jax.random.key(seed), index, count, others)[1]
    )
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

    def example(self, key: Any, rows: Any, step: Any) -> tuple[Any, Any]:
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
