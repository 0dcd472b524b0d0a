"""Notices when another process of the run is lost, and ends this one with a sentence.

A collective waits for ever for a process that is gone. So each process says every second in the
coordinator's store that it is alive, and reads whether the others are.
"""

import contextlib
import ctypes
import itertools
import os
import signal
import threading
import time
from typing import Any, NoReturn

import jax

from train.run.distributed import FOLDER, SILENCE, store

ALIVE = f"{FOLDER}/alive/"
"""Folder of the signs of life."""

GRACE = 5.0
"""Seconds that process 0 stays after an error, for the others to read its last word."""

FINISHED, FAILED = "finished", "has ended: "

AGAIN = "Start all processes again; the run goes on from its last checkpoint."


class Watch:
    """While active, watches the other processes; does nothing where there are none."""

    def __init__(self) -> None:
        self.active = jax.process_count() > 1
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.client: Any = store() if self.active else None

    def __enter__(self) -> "Watch":
        """Starts watching."""
        if self.active:
            _end_with_sentence_on_abort()
            self.thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Stops watching, and tells the others how this process ends."""
        if not self.active:
            return
        if isinstance(error, jax.errors.JaxRuntimeError):  # perhaps a collective that a peer left;
            self.thread.join(SILENCE + GRACE)  # then the thread ends this process
        self.stopped.set()
        self.thread.join(GRACE)
        failed = isinstance(error, Exception)
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._say(f"{FAILED}{error or type(error).__name__}" if failed else FINISHED)
        if failed and not jax.process_index():
            time.sleep(GRACE)

    def _say(self, word: str) -> None:
        self.client.key_value_set(f"{ALIVE}{jax.process_index()}", word, allow_overwrite=True)

    def _run(self) -> None:
        words = [""] * jax.process_count()
        changed = [time.monotonic()] * len(words)
        for beat in itertools.count():
            if self.stopped.wait(1):
                return
            try:
                self._say(str(beat))
                found = dict(self.client.key_value_dir_get(ALIVE))
            except jax.errors.JaxRuntimeError:
                self._end(f"process 0 is lost: its store does not answer. {AGAIN}")
                return
            for process, before in enumerate(words):
                words[process] = found.get(f"{ALIVE}{process}", before)
                if words[process] != before:
                    changed[process] = time.monotonic()
                silent = time.monotonic() - changed[process] > SILENCE
                if words[process].startswith(FAILED):
                    self._end(f"process {process} {words[process]}")
                elif silent and words[process] != FINISHED:
                    self._end(f"process {process} is lost: silent for {SILENCE} seconds. {AGAIN}")

    def _end(self, text: str) -> None:
        """Ends this process, unless its main thread ends it in a moment."""
        if not self.stopped.wait(2):
            _end(text)


def _end(text: str) -> NoReturn:
    """Ends this process at once: its main thread may wait for ever."""
    os.write(2, f"error: {text}\n".encode())
    os._exit(1)


def _on_abort(number: int) -> None:
    _end(f"process 0 is lost: the connection to it is closed. {AGAIN}")


_ON_ABORT = ctypes.CFUNCTYPE(None, ctypes.c_int)(_on_abort)  # C keeps no reference to it


def _end_with_sentence_on_abort() -> None:
    """Adds a sentence where JAX aborts the process, as it does when process 0 is gone.

    The handler is called in the thread of JAX that aborts; one of Python's own would wait for the
    main thread.
    """
    ctypes.CDLL(None).signal(int(signal.SIGABRT), _ON_ABORT)
