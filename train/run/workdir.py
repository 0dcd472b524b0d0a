"""The work directory of a run, with all files written atomically.

config.json    the resolved config                  checkpoints/  last, and best by validation
config.py      the config file, modules beside it   snapshots/    a few images during training
data.json      shapes, classes, a checksum          figures/      pictures
metrics.jsonl  metrics by step                      tensorboard/  the same for TensorBoard
summary.json   the result; written last, so it exists if and only if the run is finished
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from train.config.config import Config
from train.config.files import CONFIG_FILE
from train.config.serialize import flatten, from_dict, to_dict
from train.data.dataset import DataSpec
from train.errors import UserError
from train.run.progress import log

CONFIG, DATA, SUMMARY = "config.json", "data.json", "summary.json"


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a JSON file atomically; only process 0 writes."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file atomically; only process 0 writes."""
    if jax.process_index():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
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
    stored, asked = flatten(_read_json(path)), flatten(to_dict(config))
    differing = [
        f"{name} is {stored.get(name)!r} there and {asked.get(name)!r} here"
        for name in sorted(set(stored) | set(asked))
        if stored.get(name) != asked.get(name)
    ]
    if differing:
        raise UserError(
            f"--workdir {workdir} holds a run with another config: {'; '.join(differing)}. "
            "Give another --workdir, or delete this one."
        )
    return _read_json(workdir / SUMMARY) if (workdir / SUMMARY).is_file() else None


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
        return from_dict(_read_json(path), workdir / CONFIG_FILE)
    except ValueError as error:
        raise UserError(f"{path} cannot be used: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(
            f"{path} cannot be used: it is damaged ({error}); train again in another --workdir."
        ) from error


def check_data(workdir: Path, spec: DataSpec) -> None:
    """Checks that the data are those that the run was started with.

    Raises:
        UserError: if they differ.
    """
    stored, found = (to_json(one) for one in (read_spec(workdir), spec))
    for name in found:
        if stored[name] != found[name]:
            raise UserError(
                f"--workdir {workdir} holds a run on other data: {name} is {stored[name]} there "
                f"and {found[name]} here. Give another --workdir, or restore the data."
            )


def write_metadata(
    workdir: Path, config: Config, spec: DataSpec, sources: Mapping[str, str]
) -> None:
    """Writes config and description of the data, or checks the data of an existing run.

    Args:
        workdir: work directory of the run.
        config: its config.
        spec: description of its data.
        sources: the config file and the modules beside it, by file name.
    """
    if (workdir / CONFIG).is_file():
        check_data(workdir, spec)
    else:
        write_json(workdir / DATA, to_json(spec))
    for name, source in sources.items():
        path = workdir / name
        if path.is_file() and path.read_text() != source:
            log(f"{name} has changed since this run began; it goes on with the new one")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, source)
    write_json(workdir / CONFIG, to_dict(config))


def to_json(spec: DataSpec) -> dict[str, Any]:
    """Returns the description of data as JSON has it."""
    return json.loads(json.dumps(spec._asdict()))


def read_spec(workdir: Path) -> DataSpec:
    """Returns the description of the data from the start of the run."""
    path = workdir / DATA
    if not path.is_file():
        raise UserError(f"--workdir {workdir} holds no run (no {DATA}); train one first.")
    values = _read_json(path)
    try:
        arrays = {name: (tuple(shape), dtype) for name, (shape, dtype) in values["arrays"].items()}
        return DataSpec(**values | {"arrays": arrays})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be used ({error!r}); train again in another --workdir."
        ) from error
