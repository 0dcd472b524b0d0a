"""One process at a time in a work directory."""

import contextlib
import json
import os
import socket
import time
from pathlib import Path

import jax

from train.errors import UserError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

FILE = ".lock"
"""Name of the file that is there, and locked, while a process works in a directory."""


class RunLock:
    """Holds a directory while a run writes to it; the kernel releases it however the process ends.

    Of a run of several processes, the first one holds it.

    Args:
        workdir: an existing directory.

    Raises:
        UserError: on entering, if another process holds the directory; the message says which.
    """

    def __init__(self, workdir: Path):
        self.workdir = workdir
        self.path = workdir / FILE
        self.file: int | None = None

    def __enter__(self) -> "RunLock":
        """Takes the directory."""
        while fcntl is not None and self.file is None and not jax.process_index():
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                raise UserError(
                    f"--workdir {self.workdir} is in use by {self._read_holder()}; wait until it "
                    "ends, or give another."
                ) from None
            except OSError:  # a file system without locks
                os.close(file)
                self.path.unlink(missing_ok=True)
                return self
            if self._is_current(file):
                self.file = file
            else:  # another process removed the file between the two calls
                os.close(file)
        if self.file is not None:
            holder = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            }
            os.ftruncate(self.file, 0)
            os.pwrite(self.file, (json.dumps(holder) + "\n").encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        """Releases the directory."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()  # while it is still held, so that nobody else's is removed
            os.close(self.file)
            self.file = None

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self.path.stat())
        except FileNotFoundError:
            return False

    def _read_holder(self) -> str:
        try:
            holder = json.loads(self.path.read_text())
            return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, TypeError, KeyError):  # it has just come or gone
            return "another process"
