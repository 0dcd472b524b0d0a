"""The work directory of a run, with all files written atomically.

config.json    the resolved config                  checkpoints/  last, and best by validation
data.json      shapes, classes, a checksum          snapshots/    a few images during training
held_out.json  images held out by set, if any were  figures/      pictures
metrics.jsonl  metrics by step                      tensorboard/  the same for TensorBoard
summary.json   the result; written last, so it exists if and only if the run is finished
"""

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
from train.run.json_files import read_json, write_json

CONFIG, TASK, SUMMARY, HELD_OUT = "config.json", "data.json", "summary.json", "held_out.json"
METRICS, FOLDERS = "metrics.jsonl", ("checkpoints", "snapshots", "figures", "tensorboard")

_LENGTH = "train.steps"
"""The field that may be raised: the run then goes on."""

_TASK_KEYS = ("name", "image_shape", "input_shape", "class_names", "images", "crc32")


def read_summary(workdir: Path, config: Config) -> dict[str, Any] | None:
    """Returns the summary of a finished run of this config, or None if it is not finished.

    A run with fewer steps than the config has is not finished.

    Raises:
        UserError: if the directory contains something else, or a run with another config.
    """
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir {workdir} is a file; give a directory.")
    if not (workdir / CONFIG).is_file():
        _check_foreign(workdir)
        return None
    stored = flatten(to_dict(read_config(workdir)))
    asked = flatten(to_dict(config))
    differing = [name for name in asked if stored[name] != asked[name]]
    longer = differing == [_LENGTH] and asked[_LENGTH] > stored[_LENGTH]
    if differing and not longer:
        details = [
            f"{name} is {stored[name]!r} there and {asked[name]!r} here" for name in differing
        ]
        raise UserError(
            f"--workdir {workdir} holds a run with another config: {'; '.join(details)}. "
            f"Give another --workdir, or delete this one; only {_LENGTH} may be raised."
        )
    path = workdir / SUMMARY
    if not path.is_file() or longer:
        return None
    remedy = "delete it, and the same command writes it again"
    return read_json(path, ("test_error",), remedy)


def _check_foreign(workdir: Path) -> None:
    """Checks that a directory without a run has none of the files that a run would write.

    Raises:
        UserError: naming them.
    """
    ours = (TASK, SUMMARY, HELD_OUT, METRICS, *FOLDERS)
    found = [name for name in ours if os.path.lexists(workdir / name)]
    if found:
        raise UserError(
            f"--workdir {workdir} holds {', '.join(found)}, but no run (no {CONFIG}): these files "
            "would be overwritten. Give another directory."
        )


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
    values = read_json(path, (), "restore it, or train again elsewhere")
    try:
        return from_dict(Config, values)
    except (ValueError, TypeError, AttributeError) as error:  # whatever stands there
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
    """Writes the config and the description of the data, or checks the data of an existing run.

    The config comes first, since it marks the directory as that of a run.
    """
    if (workdir / TASK).is_file():
        check_data(workdir, dataset, input_shape)
    elif (workdir / METRICS).exists():
        raise UserError(f"{workdir / TASK} is missing; restore it, or give another --workdir.")
    if jax.process_index():
        return
    if not (workdir / CONFIG).is_file() or read_config(workdir) != config:
        (workdir / SUMMARY).unlink(missing_ok=True)  # of the run with fewer steps
        write_json(workdir / CONFIG, to_dict(config))
    if not (workdir / TASK).is_file():
        write_json(workdir / TASK, describe_data(dataset, input_shape))
        if dataset.held_out:
            write_json(workdir / HELD_OUT, dataset.held_out)


def read_task(workdir: Path) -> dict[str, Any]:
    """Returns the description of the data (`describe_data`) from the start of the run.

    Raises:
        UserError: if there is no run, or the file is damaged.
    """
    path = workdir / TASK
    if not path.is_file():
        raise UserError(f"--workdir {workdir} holds no run (no {TASK}); train one first.")
    return read_json(path, _TASK_KEYS, "restore it, or train again elsewhere")


def saved_step(workdir: Path) -> int | None:
    """Returns the step of the last checkpoint, by the names of the folders, or None."""
    steps = [path.name for path in (workdir / "checkpoints" / "last").glob("*")]
    return max((int(name) for name in steps if name.isdecimal()), default=None)
