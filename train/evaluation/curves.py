"""The curves of a run: each metric against the step, as read from ``metrics.jsonl``."""

from pathlib import Path
from typing import NamedTuple

from train.experiment import Experiment
from train.run.log import read_metrics
from train.tasks.task import warp_metrics

Line = tuple[list[int], list[float]]
"""Steps, and the value at each."""


class Curve(NamedTuple):
    """One metric during a run.

    Attributes:
        title: its name on the axis.
        log_scale: whether the axis is logarithmic.
        lines: by split; that of the test examples only where there are no validation examples.
    """

    title: str
    log_scale: bool
    lines: dict[str, Line]


def read_curves(workdir: Path, experiment: Experiment) -> list[Curve]:
    """Returns the curve of each metric that the run has written, in the order of its table.

    Raises:
        UserError: if a line of the file is damaged.
    """
    table = dict(experiment.task.metrics) | warp_metrics(experiment.network)
    curves = []
    for name, metric in table.items():
        lines = {split: read_metrics(workdir, split, name) for split in ("train", "valid", "test")}
        if lines["valid"][0]:
            del lines["test"]
        lines = {split: line for split, line in lines.items() if line[0]}
        if "train" in lines:
            curves.append(Curve(metric.title, metric.log_scale, lines))
    return curves
