"""Files of unknown origin: read, or refused in a line; no crash, no hang, never above 2 GB."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT

FUZZ = Path(__file__).parent / "fuzz.py"
READERS = ("npz", "npy", "image", "idx", "metadata", "config", "predictions")
IN_CHILDREN = ("model", "digits")
"""Readers that start a process for each file."""


def fuzz(readers: tuple[str, ...], count: int, folder: Path) -> None:
    """Reads files that were made to hurt, and so many malformed ones, in a process of its own."""
    folders = ROOT, Path(__file__).parents[1], os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(map(str, folders))
    done = subprocess.run(
        [sys.executable, str(FUZZ), ",".join(readers), str(count), str(folder)],
        env=os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60 + 3 * count,
    )
    assert done.returncode == 0, f"code {done.returncode}: {done.stderr[-3000:]}"
    found = re.findall(r"(\w+): (\d+) read, (\d+) refused, \d+ MB\n", done.stdout)
    assert [name for name, *_ in found] == list(readers)
    for _, read, refused in found:
        assert int(read) + int(refused) >= count
        assert int(read) > 0
        assert int(refused) > count // 10


def test_a_few_malformed_files_are_read_or_refused(tmp_path: Path) -> None:
    fuzz(READERS, 50, tmp_path)


def test_a_few_malformed_files_are_read_in_children_or_refused(tmp_path: Path) -> None:
    fuzz(IN_CHILDREN, 8, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS + IN_CHILDREN)
def test_a_thousand_malformed_files_are_read_or_refused(reader: str, tmp_path: Path) -> None:
    fuzz((reader,), 1000, tmp_path)
