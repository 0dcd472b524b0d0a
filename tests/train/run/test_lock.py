"""One process at a time in a work directory, and who holds it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT

from train.errors import UserError
from train.run.lock import FILE, RunLock

HOLD = """
import sys
from pathlib import Path
from train.run.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        who = f"in use by process {holder.pid} on {socket.gethostname()} since 20"
        with pytest.raises(UserError, match=who), RunLock(tmp_path):
            pass
        assert json.loads((tmp_path / FILE).read_text())["pid"] == holder.pid
        holder.kill()
    with RunLock(tmp_path):  # a killed process holds nothing
        assert json.loads((tmp_path / FILE).read_text())["pid"] == os.getpid()
    assert not os.listdir(tmp_path)


def test_the_file_of_another_holder_is_not_removed(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(UserError, match="in use"), RunLock(tmp_path):
        pass
    (tmp_path / FILE).write_text("")  # of a process that was killed before it had written
    with RunLock(tmp_path):
        (tmp_path / FILE).write_text("")
        with pytest.raises(UserError, match="another process"), RunLock(tmp_path):
            pass
    assert not os.listdir(tmp_path)
