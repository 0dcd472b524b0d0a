"""Checkpoints: a run that is killed at any moment resumes to the same result, bit for bit."""

import random
import signal
import subprocess
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from running import (
    ROOT,
    check_error,
    check_same_result,
    run_train,
    train_command,
    train_env,
)

from train.cli import main
from train.errors import UserError
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


def test_run_killed_twice_equals_uninterrupted_run(
    finished_run: Path, tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    command = train_command("fit", tiny_config, "--workdir", tmp_path / "killed")
    for pause in (0, 0.05):  # the first one during the first save
        _kill(command, compilation_cache, tmp_path / "killed", bytes_more=1, pause=pause)
    run_train("fit", tiny_config, "--workdir", tmp_path / "killed", cache=compilation_cache)
    check_same_result(finished_run, tmp_path / "killed")


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
    check_same_result(whole, killed)


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


def test_a_checkpoint_of_another_network_names_the_first_difference(
    experiment: Experiment, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path)
    state = experiment.init()
    checkpoints.save("last", state, 8, HostState())
    checkpoints.wait()
    abstract = experiment.abstract_state
    name = min(state.params)
    other = jax.ShapeDtypeStruct((7,), np.float32)
    bad = abstract._replace(params=abstract.params | {name: other})
    there = rf"{name} is \(.*\) there and \(7,\) here"
    with pytest.raises(UserError, match=there):
        checkpoints.restore("last", bad, make_mesh())
    more = abstract._replace(params=abstract.params | {"a.new.one": other})
    with pytest.raises(UserError, match=r"a\.new\.one is missing there"):
        checkpoints.restore("last", more, make_mesh())
    restored, _ = checkpoints.restore("last", abstract, make_mesh())
    assert int(restored.step) == int(state.step)
    checkpoints.close()


def test_a_damaged_checkpoint_is_one_line(damaged_run: Path, capsys: pytest.CaptureFixture) -> None:
    for path in (damaged_run / "checkpoints" / "best").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:5])
    assert main(["evaluate", "--workdir", str(damaged_run)]) == 2
    check_error(capsys, [f"the checkpoint {damaged_run / 'checkpoints' / 'best'}", "damaged or of"])


def test_a_full_disk_is_one_line(
    tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    limited = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh"]  # blocks of 512 bytes
    done = subprocess.run(
        [*limited, *train_command("fit", tiny_config, "--workdir", tmp_path / "run")],
        env=train_env(compilation_cache)
        # An installed libtpu would look for a TPU, and report that there is none.
        | {"JAX_ENABLE_COMPILATION_CACHE": "false", "JAX_PLATFORMS": "cpu"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
