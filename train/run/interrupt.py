"""Ctrl-C and SIGTERM: training stops at the next step boundary, where its state can be saved."""

import os
import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)

RESUME = 75
"""Exit code of a run that SIGTERM has stopped and that is saved: run the same command again.

The EX_TEMPFAIL of sysexits.h; 143, of a process that SIGTERM has killed, promises nothing.
"""


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal.

    Attributes:
        number: the signal.
        saved: whether the state was saved before.
    """

    def __init__(self, number: int, *, saved: bool):
        super().__init__()
        self.number, self.saved = number, saved

    @property
    def exit_code(self) -> int:
        """The exit code: `RESUME` if SIGTERM stopped the run and it is saved, or 128 + signal."""
        return RESUME if self.saved and self.number == signal.SIGTERM else 128 + self.number


class Interrupt:
    """While active, notes the first SIGINT or SIGTERM; a second one interrupts at once.

    Processes of one run must stop after the same step. JAX's coordination service watches for
    SIGTERM on each of them and agrees on a step; SIGINT is passed on to it as SIGTERM.

    A signal that the process was started to ignore stays ignored. In a thread other than the main
    one nothing is changed.

    Args:
        processes: number of processes of the run.
    """

    def __init__(self, processes: int = 1):
        self.shared = processes > 1
        self.number: int | None = None
        self._polls = 0
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has asked the run to stop here."""
        return self.number is not None

    def poll(self) -> bool:
        """Returns `requested`; every process calls it after each dispatch of steps."""
        if self.shared and self.number is None:
            from jax.experimental import multihost_utils

            self._polls += 1
            if multihost_utils.reached_preemption_sync_point(self._polls):
                self.number = signal.SIGTERM
        return self.requested

    def stop(self) -> None:
        """Raises `Interrupted` if a signal has asked the run to stop; its state is saved."""
        if self.number is not None:
            raise Interrupted(self.number, saved=True)

    def __enter__(self) -> "Interrupt":
        """Takes over the signals."""
        if threading.current_thread() is threading.main_thread():
            handlers = (
                {signal.SIGINT: _pass_on} if self.shared else dict.fromkeys(SIGNALS, self._note)
            )
            for number, handler in handlers.items():
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            raise Interrupted(number, saved=False)
        self.number = number


def _pass_on(number: int, frame: FrameType | None) -> None:
    """Turns Ctrl-C into SIGTERM; a second one interrupts at once."""
    signal.signal(number, signal.default_int_handler)
    os.kill(os.getpid(), signal.SIGTERM)
