"""SIGKILL at any moment, then the same command: the end of an uninterrupted run, bit for bit."""

import random
import signal
import subprocess
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import ROOT, run_train, train_command, train_env

from train.evaluate import load_run

pytestmark = pytest.mark.usefixtures("plain_numerics")


def _kill(command: list[str], cache: Path, workdir: Path, *, bytes_more: int, pause: float) -> None:
    """Starts a run and kills it once it has written so much more, and a moment has passed."""
    metrics = workdir / "metrics.jsonl"
    process = subprocess.Popen(command, env=train_env(cache), cwd=ROOT, stdout=subprocess.DEVNULL)
    sizes = []
    while process.poll() is None:
        sizes.append(metrics.stat().st_size if metrics.exists() else 0)
        if sizes[-1] >= min(sizes) + bytes_more:
            break
        time.sleep(0.002)
    time.sleep(pause)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def _same_end(one: Path, other: Path) -> None:
    a, b = load_run(one), load_run(other)
    assert a.step == b.step
    for name, value in a.params.items():
        np.testing.assert_array_equal(jax.device_get(b.params[name]), jax.device_get(value), name)
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()


def test_two_kills(
    finished_run: Path, tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    command = train_command("fit", tiny_config, "--workdir", tmp_path / "killed")
    for pause in (0, 0.05):  # the first kill hits the first save
        _kill(command, compilation_cache, tmp_path / "killed", bytes_more=1, pause=pause)
    run_train("fit", tiny_config, "--workdir", tmp_path / "killed", cache=compilation_cache)
    _same_end(finished_run, tmp_path / "killed")


@pytest.mark.slow
def test_five_kills_at_random_moments(
    tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = ["--train.steps", "2000", "--train.checkpoint-every", "50"]
    options += ["--train.eval-every", "200", "--train.log-every", "20"]
    run_train("fit", tiny_config, "--workdir", whole, *options, cache=compilation_cache)
    for _ in range(5):
        pause = random.uniform(0, 1.5)
        print(f"killed {pause} s after the first numbers")
        command = train_command("fit", tiny_config, "--workdir", killed, *options)
        _kill(command, compilation_cache, killed, bytes_more=1, pause=pause)
    done = run_train("fit", tiny_config, "--workdir", killed, *options, cache=compilation_cache)
    assert "goes on from step" in done.stdout
    _same_end(whole, killed)
