"""Metrics by step, as ``metrics.jsonl`` and for TensorBoard; only process 0 writes."""

import json
import os
import time
from pathlib import Path

import jax
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from train.errors import UserError
from train.run.workdir import METRICS


class MetricsWriter:
    """Writes metrics during training.

    ``metrics.jsonl`` contains no timings, so that the same seed gives the same file.

    Args:
        workdir: work directory of the run.
        size: bytes of ``metrics.jsonl`` to keep: its size when the checkpoint was saved.
        step: step at which the run starts or resumes. TensorBoard is told to forget what an
            earlier process wrote of later steps.
    """

    def __init__(self, workdir: Path, *, size: int, step: int):
        self.file = None
        if jax.process_index():
            return
        self.file = (workdir / METRICS).open("ab", buffering=0)
        self.file.truncate(min(size, self.file.tell()))
        (workdir / "tensorboard").mkdir(exist_ok=True)
        # Written by this thread: an error, such as a full disk, is raised here. Without the suffix,
        # two writers of one second overwrite each other's file, and have no order.
        suffix = f".{time.time_ns()}.{os.getpid()}"
        self.board = EventsWriter(str(workdir / "tensorboard" / "events"), suffix)
        start = SessionLog(status=SessionLog.START)
        self._write_event(Event(step=step + 1, session_log=start))

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
            self._write_event(Event(step=step, summary=scalar(f"{split}/{name}", value)))

    def _write_event(self, event: Event) -> None:
        event.wall_time = time.time()
        self.board.write_event(event)

    def flush(self) -> int:
        """Flushes both files and returns the size of ``metrics.jsonl``."""
        if self.file is None:
            return 0
        self.board.flush()
        return self.file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Closes the files."""
        if self.file is not None:
            self.file.close()
            self.board.close()


def read_metrics(workdir: Path, split: str, name: str) -> tuple[list[int], list[float]]:
    """Returns the steps and values of one metric in ``metrics.jsonl``; both may be empty.

    Raises:
        UserError: if a line is damaged.
    """
    path = workdir / METRICS
    steps, values = [], []
    for number, line in enumerate(path.read_text().splitlines() if path.is_file() else (), 1):
        try:
            row = json.loads(line)
            if row["split"] == split and name in row:
                steps.append(int(row["step"]))
                values.append(float(row[name]))
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"line {number} of {path} is damaged ({error!r}).") from error
    return steps, values
