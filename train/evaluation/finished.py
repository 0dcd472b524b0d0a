"""Finished runs: where they are, what is known of them, and which of them stand in a table."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from train.errors import UserError, shorten
from train.run.json_files import read_json
from train.run.workdir import CONFIG, SUMMARY

UNKNOWN = "unknown"
"""What stands for a fact that a summary does not hold."""

PLACES = (("train", "mesh"), ("data", "manual_dir"), ("data", "data_dir"))
"""Fields of a config that say where a run took place; they may differ within an experiment."""

REPEATS = {"seed": ("train", "seed"), "digit": ("data", "digit")}
"""Fields of a config over which the numbers of an experiment are averaged."""


class Run(NamedTuple):
    """A finished run.

    Attributes:
        folder: its work directory, or a folder with its ``config.json`` and ``summary.json``.
        name: name of its config.
        summary: the content of ``summary.json``.
        settings: its config as text, without `PLACES` and `REPEATS`.
        repeat: the values of `REPEATS`, of those that its config has.
        start_from: name of the work directory whose weights it began with; None if it has none.
    """

    folder: Path
    name: str
    summary: dict[str, Any]
    settings: str
    repeat: dict[str, Any]
    start_from: str | None

    def number(self, key: str) -> float | None:
        """Returns a number of the summary, or None where it has none."""
        value = self.summary.get(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, key: str, form: str = "{}") -> str:
        """Returns a fact of the summary as text."""
        value = self.number(key) if form != "{}" else self.summary.get(key)
        return UNKNOWN if value is None else form.format(value)


def find_runs(places: Iterable[Path]) -> list[Path]:
    """Returns the folders of runs among folders and what is in them, in the order of their names.

    Raises:
        UserError: for a folder that neither is a run nor holds one.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise UserError(f"{place} does not exist; give a work directory, or a folder of them.")
        inner = [place] if (place / CONFIG).is_file() else sorted(place.glob(f"*/{CONFIG}"))
        folders = [one.parent if one.name == CONFIG else one for one in inner]
        if not folders:
            raise UserError(
                f"{place} holds no run (no {CONFIG}); give a work directory, or a folder of them."
            )
        found += [folder for folder in folders if folder not in found]
    return found


def read_run(folder: Path) -> Run | None:
    """Returns the run of a folder, or None if it is not finished.

    Raises:
        UserError: if a file is damaged.
    """
    if not (folder / SUMMARY).is_file():
        return None
    remedy = "restore it, or leave this run out"
    summary = read_json(folder / SUMMARY, ("result", "steps", "seed"), remedy)
    for key in ("steps", "seed"):
        if type(summary[key]) is not int:
            raise UserError(
                f"{folder / SUMMARY} is damaged ({key} is {shorten(repr(summary[key]), 100)}); "
                f"{remedy}."
            )
    config = read_json(folder / CONFIG, (), remedy)
    repeat = {"seed": summary["seed"]}
    for part, field in (*PLACES, *REPEATS.values()):
        value = config[part].pop(field, None) if isinstance(config.get(part), dict) else None
        if value is not None and (part, field) == REPEATS["digit"]:
            repeat["digit"] = value
    name = summary.get("config")
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.+-]*", name):
        name = folder.name
    train = config.get("train")
    start = train.get("start_from") if isinstance(train, dict) else None
    start = Path(start).name if isinstance(start, str) else None
    return Run(folder, name, summary, json.dumps(config, sort_keys=True), repeat, start)


def select(runs: Iterable[Run], name: str) -> list[Run]:
    """Returns the runs of a config that stand in a table: its longest, one for each repetition.

    Raises:
        UserError: if two of them have the same seed, and digit.
    """
    ways: dict[str, dict[Any, Run]] = {}
    for run in runs:
        if run.name == name:
            repeats = ways.setdefault(run.settings, {})
            other = repeats.setdefault(tuple(map(str, run.repeat.values())), run)
            if other is not run:
                same = " and ".join(f"{field} {value}" for field, value in run.repeat.items())
                raise UserError(
                    f"{other.folder} and {run.folder} are runs of {name} with {same}; leave one "
                    "out."
                )
    if not ways:
        return []

    def length(repeats: dict[Any, Run]) -> tuple[float, int]:
        return max(run.number("steps") or 0 for run in repeats.values()), len(repeats)

    return list(max(ways.values(), key=length).values())
