"""Runs of several processes on this machine, through the real command."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import ROOT, free_port, train_command, train_env

GLOO = re.compile(
    r"\[Gloo\] Rank|is connected to|peer ranks\.|Expected number of connected peer ranks is :"
    r"|[0-3\s]"
)
"""The pieces of the lines that Gloo prints for up to 4 devices; its threads mix them."""

TIMEOUT = 300
"""Seconds after which a run has hung."""

PROGRAM = """
import sys
import train.cli, train.fit
{change}
sys.exit(train.cli.main(sys.argv[1:]))
"""


@dataclass
class Host:
    """A host: its address, and what runs a command on it."""

    address: str
    command: Sequence[str]


@dataclass
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


def start(
    arguments: Sequence[object],
    *,
    cache: Path,
    processes: int = 2,
    devices: int = 2,
    last: Sequence[object] = (),
    change: str = "",
    hosts: Sequence[Host] = (),
) -> list[subprocess.Popen[str]]:
    """Starts the processes of one run.

    Args:
        arguments: what follows ``python -m train``.
        cache: compilation cache.
        processes: number of processes.
        devices: number of devices of each.
        last: further arguments of the last process.
        hosts: where each process runs; empty is this machine for all.
        change: Python that the last process runs first, as if its host had other code or data.
    """
    port = free_port()
    address = hosts[0].address if hosts else "127.0.0.1"
    common = ["--coordinator", f"{address}:{port}", "--processes", processes, "--process"]
    started = []
    for process in range(processes):
        command = train_command(*arguments, *common, process)
        if process == processes - 1:
            command += map(str, last)
            at = command.index("-m")
            command[at : at + 2] = ["-c", PROGRAM.format(change=change)]
        started.append(
            subprocess.Popen(
                [*(hosts[process].command if hosts else ()), *command],
                env=train_env(cache) | simulate(devices),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


def start_script(script: str, *arguments: object) -> list[subprocess.Popen[str]]:
    """Starts two processes of Python code, told a free port, their number and the arguments."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, "-c", script, str(port), str(index), *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        for index in range(2)
    ]


def simulate(devices: int) -> dict[str, str]:
    """Returns the environment in which a process has this many devices."""
    flag = f"--xla_force_host_platform_device_count={devices}"
    return {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}", "JAX_PLATFORMS": "cpu"}


def finish(started: Sequence[subprocess.Popen[str]]) -> list[Ended]:
    """Waits for processes; one that hangs is killed and fails the test."""
    end = time.monotonic() + TIMEOUT
    ended = []
    try:
        for process in started:
            out, err = process.communicate(timeout=max(1, end - time.monotonic()))
            ended.append(Ended(process.returncode, out, err))
    finally:
        for process in started:
            process.kill()
    return ended


def run(arguments: Sequence[object], **options: object) -> list[Ended]:
    """Runs all processes and checks that they succeed."""
    ended = finish(start(arguments, **options))  # type: ignore[arg-type]
    for process in ended:
        assert process.code == 0, process.err
    return ended


def wait_for_checkpoint(workdir: Path, step: int, started: list[subprocess.Popen[str]]) -> None:
    """Waits until a run has saved a step, or a later one."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        names = [path.name for path in (workdir / "checkpoints" / "last").glob("*")]
        if any(name.isdecimal() and int(name) >= step for name in names):
            return
        assert all(process.poll() is None for process in started)
        time.sleep(0.1)
    raise AssertionError(f"no checkpoint of step {step}")


def read_lines(workdir: Path) -> list[dict[str, float]]:
    """Returns the lines of ``metrics.jsonl``."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def check_close(found: Path, expected: Path, tolerance: float = 1e-6) -> None:
    """Checks that two runs have the same losses, to rounding; they are written in 7 digits."""
    pairs = list(zip(read_lines(found), read_lines(expected), strict=True))
    assert pairs
    for one, other in pairs:
        assert (one["step"], one["split"]) == (other["step"], other["split"])
        assert one["loss"] == pytest.approx(other["loss"], rel=tolerance, abs=tolerance)


def result_of(text: str) -> str:
    """Returns the test error that ``evaluate`` printed."""
    found = re.search(r"test error \S+ % \(.*?\)", text)
    assert found, text
    return found[0]
