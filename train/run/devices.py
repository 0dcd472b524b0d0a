"""A mesh with one axis over all devices: batches are sharded, everything else is replicated."""

import ctypes
import os
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "data"
"""Name of the mesh axis."""


def tune_malloc() -> None:
    """Makes glibc keep freed memory for the next step; does nothing except on Linux.

    By default glibc returns blocks above 32 MB to the kernel, and the next step faults every page
    in again: 12,000 page faults, a sixth of the time of a small network's step at batch 256. This
    also makes all threads share one heap.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, value in ((-4, 0), (-1, 2**31 - 1), (-8, 1)):  # M_MMAP_MAX, M_TRIM_THRESHOLD,
            mallopt(option, value)  # M_ARENA_MAX of malloc.h


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a mesh of devices, by default all of this machine."""
    return Mesh(np.array(jax.devices() if devices is None else devices), (AXIS,))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array of a tree on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def describe_devices() -> str:
    """Returns a line such as ``8 x cpu``."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"


def loops_are_slow(platform: str) -> bool:
    """Returns whether XLA compiles a loop's body without its fast convolutions."""
    return platform == "cpu"


def options_to_run_once() -> dict[str, int] | None:
    """Returns compiler options for a program that runs once.

    XLA:CPU spends long on optimising random numbers; unoptimised, such a program starts sooner.
    """
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


EXPORTED_PLATFORMS = ("cpu", "cuda", "tpu")
"""Platforms that an exported network runs on."""


def host_environment() -> dict[str, str]:
    """Returns the environment of a process that must leave the accelerator to this one."""
    return os.environ | {"JAX_PLATFORMS": "cpu"}
