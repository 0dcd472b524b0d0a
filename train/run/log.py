"""Metrics by step, as ``metrics.jsonl`` and for TensorBoard; only process 0 writes.

A full disk does not stop a run: lines of ``metrics.jsonl`` wait in memory until there is room, and
TensorBoard misses a few points.
"""

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import jax
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from train.errors import UserError
from train.run.workdir import METRICS

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a full disk, a quota and a limit on the size of files."""


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
        self.waiting = bytearray()
        self.folder = workdir / "tensorboard"
        self.board: RecordWriter | None = None
        self._open_board()
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
        self.waiting += line.encode() + b"\n"
        self._write_waiting()
        for name, value in (numbers | (timings or {})).items():
            self._write_event(Event(step=step, summary=scalar(f"{split}/{name}", value)))
        self._flush_board()  # for whoever watches, and in case the process is killed

    def flush(self) -> tuple[int, OSError | None]:
        """Writes what is waiting, and begins another file for TensorBoard if one found no room.

        Returns:
            The size of ``metrics.jsonl``, and the error if a part of that has found no room yet.
        """
        if self.file is None:
            return 0, None
        error = self._write_waiting()
        if self.board is None:
            self._open_board()
        return self.file.seek(0, os.SEEK_END) + len(self.waiting), error

    def close(self) -> None:
        """Closes the files."""
        if self.file is not None:
            self._write_waiting()
            self.file.close()
            with self._without_board():
                if self.board is not None:
                    self.board.close()

    def _write_waiting(self) -> OSError | None:
        """Appends what is waiting to ``metrics.jsonl``; returns the error if there is no room."""
        assert self.file is not None
        try:
            while self.waiting:  # a disk that is nearly full takes a part
                del self.waiting[: self.file.write(self.waiting)]
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            return error
        return None

    def _open_board(self) -> None:
        with self._without_board():
            self.folder.mkdir(exist_ok=True)
            # TensorBoard reads files in the order of their names, and a second is not enough.
            now = time.time_ns()
            name = f"{now // 10**9}.{socket.gethostname()}.{now}.{os.getpid()}"
            self.board = RecordWriter(str(self.folder / f"events.out.tfevents.{name}"))
            self._write_event(Event(file_version="brain.Event:2"))

    def _write_event(self, event: Event) -> None:
        event.wall_time = time.time()
        with self._without_board():
            if self.board is not None:
                self.board.write(event.SerializeToString())

    def _flush_board(self) -> None:
        with self._without_board():
            if self.board is not None:
                self.board.flush()

    @contextlib.contextmanager
    def _without_board(self) -> Iterator[None]:
        """Gives up a file of TensorBoard that finds no room; the next `flush` begins another."""
        try:
            yield
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            if self.board is not None:
                with contextlib.suppress(OSError):
                    self.board.close()
            self.board = None


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
