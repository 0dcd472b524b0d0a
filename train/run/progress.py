"""Console output: a progress bar in a terminal, plain lines elsewhere, a table at the end."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from train.tasks.task import Metric

console = Console(highlight=False, soft_wrap=True, quiet=False)

PAUSE = 5.0
"""Seconds between plain lines during training."""


class ProgressBar:
    """A progress bar with loss, error, speed and remaining time.

    Args:
        step: number of steps already taken.
        steps: total number of steps.
        metrics: the task's metrics; those with a format are shown.
    """

    def __init__(self, step: int, steps: int, metrics: Mapping[str, "Metric"]):
        self.steps = steps
        self.metrics = metrics
        self.last = 0.0
        self.bar = Progress(
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal or jax.process_index() != 0,
        )
        self.task = self.bar.add_task("compiling", total=steps, completed=step)

    def __enter__(self) -> "ProgressBar":
        """Shows the bar."""
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the bar."""
        self.bar.stop()

    def show_training(self, step: int, numbers: dict[str, float], speed: float) -> None:
        """Shows the training metrics of the last steps."""
        text = f"{self._format(numbers)}  {speed:,.0f} examples/s"
        self.bar.update(self.task, completed=step, description=text)
        if self.bar.disable and (time.monotonic() - self.last > PAUSE or step == self.steps):
            self.last = time.monotonic()
            log(f"step {step:>6,} of {self.steps:,}  train  {text}")

    def show_evaluation(self, step: int, split: str, numbers: dict[str, float]) -> None:
        """Prints a line with the metrics of an evaluation."""
        log(f"step {step:>6,} of {self.steps:,}  {split:<5}  {self._format(numbers)}")

    def _format(self, numbers: dict[str, float]) -> str:
        shown = {name: metric.text for name, metric in self.metrics.items() if metric.text}
        return "  ".join(f"{name} {text.format(numbers[name])}" for name, text in shown.items())


def log(text: str) -> None:
    """Prints a line above the progress bar, if there is one; only process 0 prints.

    The text is printed as it is, whole: it may hold names and paths that people have given.
    """
    if jax.process_index() == 0:
        console.print(Text(text), soft_wrap=True)


def show_table(rows: dict[str, Any]) -> None:
    """Prints names and values in two columns; only process 0 prints."""
    width = max(map(len, rows))
    for name, value in rows.items():
        log(f"{name:<{width}}  {value}")
