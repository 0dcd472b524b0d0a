"""Devices: the mesh, and tuning of malloc."""

import jax
import numpy as np

from train.run.devices import AXIS, make_mesh, replicate, tune_malloc


def test_mesh_has_one_axis_over_all_devices() -> None:
    mesh = make_mesh()
    assert mesh.axis_names == (AXIS,)
    assert mesh.size == jax.device_count()
    array = replicate({"x": np.ones(3, np.float32)}, mesh)["x"]
    assert array.sharding.is_fully_replicated


def test_malloc_can_be_tuned_twice() -> None:
    for _ in range(2):
        tune_malloc()
    assert np.ones(1 << 24).sum() == 1 << 24
