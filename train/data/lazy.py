"""Arrays whose rows are read by index, for data that do not fit into memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class LazyArray:
    """An array whose rows are read when they are needed.

    Indexing chooses rows and reads nothing; `numpy.asarray` reads. A single index is a row, read.

    Attributes:
        read: returns rows ``(k, *row_shape)``, given their numbers ``(k,)``; called from several
            threads at once.
        rows: numbers of the rows, ``(n,)``.
        row_shape: shape of one row.
        dtype: dtype of the rows.
    """

    read: Callable[[np.ndarray], np.ndarray]
    rows: np.ndarray
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def create(cls, read: Callable[[np.ndarray], np.ndarray], count: int) -> "LazyArray":
        """Returns the array of rows 0 to ``count``; reads the first for shape and dtype."""
        first = read(np.arange(1))
        return cls(read, np.arange(count), first.shape[1:], first.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, rows first."""
        return (len(self.rows), *self.row_shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> Any:
        chosen = self.rows[rows]
        return self.read(chosen[None])[0] if np.ndim(chosen) == 0 else replace(self, rows=chosen)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self.read(self.rows) if len(self.rows) else np.zeros(self.shape, self.dtype)
        return found if dtype is None else found.astype(dtype)
