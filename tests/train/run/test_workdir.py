"""Work directories: what a run writes, and which directories are refused."""

import json
from pathlib import Path

import pytest
from running import QUICKSTART, check_error, modification_times

from stn_jax.models import FCN
from train.cli import main
from train.config import Config
from train.config.serialize import to_dict
from train.run.workdir import read_config, read_spec

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_summary_config_and_data_are_written(finished_run: Path) -> None:
    summary = json.loads((finished_run / "summary.json").read_text())
    assert summary["steps"] == 40
    assert summary["seed"] == 0
    assert 0 <= summary["test_error"] <= 100
    assert summary["parameters"] == 324 * 8 + 8 + 8 * 6 + 6 + 64 * 8 + 8 + 8 * 3 + 3
    assert summary["seconds"] > 0
    assert summary["examples_per_second"] > 0
    assert {"git_revision", "devices", "jax_version", "valid_error", "best_step"} <= set(summary)
    assert set(summary["class_errors"]) == {"0", "1", "2"}
    assert sum(map(sum, summary["confusion"])) == 21
    assert read_config(finished_run).train.checkpoint_every == 6
    spec = read_spec(finished_run)
    assert spec.counts == {"train": 50, "valid": 10, "test": 21}
    assert spec.arrays["images"] == ((12, 12, 1), "uint8")


def test_differing_fields_of_another_config_are_named(
    finished_run: Path, tiny_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = modification_times(finished_run)
    command = ["fit", str(tiny_config), "--workdir", str(finished_run), "--train.seed", "1"]
    assert main(command) == 2
    assert "train.seed is 0 there and 1 here" in capsys.readouterr().err
    assert modification_times(finished_run) == before


def test_unwritable_directory_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for workdir in (tmp_path / "file", tmp_path / "file" / "run"):  # fails for root too
        assert main(["fit", QUICKSTART, "--workdir", str(workdir)]) == 2
        check_error(
            capsys, [str(workdir), "give another" if workdir.name == "run" else "is a file"]
        )


def test_directory_of_another_config_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = to_dict(Config(FCN()))
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["fit", QUICKSTART, "--workdir", str(tmp_path)]) == 2
    check_error(capsys, [str(tmp_path), "another config", "train.steps is 1000 there", "--workdir"])
    (tmp_path / "config.json").write_text("{")
    assert main(["evaluate", "--workdir", str(tmp_path)]) == 2
    check_error(capsys, ["config.json cannot be used"])
