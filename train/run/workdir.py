"""The work directory of a run, with all files written atomically.

config.json    the resolved config                  checkpoints/  last, and best by validation
data.json      shapes, classes, a checksum          snapshots/    a few images during training
metrics.jsonl  metrics by step                      figures/      pictures
tensorboard/   the same for TensorBoard
summary.json   the result; written last, so it exists if and only if the run is finished
"""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from train.config.fields import flatten, from_dict, to_dict
from train.config.parts import Config
from train.data import Dataset
from train.errors import UserError

CONFIG, TASK, SUMMARY = "config.json", "data.json", "summary.json"


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a JSON file atomically; only process 0 writes."""
    if jax.process_index():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(values, indent=2) + "\n")
    os.replace(temporary, path)


def read_summary(workdir: Path, config: Config) -> dict[str, Any] | None:
    """Returns the summary of a finished run of this config, or None if it is not finished.

    Raises:
        UserError: if the directory contains something else, or a run with another config.
    """
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir {workdir} is a file; give a directory.")
    path = workdir / CONFIG
    if not path.is_file():
        if (workdir / "checkpoints").exists() or (workdir / SUMMARY).exists():
            raise UserError(
                f"--workdir {workdir} holds a run without {CONFIG}; give another directory."
            )
        return None
    stored = flatten(to_dict(read_config(workdir)))
    asked = flatten(to_dict(config))
    differing = [
        f"{name} is {stored[name]!r} there and {asked[name]!r} here"
        for name in asked
        if stored[name] != asked[name]
    ]
    if differing:
        raise UserError(
            f"--workdir {workdir} holds a run with another config: {'; '.join(differing)}. "
            "Give another --workdir, or delete this one."
        )
    summary = workdir / SUMMARY
    return json.loads(summary.read_text()) if summary.is_file() else None


def make_workdir(workdir: Path) -> None:
    """Creates the directory and checks that it can be written.

    Raises:
        UserError: if it cannot be created or written.
    """
    probe = workdir / f".probe.{os.getpid()}"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"--workdir {workdir} cannot be written ({error.strerror}); give another, or change "
            "its permissions."
        ) from error


def read_config(workdir: Path) -> Config:
    """Returns the config of the run in a work directory.

    Raises:
        UserError: if there is no run, or its config cannot be read.
    """
    path = workdir / CONFIG
    if not path.is_file():
        raise UserError(f"--workdir {workdir} holds no run (no {CONFIG}); train one first.")
    try:
        return from_dict(Config, json.loads(path.read_text()))
    except ValueError as error:
        raise UserError(f"{path} cannot be used: {error}") from error


def describe_data(dataset: Dataset, input_shape: tuple[int, int, int]) -> dict[str, Any]:
    """Returns what a network needs to know of its data, and a checksum to recognise them by."""
    splits = ("train", "valid", "test")
    checksum = 0
    for split in splits:
        for array in (getattr(dataset, f"x_{split}"), getattr(dataset, f"y_{split}")):
            if array.size:
                checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return {
        "name": dataset.name,
        "image_shape": list(dataset.image_shape),
        "input_shape": list(input_shape),
        "class_names": list(dataset.class_names),
        "images": {split: len(getattr(dataset, f"y_{split}")) for split in splits},
        "crc32": f"{checksum:08x}",
    }


def check_data(workdir: Path, dataset: Dataset, input_shape: tuple[int, int, int]) -> None:
    """Checks that the data are those that the run was started with.

    Raises:
        UserError: if they differ.
    """
    stored, found = read_task(workdir), describe_data(dataset, input_shape)
    for name in found:
        if stored[name] != found[name]:
            raise UserError(
                f"--workdir {workdir} holds a run on other data: {name} is {stored[name]} there "
                f"and {found[name]} here. Give another --workdir, or restore the data."
            )


def write_metadata(
    workdir: Path, config: Config, dataset: Dataset, input_shape: tuple[int, int, int]
) -> None:
    """Writes the config and the description of the data, or checks the data of an existing run."""
    if (workdir / CONFIG).is_file():
        check_data(workdir, dataset, input_shape)
    else:
        write_json(workdir / TASK, describe_data(dataset, input_shape))
        write_json(workdir / CONFIG, to_dict(config))


def read_task(workdir: Path) -> dict[str, Any]:
    """Returns the description of the data (`describe_data`) from the start of the run."""
    path = workdir / TASK
    if not path.is_file():
        raise UserError(f"--workdir {workdir} holds no run (no {TASK}); train one first.")
    return json.loads(path.read_text())
