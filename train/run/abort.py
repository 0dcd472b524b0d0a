"""A sentence where JAX aborts the process, as it does when its coordinator cannot be reached."""

import ctypes
import os
import signal
from typing import NoReturn

_sentence = ""


def say_on_abort(sentence: str) -> None:
    """Ends an aborted process with a sentence and exit code 1; a later call replaces the sentence.

    The handler runs in the thread of JAX that aborts. One of Python's own would wait for the main
    thread, which may wait for ever.
    """
    global _sentence
    _sentence = sentence
    ctypes.CDLL(None).signal(int(signal.SIGABRT), _HANDLER)


def end(sentence: str) -> NoReturn:
    """Ends this process at once with a sentence: its main thread may wait for ever."""
    os.write(2, f"error: {sentence}\n".encode())
    os._exit(1)


def _on_abort(number: int) -> None:
    end(_sentence)


_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)(_on_abort)  # C keeps no reference to it
