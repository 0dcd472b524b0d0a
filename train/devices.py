"""The devices as a mesh of one axis: a batch is spread over it, all else is on every device."""

import ctypes
import sys
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "data"
"""Name of the mesh's one axis."""


def keep_memory() -> None:
    """Lets the process keep what one step has freed for the next; does nothing but on Linux.

    glibc returns blocks above 32 MB to the kernel, which hands out other, zeroed pages in the next
    step: 12,000 page faults, a sixth of the time of a small network's step at batch 256. Threads
    share one heap from then on.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, value in ((-4, 0), (-1, 2**31 - 1), (-8, 1)):  # M_MMAP_MAX, M_TRIM_THRESHOLD,
            mallopt(option, value)  # M_ARENA_MAX of malloc.h


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
