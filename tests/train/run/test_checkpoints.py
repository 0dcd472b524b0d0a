"""Checkpoints: a run that is killed at any moment resumes to the same result, bit for bit."""

import random
import signal
import subprocess
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from running import ROOT, run_train, train_command, train_env

from train.errors import UserError
from train.evaluation.evaluator import load_run
from train.experiment import Experiment
from train.run.checkpoints import Checkpoints, HostState
from train.run.devices import make_mesh

pytestmark = pytest.mark.usefixtures("plain_numerics")


def _kill(command: list[str], cache: Path, workdir: Path, *, bytes_more: int, pause: float) -> None:
    """Starts a run and kills it ``pause`` seconds after it has written ``bytes_more`` bytes."""
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


def _assert_same_result(one: Path, other: Path) -> None:
    a, b = load_run(one, data=False), load_run(other, data=False)
    assert a.step == b.step
    for name, value in a.params.items():
        np.testing.assert_array_equal(jax.device_get(b.params[name]), jax.device_get(value), name)
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()


def test_run_killed_twice_equals_uninterrupted_run(
    finished_run: Path, tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    command = train_command("fit", tiny_config, "--workdir", tmp_path / "killed")
    for pause in (0, 0.05):  # the first one during the first save
        _kill(command, compilation_cache, tmp_path / "killed", bytes_more=1, pause=pause)
    run_train("fit", tiny_config, "--workdir", tmp_path / "killed", cache=compilation_cache)
    _assert_same_result(finished_run, tmp_path / "killed")


@pytest.mark.slow
def test_run_killed_at_random_equals_uninterrupted_run(
    tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = ["--train.steps", "2000", "--train.checkpoint-every", "50"]
    options += ["--train.eval-every", "200", "--train.log-every", "20"]
    run_train("fit", tiny_config, "--workdir", whole, *options, cache=compilation_cache)
    for _ in range(5):
        pause = random.uniform(0, 1.5)
        print(f"killed {pause} s after the first metrics")
        command = train_command("fit", tiny_config, "--workdir", killed, *options)
        _kill(command, compilation_cache, killed, bytes_more=1, pause=pause)
    done = run_train("fit", tiny_config, "--workdir", killed, *options, cache=compilation_cache)
    assert "resuming from step" in done.stdout
    _assert_same_result(whole, killed)


def test_best_checkpoint_later_than_the_resumed_step_is_deleted(
    experiment: Experiment, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path)
    host_state = HostState(metrics_bytes=7, best_value=2.5, best_step=8)
    checkpoints.save("best", experiment.init(), 8, host_state)
    checkpoints.wait()
    checkpoints.delete_best_after(8)
    _, restored = checkpoints.restore("best", experiment.abstract_state, make_mesh())
    assert restored == host_state
    checkpoints.delete_best_after(6)
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoints.restore("best", experiment.abstract_state, make_mesh())
    checkpoints.close()
