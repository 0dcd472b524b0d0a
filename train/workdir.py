"""The work directory of a run: what is in it, whose it is, and files that are whole or not there.

config.json    everything that was resolved         checkpoints/  last, and best of validation
data.json      shapes, classes, a checksum          snapshots/    a few images as training goes
metrics.jsonl  numbers by step                      figures/      pictures
tensorboard/   the same for TensorBoard
summary.json   the result; written last, so that its presence means finished
"""

import json
import os
import subprocess
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from train.config import Config
from train.data import Dataset
from train.errors import UserError
from train.fields import flatten, from_dict, to_dict

CONFIG, TASK, SUMMARY = "config.json", "data.json", "summary.json"


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a JSON file, whole or not at all; only process 0 of several does."""
    if jax.process_index():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(values, indent=2) + "\n")
    os.replace(temporary, path)


def read_summary(workdir: Path, config: Config) -> dict[str, Any] | None:
    """Returns the summary of a finished run of this config, or None; changes nothing.

    Raises:
        UserError: if the directory holds something else, or a run with another config.
    """
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir {workdir} is a file; give a directory.")
    path = workdir / CONFIG
    if not path.is_file():
        if (workdir / "checkpoints").exists() or (workdir / SUMMARY).exists():
            raise UserError(f"--workdir {workdir} holds a run without {CONFIG}; give another.")
        return None
    stored = flatten(to_dict(load_config(workdir)))
    asked = flatten(to_dict(config))
    differing = [
        f"{name} is {stored[name]!r} there and {asked[name]!r} here"
        for name in asked
        if stored[name] != asked[name]
    ]
    if differing:
        raise UserError(
            f"--workdir {workdir} holds a run with another config: {'; '.join(differing)}. "
            "Give another --workdir, or delete that one."
        )
    summary = workdir / SUMMARY
    return json.loads(summary.read_text()) if summary.is_file() else None


def make_workdir(workdir: Path) -> None:
    """Makes the directory, and makes sure that it can be written.

    Raises:
        UserError: if it cannot.
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


def load_config(workdir: Path) -> Config:
    """Returns the config of the run in a work directory.

    Raises:
        UserError: if there is no run, or one that this version does not understand.
    """
    path = workdir / CONFIG
    if not path.is_file():
        raise UserError(
            f"--workdir {workdir} holds no run, for it has no {CONFIG}; train one first."
        )
    try:
        return from_dict(Config, json.loads(path.read_text()))
    except ValueError as error:
        raise UserError(f"{path} cannot be used: {error}") from error


def describe_data(dataset: Dataset, input_shape: tuple[int, int, int]) -> dict[str, Any]:
    """Returns what a network has to know of its data, and a checksum to know them again by."""
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
    """Makes sure that the data are those which the run in a work directory began with.

    Raises:
        UserError: if they are not.
    """
    stored, found = read_task(workdir), describe_data(dataset, input_shape)
    for name in found:
        if stored[name] != found[name]:
            raise UserError(
                f"--workdir {workdir} holds a run on other data: {name} is {stored[name]} there "
                f"and {found[name]} here. Give another --workdir, or bring back the data."
            )


def claim(
    workdir: Path, config: Config, dataset: Dataset, input_shape: tuple[int, int, int]
) -> None:
    """Writes what the run is, or makes sure that it is the one which was begun here."""
    if (workdir / CONFIG).is_file():
        check_data(workdir, dataset, input_shape)
    else:
        write_json(workdir / TASK, describe_data(dataset, input_shape))
        write_json(workdir / CONFIG, to_dict(config))


def read_task(workdir: Path) -> dict[str, Any]:
    """Returns what `describe_data` said when the run began."""
    path = workdir / TASK
    if not path.is_file():
        raise UserError(f"--workdir {workdir} holds no run, for it has no {TASK}; train one first.")
    return json.loads(path.read_text())


def git_revision() -> str | None:
    """Returns the checkout's commit, ``-dirty`` where files differ from it; None without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None
