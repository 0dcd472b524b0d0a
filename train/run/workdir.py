"""The work directory of a run, with all files written atomically.

config.json    the resolved config                  checkpoints/  the last ones, and the best
config.py      the config file, modules beside it   snapshots/    a few images during training
data.json      shapes, classes, a checksum          figures/      pictures
held_out.json  which examples were held out, if any
metrics.jsonl  metrics by step                      tensorboard/  the same for TensorBoard
summary.json   the result; written last, so it exists if and only if the run is finished
report.html    all of it on one page, after that
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from train.config.config import Config
from train.config.files import CONFIG_FILE
from train.config.serialize import flatten, from_dict, to_dict
from train.data.dataset import SPLITS, Data, DataSpec, describe
from train.errors import UserError, shorten
from train.run.json_files import read_json, write_json, write_text
from train.run.progress import log

CONFIG, DATA, SUMMARY = "config.json", "data.json", "summary.json"
HELD_OUT, METRICS, REPORT = "held_out.json", "metrics.jsonl", "report.html"
FOLDERS = ("checkpoints", "snapshots", "figures", "tensorboard")

_LENGTH = "train.steps"
"""The field that may be raised: the run then goes on."""

_SHOWN = 30
"""Number of differing fields that a message names."""

_MESH = "train.mesh"
"""The field that may change: where a run is computed is no part of what it is."""

REMEDY = "restore it, or train again in another --workdir"


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
    try:
        stored = flatten(read_json(workdir / CONFIG, (), REMEDY))
    except RecursionError as error:
        raise UserError(f"{workdir / CONFIG} is damaged ({shorten(error)}); {REMEDY}.") from error
    asked = flatten(to_dict(config))
    names = sorted((set(stored) | set(asked)) - {_MESH})
    differing = [name for name in names if stored.get(name) != asked.get(name)]
    longer = differing == [_LENGTH] and asked[_LENGTH] > stored[_LENGTH]
    if differing and not longer:
        details = [
            f"{shorten(name, 100)} is {shorten(repr(stored.get(name)), 100)} there and "
            f"{asked.get(name)!r} here"
            for name in differing[:_SHOWN]
        ]
        if len(differing) > _SHOWN:
            details.append(f"and {len(differing) - _SHOWN} fields more")
        raise UserError(
            f"--workdir {workdir} holds a run with another config: {'; '.join(details)}. "
            f"Give another --workdir, or delete this one; only {_LENGTH} may be raised."
        )
    path = workdir / SUMMARY
    if not path.is_file() or longer:
        return None
    remedy = "delete it, and the same command writes it again"
    return read_json(path, ("result",), remedy)


def _check_foreign(workdir: Path) -> None:
    """Checks that a directory without a run has none of the files that a run would write.

    Raises:
        UserError: naming them.
    """
    ours = (DATA, SUMMARY, HELD_OUT, METRICS, REPORT, *FOLDERS)
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
    values = read_json(path, (), REMEDY)
    try:
        return from_dict(values, workdir / CONFIG_FILE)
    except Exception as error:  # whatever stands there, and in the copy of the config file
        raise UserError(f"{path} cannot be used: {shorten(error, 600)}") from error


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


def check_finished(workdir: Path, config: Config) -> None:
    """Checks that the data of a finished run have not changed, if they are still there.

    Raises:
        UserError: if they differ.
    """
    try:
        spec = describe(config.data.build())
    except (ValueError, OSError) as error:
        log(f"the data of {workdir} cannot be read any more: {error}")
        return
    check_data(workdir, spec)


def write_metadata(
    workdir: Path,
    config: Config,
    spec: DataSpec,
    sources: Mapping[str, str],
    data: Data | None = None,
) -> None:
    """Writes config and description of the data, or checks the data of an existing run.

    The config comes first, since it marks the directory as that of a run.

    Args:
        workdir: work directory of the run.
        config: its config.
        spec: description of its data.
        sources: the config file and the modules beside it, by file name.
        data: its data, which may say what was held out.

    Raises:
        UserError: if the data are not those that the run was started with, or a source would
            overwrite another's file.
    """
    if (workdir / DATA).is_file():
        check_data(workdir, spec)
    elif (workdir / METRICS).exists():
        raise UserError(f"{workdir / DATA} is missing; restore it, or give another --workdir.")
    if jax.process_index():
        return
    changed = [name for name in sources if _differs(workdir / name, sources[name])]
    if changed and not (workdir / CONFIG).is_file():
        raise UserError(
            f"--workdir {workdir} holds {', '.join(changed)}, but no run: the config's files of "
            "that name would overwrite them. Give another directory."
        )
    for name in changed:
        log(f"{name} has changed since this run began; it goes on with the new one")
    (workdir / SUMMARY).unlink(missing_ok=True)  # of a run with fewer steps
    write_json(workdir / CONFIG, to_dict(config))
    for name, source in sources.items():
        (workdir / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(workdir / name, source)
    if not (workdir / DATA).is_file():
        write_json(workdir / DATA, to_json(spec))
        held_out = getattr(data, "held_out", None)
        if held_out:
            write_json(workdir / HELD_OUT, held_out)


def _differs(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8", errors="replace") != text


def to_json(spec: DataSpec) -> dict[str, Any]:
    """Returns the description of data as JSON has it."""
    values: dict[str, Any] = json.loads(json.dumps(spec._asdict()))
    return values


def read_spec(workdir: Path) -> DataSpec:
    """Returns the description of the data from the start of the run.

    Raises:
        UserError: if there is no run, or the file is damaged.
    """
    path = workdir / DATA
    if not path.is_file():
        raise UserError(f"--workdir {workdir} holds no run (no {DATA}); train one first.")
    values = read_json(path, DataSpec._fields, REMEDY)
    try:
        arrays = {name: (tuple(shape), dtype) for name, (shape, dtype) in values["arrays"].items()}
        spec = DataSpec(**values | {"arrays": arrays})
        _check_types(spec)
        return spec
    except (ValueError, TypeError, AttributeError, SyntaxError) as error:  # of NumPy's dtypes too
        raise UserError(f"{path} is damaged ({shorten(error)}); {REMEDY}.") from error


def _check_types(spec: DataSpec) -> None:
    """Checks what was read against what `describe` returns.

    Raises:
        ValueError: if a value is of another type, or no array could have it.
        TypeError: likewise.
    """
    if not all(isinstance(text, str) for text in (spec.name, spec.crc32)):
        raise ValueError("name and crc32 must be strings")
    for name, count in spec.counts.items():
        if name not in SPLITS or type(count) is not int or count < 0:
            raise ValueError(f"counts holds {shorten({name: count})}")
    for name, (shape, dtype) in spec.arrays.items():
        lengths = all(type(length) is int and 0 <= length < 1 << 31 for length in shape)
        if not lengths or not isinstance(dtype, str) or np.dtype(dtype).hasobject:
            raise ValueError(f"arrays holds {shorten({name: (shape, dtype)})}")
    names = spec.info.get("class_names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("class_names must be a list of strings")


def saved_step(workdir: Path) -> int | None:
    """Returns the step of the last checkpoint, by the names of the folders, or None."""
    steps = [path.name for path in (workdir / "checkpoints" / "last").glob("*")]
    return max((int(name) for name in steps if name.isdecimal()), default=None)
