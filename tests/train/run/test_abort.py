"""An aborted process ends with a sentence, even where its main thread waits."""

import subprocess
import sys

from running import ROOT

WAITING = """
import ctypes, threading, time
from train.run.abort import say_on_abort
say_on_abort("first")
say_on_abort("the second sentence")
threading.Thread(target=ctypes.CDLL(None).abort).start()
time.sleep(60)
"""


def test_an_abort_in_a_thread_says_the_last_sentence() -> None:
    done = subprocess.run([sys.executable, "-c", WAITING], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: the second sentence\n"
