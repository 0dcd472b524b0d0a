"""Keeps Orbax's threads from printing what is reported in one line.

Where a checkpoint cannot be written or read, Orbax raises the first error in the thread that waits
for it. Its other writes end later, when nobody listens, and print tracebacks to stderr.
"""

import logging
import sys
import warnings
from types import CoroutineType
from typing import Any


def silence() -> None:
    """Silences messages about errors that Orbax also raises; everything else is passed on."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # it also logs every save
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    report, coroutine = sys.unraisablehook, CoroutineType  # Python clears this module as it ends

    def hook(unraisable: Any) -> None:
        error, source = unraisable.exc_value, unraisable.object
        late = isinstance(error, RuntimeError) and str(error) == "Event loop is closed"
        lost = isinstance(source, coroutine) and "orbax" in source.cr_code.co_filename
        if not (late or lost):
            report(unraisable)

    sys.unraisablehook = hook
