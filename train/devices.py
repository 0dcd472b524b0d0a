"""The devices as a mesh of one axis: a batch is spread over it, all else is on every device."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "data"
"""Name of the mesh's one axis."""


def make_mesh() -> Mesh:
    """Returns all devices in a row."""
    return Mesh(np.array(jax.devices()), (AXIS,))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array of a tree on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def describe_devices() -> str:
    """Returns a line such as ``8 x cpu``."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"
