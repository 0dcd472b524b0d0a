"""Checkpoints: a run that is killed at any moment resumes to the same result, bit for bit."""

import contextlib
import random
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from running import (
    ROOT,
    check_error,
    check_same_result,
    modification_times,
    run_train,
    train_command,
    train_env,
)

from train.cli import main
from train.config.files import load_config
from train.errors import UserError
from train.experiment import Experiment
from train.run.checkpoints import Checkpoints, HostState
from train.run.checksums import write_checksums
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


def _edit(path: Path, *, keep: int | None = None) -> None:
    """Flips a bit in the middle of a file, or keeps its first bytes."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data[:keep])


def _largest(folder: Path) -> Path:
    return max(folder.rglob("*"), key=lambda path: path.stat().st_size)


def test_a_run_resumes_from_the_checkpoint_before_a_damaged_one(
    finished_run: Path, damaged_run: Path, tiny_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the parameters and metrics of an undisturbed run, bit for bit."""
    last = damaged_run / "checkpoints" / "last"
    _edit(_largest(last / "40"))
    _edit(last / "36" / "host.json", keep=9)
    (damaged_run / "summary.json").unlink()
    name = _largest(last / "40").relative_to(last / "40")
    assert main(["fit", str(tiny_config), "--workdir", str(damaged_run)]) == 0
    out = capsys.readouterr().out
    assert f"checkpoint of step 40 is damaged ({name} has changed); taking that of step 30" in out
    assert "checkpoint of step 36 is damaged (host.json has changed)" in out
    assert "resuming from step 30" in out
    check_same_result(finished_run, damaged_run)
    states = []
    for run in (finished_run, damaged_run):
        experiment = Experiment.from_config(load_config(tiny_config))
        checkpoints = Checkpoints(run / "checkpoints", read_only=True)
        states.append(checkpoints.restore("last", experiment.abstract_state, experiment.mesh)[0])
        checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_where_no_checkpoint_is_whole_the_run_says_what_to_do(
    damaged_run: Path, tiny_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = damaged_run / "checkpoints" / "last"
    _edit(last / "40" / "manifest.ocdbt")
    (last / "36" / "SHA256SUMS").unlink()
    shutil.rmtree(last / "30" / "d")
    (damaged_run / "summary.json").unlink()
    before = modification_times(last)
    assert main(["fit", str(tiny_config), "--workdir", str(damaged_run)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "that of step 40 is damaged (manifest.ocdbt has changed); that of step 36" in error
    assert "it has no SHA256SUMS" in error
    assert "Restore one from a copy" in error
    assert modification_times(last) == before


def test_the_network_that_is_reported_is_the_one_that_was_asked_for(
    damaged_run: Path, tiny_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evaluation refuses a damaged best checkpoint; training goes on, and says so."""
    best = damaged_run / "checkpoints" / "best"
    _edit(_largest(best))
    assert main(["evaluate", "--workdir", str(damaged_run)]) == 2
    words = [f"the checkpoint {best / '40'} is damaged", f"delete {best} to take the last one"]
    check_error(capsys, words)
    (damaged_run / "summary.json").unlink()
    assert main(["fit", str(tiny_config), "--workdir", str(damaged_run)]) == 0
    out = capsys.readouterr().out
    assert "the best checkpoint, of step 40, is damaged" in out
    assert "testing the last step" in out
    assert main(["evaluate", "--workdir", str(damaged_run)]) == 0


def test_a_best_checkpoint_later_than_the_resumed_step_is_deleted(
    experiment: Experiment, tmp_path: Path
) -> None:
    checkpoints, abstract, mesh = Checkpoints(tmp_path), experiment.abstract_state, make_mesh()
    state = experiment.init()
    best = HostState(best_value=2.5, best_step=0)
    checkpoints.save("best", state, 0, best)
    checkpoints.save("last", state, 0, HostState(metrics_bytes=7))
    checkpoints.wait()
    resumed = checkpoints.resume(abstract, mesh)
    assert resumed
    assert resumed[1] == best._replace(metrics_bytes=7)
    checkpoints.save("best", state, 8, best)  # takes the place of the other
    checkpoints.wait()
    assert checkpoints.step("best") == 8
    resumed = checkpoints.resume(abstract, mesh)
    assert resumed
    assert resumed[1] == HostState(metrics_bytes=7)
    assert checkpoints.step("best") is None
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoints.restore("best", abstract, mesh)
    checkpoints.close()


def test_a_checkpoint_of_another_network_names_the_first_difference(
    experiment: Experiment, tmp_path: Path
) -> None:
    checkpoints, mesh = Checkpoints(tmp_path), make_mesh()
    state = experiment.init()
    checkpoints.save("last", state, 8, HostState())
    checkpoints.wait()
    abstract = experiment.abstract_state
    name = min(state.params)
    other: Any = jax.ShapeDtypeStruct((7,), np.float32)
    bad = abstract._replace(params=abstract.params | {name: other})
    for read in (partial(checkpoints.restore, "last"), checkpoints.resume):
        with pytest.raises(UserError, match=rf"{name} is \(.*\) there and \(7,\) here"):
            read(bad, mesh)
        more = abstract._replace(params=abstract.params | {"a.new.one": other})
        with pytest.raises(UserError, match=r"a\.new\.one is missing there"):
            read(more, mesh)
    restored, _ = checkpoints.restore("last", abstract, mesh)
    assert int(restored.step) == int(state.step)
    checkpoints.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of orbax_threads
@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sums", ["stale", "fresh"])
def test_no_flipped_byte_crashes_the_reader(
    finished_run: Path, experiment: Experiment, tmp_path: Path, count: int, sums: str
) -> None:
    """With sums as they were none is read; with fresh ones there is a state or one line."""
    source = finished_run / "checkpoints" / "last" / "40"
    number, errors = random.Random(0), []
    for _ in range(count):
        folder = Path(shutil.copytree(source, tmp_path / "last" / "40"))
        path = number.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
        data = bytearray(path.read_bytes())
        for place in number.choices(range(len(data)), k=number.choice([1, 3, 30, 1000])):
            data[place] ^= number.randrange(1, 256)
        size = number.choice([len(data), len(data), number.randrange(len(data))])
        path.write_bytes(data[:size])
        if sums == "fresh":
            write_checksums(folder)
        checkpoints = Checkpoints(tmp_path)
        try:
            assert checkpoints.resume(experiment.abstract_state, experiment.mesh)
        except UserError as error:
            errors.append(str(error))
        checkpoints.close()
        shutil.rmtree(folder)
    assert all("that of step 40" in error and "\n" not in error for error in errors)
    assert len(errors) == count if sums == "stale" else 0 < len(errors) < count


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
    assert done.stderr.startswith("error: the checkpoint in ")
    assert "cannot be saved (File too large). If the disk is full, make room" in done.stderr


def _is_mountable(folder: Path) -> bool:
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    return shutil.which("mount") is not None and not subprocess.run(mount, stderr=-3).returncode


@pytest.mark.slow
def test_a_run_goes_on_while_the_disk_is_full(
    tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    options = ["--train.steps", "1500", "--train.checkpoint-every", "50"]
    options += ["--train.eval-every", "100", "--train.log-every", "10"]
    whole, disk = tmp_path / "whole", tmp_path / "disk"
    disk.mkdir()
    if not _is_mountable(disk):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        run_train("fit", tiny_config, "--workdir", whole, *options, cache=compilation_cache)
        command = train_command("fit", tiny_config, "--workdir", disk / "run", *options)
        env = train_env(compilation_cache) | {"JAX_PLATFORMS": "cpu"}  # libtpu would print too
        with subprocess.Popen(
            command, env=env, cwd=ROOT, stdout=-1, stderr=-1, text=True
        ) as process:
            while not (disk / "run" / "checkpoints" / "last" / "100").exists():
                assert process.poll() is None
                time.sleep(0.01)
            with contextlib.suppress(OSError), (disk / "ballast").open("wb", 0) as ballast:
                while ballast.write(bytes(4096)):
                    pass
            time.sleep(1)
            (disk / "ballast").unlink()
            out, err = process.communicate()
        assert (process.returncode, err) == (0, "")
        assert "cannot be saved (No space left on device); that of step" in out
        check_same_result(whole, disk / "run")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
