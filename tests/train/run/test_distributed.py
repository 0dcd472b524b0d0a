"""Several processes as one program: connected, agreed, equal to one process."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest
from processes import GLOO, check_close, finish, result_of, run, start
from running import ROOT, check_error, check_same_result, run_train

from train.cli import main
from train.run import distributed
from train.run.distributed import check_same, check_shared, connect, on_first

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
}
OPEN_MPI = {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911"}


@pytest.mark.parametrize(
    ("environment", "others"),
    [
        ({}, False),
        (SLURM | {"SLURM_NTASKS": "2"}, True),
        (SLURM | {"SLURM_NTASKS": "1"}, False),
        (OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": "4"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
    ],
    ids=["none", "slurm", "slurm-one-task", "open-mpi", "kubernetes-single-pod"],
)
def test_a_cluster_is_detected_where_it_has_started_several_processes(
    environment: dict[str, str], others: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert distributed._detects_others() is others


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--coordinator", "host"], "--coordinator host is not allowed; it must be HOST:PORT"),
        (["--coordinator", "host:0"], "HOST:PORT"),
        (["--coordinator", "host:1"], "--processes 0 is not allowed; it must be 1 or more"),
        (
            ["--coordinator", "host:1", "--processes", "2", "--process", "2"],
            "--process 2 is not allowed; it must be from 0 to 1",
        ),
        (["--processes", "2"], "need --coordinator HOST:PORT"),
        (["--process", "0"], "need --coordinator HOST:PORT"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    options: list[str], words: str, tiny_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", str(tiny_config), *options]) == 2
    check_error(capsys, [words])


def test_one_process_pays_nothing() -> None:
    connect(None, 0, -1)
    assert not jax.distributed.is_initialized()
    assert on_first(lambda: 3) == 3
    check_same("another config", lambda: pytest.fail("called"))


def test_a_folder_that_is_not_shared_is_named(tmp_path: Path) -> None:
    check_shared(tmp_path, "--workdir there")
    with pytest.raises(ValueError, match="--workdir there is not the same folder on process 0"):
        check_shared(tmp_path / "missing", "--workdir there", seconds=0)


def test_two_processes_train_as_one(
    finished_run: Path, tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    first, second = run(["fit", tiny_config, "--workdir", tmp_path], cache=compilation_cache)
    check_close(tmp_path, finished_run)
    assert "4 x cpu" in first.out
    assert (tmp_path / "figures" / "transformer.png").is_file()
    assert not GLOO.sub("", second.out)
    assert not second.err


MISSING = """
from train.run import distributed
distributed.START = 2
distributed.connect("127.0.0.1:1", 2, 1)
"""


def test_a_process_that_does_not_come_is_an_error() -> None:
    done = subprocess.run([sys.executable, "-c", MISSING], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("error: 127.0.0.1:1: not all processes have come within 2 seconds.")


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "devices"), [(2, 2), (4, 1)])
def test_processes_train_evaluate_save_and_resume(
    processes: int,
    devices: int,
    finished_run: Path,
    tiny_config: Path,
    compilation_cache: Path,
    tmp_path: Path,
) -> None:
    layout = {"processes": processes, "devices": devices, "cache": compilation_cache}
    schedule = ["--optim.schedule", "constant"]
    fit = ["fit", tiny_config, *schedule, "--workdir"]
    run([*fit, tmp_path / "whole"], **layout)
    run([*fit, tmp_path / "parts", "--train.steps", "24"], **layout)
    first, *_ = run([*fit, tmp_path / "parts"], **layout)
    assert "resuming from step 24" in first.out
    check_same_result(tmp_path / "whole", tmp_path / "parts")

    run_train(*fit, tmp_path / "one", cache=compilation_cache)
    check_close(tmp_path / "whole", tmp_path / "one")
    evaluate = ["evaluate", "--workdir", tmp_path / "whole"]
    first, *others = run(evaluate, **layout)
    alone = run_train(*evaluate, cache=compilation_cache)
    assert result_of(first.out) == result_of(alone.stdout)
    assert not any("test error" in other.out for other in others)
    first, *_ = run([*fit, tmp_path / "whole"], **layout)
    assert "is finished" in first.out


@pytest.mark.slow
def test_each_process_reads_its_own_rows(
    finished_run: Path, tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    options = ["--data.memory-limit", "0"]
    run(["fit", tiny_config, "--workdir", tmp_path, *options], cache=compilation_cache)
    check_close(tmp_path, finished_run, 3e-6)


OTHER_CODE = "train.fit.git_revision = lambda: 'abc'"
OTHER_DATA = """
to_json = train.fit.to_json
train.fit.to_json = lambda spec: to_json(spec._replace(crc32="abc"))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (
            {"last": ["--train.steps", "6"]},
            "error: process 1 runs another config than process 0: train.steps 6, not 8.",
        ),
        ({"change": OTHER_CODE}, "process 1 runs other code than process 0: revision 'abc', not '"),
        ({"change": OTHER_DATA}, "process 1 runs other data than process 0: crc32 'abc', not '"),
        ({"last": ["--workdir", "runs/elsewhere"]}, "is not the same folder on process 1"),
    ],
    ids=["config", "code", "data", "folder"],
)
def test_a_process_that_differs_is_named_by_all(
    difference: dict[str, Any],
    words: str,
    tiny_config: Path,
    compilation_cache: Path,
    tmp_path: Path,
) -> None:
    fit = ["fit", tiny_config, "--train.steps", "8", "--workdir", tmp_path / "run"]
    for process in finish(start(fit, cache=compilation_cache, **difference)):
        assert process.code in (1, 2)
        errors = [line for line in process.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert words in errors[0]


LAYOUTS = {"one": (1, 1), "eight": (1, 8), "two-by-two": (2, 2), "four": (4, 1)}
"""Processes, and devices of each."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("two-by-two", "one"),
        ("two-by-two", "eight"),
        ("one", "two-by-two"),
        ("eight", "two-by-two"),
        ("four", "two-by-two"),
    ],
)
def test_a_run_goes_on_with_other_processes_and_devices(
    before: str,
    after: str,
    tiny_config: Path,
    compilation_cache: Path,
    tmp_path: Path,
) -> None:
    fit = ["fit", tiny_config, "--optim.schedule", "constant", "--workdir"]
    for layout, steps in ((before, 24), (after, 40)):
        processes, devices = LAYOUTS[layout]
        first, *_ = run(
            [*fit, tmp_path / "moved", "--train.steps", steps],
            processes=processes,
            devices=devices,
            cache=compilation_cache,
        )
    assert "resuming from step 24" in first.out
    run([*fit, tmp_path / "one"], processes=1, devices=1, cache=compilation_cache)
    check_close(tmp_path / "moved", tmp_path / "one")
