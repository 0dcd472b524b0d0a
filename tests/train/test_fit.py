"""The training run: finished runs, checkpoints, and training that diverges."""

import json
import os
from pathlib import Path

import pytest
from running import modification_times

from train.cli import main

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_last_and_best_checkpoints_are_kept(finished_run: Path) -> None:
    summary = json.loads((finished_run / "summary.json").read_text())
    steps = {
        which: [path.name for path in (finished_run / "checkpoints" / which).iterdir()]
        for which in ("last", "best")
    }
    assert steps == {"last": ["40"], "best": [str(summary["best_step"])]}


def test_finished_run_is_not_changed(
    finished_run: Path, tiny_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = modification_times(finished_run)
    assert main(["fit", str(tiny_config), "--workdir", str(finished_run)]) == 0
    assert "is finished" in capsys.readouterr().out
    assert modification_times(finished_run) == before


def test_training_stops_at_the_first_non_finite_number(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", str(tiny_config), "--workdir", str(tmp_path / "run")]
    command += ["--optim.learning-rate", "1e30", "--optim.warmup-steps", "0"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "error: step 1: not finite: the update of the parameters" in error
    assert "--optim.learning-rate" in error
    assert not os.listdir(tmp_path / "run" / "checkpoints" / "last")
    assert not (tmp_path / "run" / "summary.json").exists()
