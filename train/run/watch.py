"""Notices when another process of the run is lost, and ends this one with a sentence.

A collective waits for ever for a process that is gone. So each process says every second in the
coordinator's store that it is alive, and reads whether the others are. JAX notices it too, later,
and aborts with a page of text.
"""

import contextlib
import threading
import time
from typing import Any

import jax

from train.run.abort import end, say_on_abort
from train.run.distributed import FOLDER, SILENCE, is_connected, store

ALIVE = f"{FOLDER}/alive/"
"""Folder of the signs of life."""

GRACE = 5.0
"""Seconds that process 0 stays after an error, for the others to read its last word."""

FINISHED, FAILED = "finished", "has ended: "

AGAIN = "Start all processes again; the run goes on from its last checkpoint."


class Watch:
    """While active, watches the other processes; does nothing where there are none."""

    def __init__(self) -> None:
        self.active = is_connected()
        self.client: Any = store()
        self.stopped = threading.Event()
        self.words: dict[int, str] = {}
        self.heard: dict[int, float] = {}
        self.answers = True
        self.threads = [
            threading.Thread(target=loop, name="watch", daemon=True)
            for loop in (self._exchange_words, self._end_if_lost)
        ]

    def __enter__(self) -> "Watch":
        """Starts watching."""
        if self.active:
            say_on_abort(f"process 0 is lost: its connection is closed. {AGAIN}")
            self.heard = dict.fromkeys(range(jax.process_count()), time.monotonic())
            for thread in self.threads:
                thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Stops watching, and tells the others how this process ends."""
        if not self.active:
            return
        if isinstance(error, jax.errors.JaxRuntimeError):  # perhaps a collective that a peer left;
            self.threads[1].join(SILENCE + GRACE)  # then the thread ends this process
        self.stopped.set()
        self.threads[0].join(GRACE)
        failed = isinstance(error, Exception)
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._say(f"{FAILED}{error or type(error).__name__}" if failed else FINISHED)
        if failed and not jax.process_index():
            time.sleep(GRACE)

    def _say(self, word: str) -> None:
        self.client.key_value_set(f"{ALIVE}{jax.process_index()}", word, allow_overwrite=True)

    def _exchange_words(self) -> None:
        """Says that this process is alive, and reads the others' words; waits for process 0."""
        beat = 0
        while not self.stopped.wait(1):
            beat += 1
            try:
                self._say(str(beat))
                found = dict(self.client.key_value_dir_get(ALIVE))
            except jax.errors.JaxRuntimeError:
                self.answers = False
                return
            self.heard[0] = time.monotonic()
            for process in self.heard:
                word = found.get(f"{ALIVE}{process}", "")
                if word != self.words.get(process):
                    self.words[process] = word
                    self.heard[process] = time.monotonic()

    def _end_if_lost(self) -> None:
        """Ends this process when another has failed, or is silent."""
        while not self.stopped.wait(1):
            fault = self._find_fault()
            if fault and not self.stopped.wait(2):  # the main thread may end in a moment, too
                end(fault)

    def _find_fault(self) -> str | None:
        if not self.answers:
            return f"process 0 is lost: it does not answer. {AGAIN}"
        for process, since in list(self.heard.items()):  # 0 first: without it, all are silent
            word = self.words.get(process, "")
            if word.startswith(FAILED):
                return f"process {process} {word}"
            if word != FINISHED and time.monotonic() - since > SILENCE:
                return f"process {process} is lost: silent for {SILENCE} seconds. {AGAIN}"
        return None
