"""Functions on meshes with explicit axes, where every array's type says how it is split.

Inside, axes are automatic: the compiler splits the work. Only the result's split has to be said:
batch axes as the operands have them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array


def with_auto_axes(
    function: Callable[..., Array], operands: Sequence[Array], out_spec: Sequence[Any]
) -> Array:
    """Calls a function of arrays with all mesh axes automatic.

    Args:
        function: ``(*operands) -> array``.
        operands: arrays, split over explicit axes or not.
        out_spec: how the result is split, an entry for each axis, as of `split_of`.

    Returns:
        The result.
    """
    meshes = [jax.typeof(x).sharding.mesh for x in operands]
    mesh = next((m for m in meshes if AxisType.Explicit in m.axis_types), None)
    if mesh is None:
        return function(*operands)
    seen: set[Any] = set()
    spec = []
    for entry in out_spec:
        names = entry if isinstance(entry, tuple) else (entry,)
        spec.append(None if seen & {*names} else entry)  # an axis splits one dimension
        seen |= {*names} - {None}
    sharding = NamedSharding(mesh, PartitionSpec(*spec))
    with jax.sharding.use_abstract_mesh(mesh):
        return jax.sharding.auto_axes(function, out_sharding=sharding)(*operands)


def split_of(array: Array) -> tuple[Any, ...]:
    """Returns the mesh axes that split each dimension of an array."""
    return tuple(jax.typeof(array).sharding.spec)


def merge_splits(*splits: Sequence[Any]) -> tuple[Any, ...]:
    """Returns the split of axes that broadcast against each other, aligned at the last."""
    count = max(map(len, splits))
    padded = [(None,) * (count - len(split)) + tuple(split) for split in splits]
    return tuple(
        next((entry for entry in entries if entry is not None), None)
        for entries in zip(*padded, strict=True)
    )
