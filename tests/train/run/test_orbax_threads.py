"""Messages of Orbax's threads: only those that are reported elsewhere are silenced."""

import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from train.run import orbax_threads


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
