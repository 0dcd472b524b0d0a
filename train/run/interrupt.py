"""Ctrl-C and SIGTERM: training stops at the next step boundary, where its state can be saved."""

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal after its state was saved.

    Attributes:
        number: the signal.
    """

    def __init__(self, number: int):
        super().__init__()
        self.number = number


class Interrupt:
    """While active, notes the first SIGINT or SIGTERM; a second one interrupts at once.

    A signal that the process was started to ignore stays ignored. In a thread other than the main
    one, and in runs of several processes, which must all take the same steps, nothing is changed.

    Args:
        active: False changes nothing.
    """

    def __init__(self, active: bool = True):
        self.active = active and threading.current_thread() is threading.main_thread()
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has asked the run to stop."""
        return self.number is not None

    def stop(self) -> None:
        """Raises `Interrupted` if a signal has asked the run to stop."""
        if self.number is not None:
            raise Interrupted(self.number)

    def __enter__(self) -> "Interrupt":
        """Takes over the signals."""
        for number in SIGNALS if self.active else ():
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            raise Interrupted(number)
        self.number = number
