"""Metrics by step, as ``metrics.jsonl`` and for TensorBoard; only process 0 writes."""

import json
import os
from pathlib import Path

import jax
from tensorboardX import SummaryWriter

FILE = "metrics.jsonl"


class MetricsWriter:
    """Writes metrics during training.

    ``metrics.jsonl`` contains no timings, so that the same seed gives the same file.

    Args:
        workdir: work directory of the run.
        size: bytes of ``metrics.jsonl`` to keep: its size when the checkpoint was saved.
        step: step at which the run starts or resumes.
    """

    def __init__(self, workdir: Path, *, size: int, step: int):
        self.file = None
        if jax.process_index():
            return
        self.file = (workdir / FILE).open("ab")
        self.file.truncate(min(size, self.file.tell()))
        # Without the suffix, two writers started within one second overwrite each other's file.
        self.board = SummaryWriter(
            str(workdir / "tensorboard"),
            purge_step=step + 1 if step else None,
            filename_suffix=f".{os.getpid()}",
        )

    def write(
        self,
        step: int,
        split: str,
        numbers: dict[str, float],
        timings: dict[str, float] | None = None,
    ) -> None:
        """Appends one line, and writes the numbers and timings for TensorBoard.

        Args:
            step: number of steps taken.
            split: "train", "valid" or "test".
            numbers: metrics by name.
            timings: numbers for TensorBoard only, since they depend on the clock.
        """
        if self.file is None:
            return
        rounded = {name: float(f"{value:.7g}") for name, value in numbers.items()}
        line = json.dumps({"step": step, "split": split, **rounded})
        self.file.write(line.encode() + b"\n")
        for name, value in (numbers | (timings or {})).items():
            self.board.add_scalar(f"{split}/{name}", value, step)

    def flush(self) -> int:
        """Flushes both files and returns the size of ``metrics.jsonl``."""
        if self.file is None:
            return 0
        self.board.flush()
        self.file.flush()
        return self.file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Closes the files."""
        if self.file is not None:
            self.file.close()
            self.board.close()


def read_metrics(workdir: Path, split: str, name: str) -> tuple[list[int], list[float]]:
    """Returns the steps and values of one metric in ``metrics.jsonl``; both may be empty."""
    path = workdir / FILE
    lines = path.read_text().splitlines() if path.is_file() else []
    rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if row["split"] == split and name in row]
    return [row["step"] for row in rows], [row[name] for row in rows]
