"""Reads the rows of batches by index, in threads, ahead of their use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import numpy as np
from jax import Array

from train.data.batches import draw_rows
from train.data.dataset import Arrays

THREADS = 8
"""Number of threads that read; each reads one batch at a time."""

AHEAD = 8
"""Number of batches that are read before they are needed."""

HostRows = dict[str, np.ndarray]
"""The rows of a batch by the name of their array: ``(b, 1 + others, *shape)``."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Reader:
    """Reads the rows that the examples of a batch are made of.

    Args:
        arrays: the arrays of a split.
        others: number of other rows that an example needs.
        make_key: returns the key of an epoch or split, as the compiled step has it, given its
            number; the rows of an example are drawn from it.
    """

    def __init__(self, arrays: Arrays, others: int, make_key: Callable[[Array], Array]):
        count = len(next(iter(arrays.values())))

        def draw(number: Array, indices: Array) -> Array:
            key = make_key(number)
            return jax.vmap(lambda index: draw_rows(key, index, count, others)[1])(indices)

        self.arrays = arrays
        self.draw = jax.jit(draw) if others else None

    def __call__(self, batches: Iterable[tuple[Any, np.ndarray]]) -> Iterator[HostRows]:
        """Reads ahead.

        Args:
            batches: the number of each batch's key, and its indices ``(b,)``.
        """
        return prefetch(self.read, (self.find_rows(*batch) for batch in batches))

    def find_rows(self, number: Any, indices: np.ndarray) -> Any:
        """Returns the numbers of the rows of a batch, ``(b, 1 + others)``."""
        if self.draw is None:
            return indices[:, None]
        return self.draw(*jax.device_put((number, indices)))

    def read(self, rows: Any) -> HostRows:
        """Reads rows, given their numbers."""
        rows = np.asarray(rows)
        return {
            name: np.asarray(array[rows.ravel()]).reshape(*rows.shape, *array.shape[1:])
            for name, array in self.arrays.items()
        }


def prefetch(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Yields ``function(item)`` in order; threads are up to `AHEAD` items ahead."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="reader")
    waiting: deque[Future[_Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
