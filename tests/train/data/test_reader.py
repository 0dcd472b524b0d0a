"""Reading ahead: in order, not too far, errors where they belong; rows as the step has them."""

import itertools
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.data.batches import epoch_key, make_examples
from train.data.reader import AHEAD, Reader, prefetch

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_results_come_in_order_and_are_read_in_threads() -> None:
    names = set()

    def double(item: int) -> int:
        names.add(threading.current_thread().name)
        return 2 * item

    assert list(prefetch(double, range(50))) == list(range(0, 100, 2))
    assert all(name.startswith("reader") for name in names)
    assert not [thread for thread in threading.enumerate() if thread.name in names]


def test_reading_is_not_far_ahead_and_ends_with_its_reader() -> None:
    asked = itertools.count()
    results = prefetch(lambda item: item, asked)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert next(asked) == 3 + AHEAD
    results.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("reader")]


def test_an_error_is_raised_where_its_result_is_asked_for() -> None:
    def invert(item: int) -> float:
        return 1 / (item - 2)

    results = prefetch(invert, range(5))
    assert [next(results), next(results)] == [-0.5, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


class Rows:
    """A task whose inputs are the rows themselves."""

    def __init__(self, others: int) -> None:
        self.others = others

    def example(self, key: Any, rows: Any, step: Any) -> tuple[Any, jax.Array]:
        return rows, jax.random.uniform(key)


@pytest.mark.parametrize("others", [0, 2])
def test_examples_are_those_of_arrays_on_the_device(others: int) -> None:
    random = np.random.default_rng(0)
    arrays = {"x": random.integers(0, 256, (40, 3, 2), np.uint8), "y": np.arange(40)}
    indices, epoch = np.array([3, 39, 0, 11], np.int32), np.int32(2)
    reader = Reader(arrays, others, lambda epoch: epoch_key(7, epoch))
    (rows,) = reader([(epoch, indices)])
    task: Any = Rows(others)
    key, step = epoch_key(7, jnp.asarray(epoch)), jnp.int32(0)
    on_device = jax.tree.map(jnp.asarray, arrays)
    expected = make_examples(task, key, on_device, jnp.asarray(indices), step)
    found = make_examples(
        task, key, None, jnp.asarray(indices), step, jax.tree.map(jnp.asarray, rows)
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)
