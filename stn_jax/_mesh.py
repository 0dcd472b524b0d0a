"""Functions on meshes with explicit axes, where every array's type says how it is split.

Inside, axes are automatic: the compiler splits the work. Only the result's split has to be said.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array

Split = tuple[Any, ...]
"""The mesh axes that split each dimension of an array."""


def auto_axes(split: Callable[..., Split]) -> Callable[..., Callable[..., Array]]:
    """Makes a function work on explicit meshes, with all mesh axes automatic inside.

    Args:
        split: ``(*operands) -> split`` of the function's result.

    Returns:
        A decorator of functions ``(*arrays, *others) -> array``.
    """

    def decorate(function: Callable[..., Array]) -> Callable[..., Array]:
        @functools.wraps(function)
        def run(*operands: Any) -> Array:
            arrays = [x for x in operands if isinstance(x, jax.Array)]
            meshes = [jax.typeof(x).sharding.mesh for x in arrays]
            mesh = next((m for m in meshes if AxisType.Explicit in m.axis_types), None)
            if mesh is None:
                return function(*operands)
            others = operands[len(arrays) :]
            sharding = NamedSharding(mesh, PartitionSpec(*_unique(split(*operands))))
            inside = jax.sharding.auto_axes(
                jax.jit(lambda *arrays: function(*arrays, *others)), out_sharding=sharding
            )
            with jax.sharding.use_abstract_mesh(mesh):
                result: Array = inside(*arrays)
            return result

        return run

    return decorate


def constant_like(array: Array, constant: Any) -> Array:
    """Returns a constant, broadcast against an array, that is batched and sharded as the array is.

    And that varies over the same axes in `jax.shard_map`. JAX stacks, concatenates and scans only
    arrays that agree in all of these, and types a constant by the mesh outside `auto_axes`; so it
    is made to depend on the array.
    """
    return jnp.where(jnp.isnan(array), constant, constant).astype(array.dtype)


def split_of(array: Array) -> Split:
    """Returns how an array is split."""
    return tuple(jax.typeof(array).sharding.spec)


def merge_splits(*splits: Sequence[Any]) -> Split:
    """Returns the split of axes that broadcast against each other, aligned at the last."""
    count = max(map(len, splits))
    padded = [(None,) * (count - len(split)) + tuple(split) for split in splits]
    return tuple(
        next((entry for entry in entries if entry is not None), None)
        for entries in zip(*padded, strict=True)
    )


def _unique(split: Split) -> Split:
    """Keeps a mesh axis only at the first dimension that it splits."""
    seen: set[Any] = set()
    unique = []
    for entry in split:
        names = set(entry if isinstance(entry, tuple) else (entry,)) - {None}
        unique.append(None if seen & names else entry)
        seen |= names
    return tuple(unique)
