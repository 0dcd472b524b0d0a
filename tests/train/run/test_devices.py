"""Devices: the mesh, and tuning of malloc."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from train.run.devices import (
    AXIS,
    _processor,
    describe_devices,
    describe_hardware,
    make_mesh,
    replicate,
    tune_malloc,
)


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


def test_hardware_names_the_processor_or_the_accelerators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert re.fullmatch(r".*\w.*, \d+ cores?", describe_hardware())
    information = tmp_path / "cpuinfo"
    information.write_text("processor\t: 0\nmodel name\t: Some  CPU @ 2 GHz\n\nprocessor\t: 1\n")
    assert _processor(information) == "Some CPU @ 2 GHz"
    assert _processor(tmp_path / "none")  # of the architecture
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert describe_hardware() == describe_devices()
