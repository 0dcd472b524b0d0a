"""Messages of Orbax's threads: only those that are reported elsewhere are silenced."""

import subprocess
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from running import ROOT

from train.run import orbax_threads

ENDING = """
import string  # imported before the hook's module, so cleared after it

from train.run import orbax_threads


class Late:
    def __del__(self):
        raise ValueError("late")


string.late, string.kept = Late(), orbax_threads
orbax_threads.silence()
"""


def test_only_late_errors_of_orbax_are_silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    passed_on: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", passed_on.append)
    with warnings.catch_warnings():
        orbax_threads.silence()
    code: dict[str, Any] = {}
    for file in ("orbax/writing.py", "mine.py"):
        exec(compile(f"async def {file[0]}(): ...", file, "exec"), code)
    theirs, mine = code["o"](), code["m"]()
    late, other = RuntimeError("Event loop is closed"), RuntimeError("something else")
    for error, source in ((late, None), (other, theirs), (other, mine), (other, None)):
        sys.unraisablehook(SimpleNamespace(exc_value=error, object=source))
    assert [each.object for each in passed_on] == [mine, None]
    theirs.close()
    mine.close()


def test_errors_are_passed_on_while_python_ends() -> None:
    command = [sys.executable, "-c", ENDING]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.endswith("ValueError: late\n")
