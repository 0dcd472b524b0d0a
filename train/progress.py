"""What one sees while training: a bar in a terminal, plain lines elsewhere, a table at the end."""

import time
from types import TracebackType
from typing import Any

import jax
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

console = Console(highlight=False, soft_wrap=True, quiet=False)

PAUSE = 5.0
"""Seconds between plain lines about training."""


class ProgressBar:
    """Steps done, loss, error, speed and time left.

    Args:
        step: steps done already.
        steps: steps in all.
    """

    def __init__(self, step: int, steps: int):
        self.steps = steps
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes the bar away."""
        self.bar.stop()

    def trained(self, step: int, numbers: dict[str, float], speed: float) -> None:
        """Shows the training numbers of the last steps."""
        text = (
            f"loss {numbers['loss']:.3f}  error {numbers['error']:5.2f} %  {speed:,.0f} examples/s"
        )
        self.bar.update(self.task, completed=step, description=text)
        if self.bar.disable and (time.monotonic() - self.last > PAUSE or step == self.steps):
            self.last = time.monotonic()
            say(f"step {step:>6,} of {self.steps:,}  train  {text}")

    def judged(self, step: int, split: str, numbers: dict[str, float]) -> None:
        """Leaves a line about an evaluation."""
        say(
            f"step {step:>6,} of {self.steps:,}  {split:<5}  loss {numbers['loss']:.3f}  "
            f"error {numbers['error']:5.2f} %"
        )


def say(text: str) -> None:
    """Prints a line, from process 0, above the bar where there is one."""
    if jax.process_index() == 0:
        console.print(text, markup=False)


def show_table(rows: dict[str, Any]) -> None:
    """Prints names and values as a small table."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows.items():
        table.add_row(name, str(value))
    if jax.process_index() == 0:
        console.print(table)
