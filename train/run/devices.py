"""The mesh: batches are sharded over its axis "data", large matrices over its axis "model"."""

import ctypes
import os
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "data"
"""Name of the mesh axis that shards batches."""

MODEL_AXIS = "model"
"""Name of the mesh axis that shards large matrices."""

LARGE = 512
"""Smallest number of rows and columns of a matrix that is sharded."""


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


def make_mesh(devices: Sequence[jax.Device] | None = None, shape: tuple[int, int] = (0, 1)) -> Mesh:
    """Returns a mesh of devices, by default those of all processes.

    The devices of a process are neighbours, so each process has one contiguous part of a batch.

    Args:
        devices: the devices.
        shape: number of devices along `AXIS` and `MODEL_AXIS`; 0 is all that there are. Without
            several along the second, there is only the first.

    Raises:
        ValueError: if the shape does not use all devices.
    """
    found = jax.devices() if devices is None else devices
    data, model = shape[0] or len(found) // shape[1], shape[1]
    if data * model != len(found):
        raise ValueError(
            f"train.mesh={shape} is not allowed; the product must be the {len(found)} devices."
        )
    ordered = np.array(sorted(found, key=lambda device: device.process_index))
    if model == 1:
        return Mesh(ordered, (AXIS,))
    return Mesh(ordered.reshape(data, model), (AXIS, MODEL_AXIS))


def shard_large(array: Any, mesh: Mesh) -> NamedSharding:
    """Returns how the devices hold an array of the training state.

    Along `MODEL_AXIS` they split the outputs of large matrices; anything else each device holds.
    """
    shape, model = array.shape, mesh.shape.get(MODEL_AXIS, 1)
    large = len(shape) == 2 and min(shape) >= LARGE and shape[1] % model == 0
    return NamedSharding(mesh, PartitionSpec(*((None, MODEL_AXIS) if large and model > 1 else ())))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array of a tree on every device; all processes call this."""
    return put(tree, NamedSharding(mesh, PartitionSpec()))


def put(tree: Any, sharding: NamedSharding) -> Any:
    """Puts arrays on the devices of all processes.

    Args:
        tree: arrays of the host, of which each process gives its own part; or of the devices.
        sharding: how the devices split them.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def put_part(array: Any) -> Any:
        if isinstance(array, jax.Array):
            return jax.device_put(array, sharding)
        return jax.make_array_from_process_local_data(sharding, np.asarray(array))

    with jax.transfer_guard("allow"):  # as explicit as `jax.device_put`
        return jax.tree.map(put_part, tree)


def part_of_process(sharding: NamedSharding, size: int, axis: int = 0) -> slice:
    """Returns which part of an axis of a sharded array lies on the devices of this process."""
    shape = (1,) * axis + (size,)
    parts = sharding.addressable_devices_indices_map(shape).values()
    spans = [part[axis].indices(size) for part in parts if part is not None]
    return slice(min(start for start, *_ in spans), max(stop for _, stop, _ in spans))


def describe_devices() -> str:
    """Returns a line such as ``8 x cpu``."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"


def describe_hardware() -> str:
    """Returns the accelerators, or else the processor and the cores that this process may use.

    Such as ``AMD EPYC 7B13, 2 cores`` or ``8 x TPU v5 lite``.
    """
    if jax.default_backend() != "cpu":
        return describe_devices()
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return f"{_processor()}, {count} core{'s' * (count != 1)}"


def _processor(information: Path = Path("/proc/cpuinfo")) -> str:
    """Returns the name of the processor, or of its architecture where the system does not say."""
    try:
        found = re.search(r"^model name\s*: *(.+)$", information.read_text(), re.MULTILINE)
    except OSError:
        found = None
    name = found[1] if found else platform.processor() or platform.machine()
    return " ".join(name.split())


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
