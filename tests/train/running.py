"""Helpers for tests of training: processes, error messages, what a step needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUICKSTART = str(ROOT / "configs" / "quickstart.py")


def run_train(*arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m train`` and checks that it succeeds."""
    done = subprocess.run(
        train_command(*arguments), env=train_env(cache), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def train_command(*arguments: object) -> list[str]:
    """Returns the command line of ``python -m train``, with warnings as errors."""
    return [sys.executable, "-W", "error", "-m", "train", *map(str, arguments)]


def train_env(cache: Path) -> dict[str, str]:
    """Returns the environment of ``python -m train``, with a compilation cache."""
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def modification_times(folder: Path) -> dict[str, int]:
    """Returns the modification time of a folder and everything in it."""
    return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def check_error(capsys: pytest.CaptureFixture[str], words: list[str], out: str = "") -> None:
    """Checks that the only output is one line with an error that contains these words.

    Before it there may be one line that starts with ``out``.
    """
    said, err = capsys.readouterr()
    assert said.count("\n") == bool(out)
    assert said.startswith(out)
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for text in words:
        assert text in err
