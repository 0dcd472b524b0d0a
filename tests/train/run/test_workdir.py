"""Work directories: what a run writes, and which directories are refused."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from running import QUICKSTART, check_error, modification_times

from stn_jax.models import FCN
from train.cli import main
from train.config import Config, Images
from train.config.serialize import to_dict
from train.data import load
from train.data.dataset import describe
from train.run.devices import describe_hardware
from train.run.workdir import read_config, read_spec, write_metadata

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_summary_config_and_data_are_written(finished_run: Path, tiny_config: Path) -> None:
    summary = json.loads((finished_run / "summary.json").read_text())
    assert summary["steps"] == 40
    assert summary["seed"] == 0
    assert 0 <= summary["test_error"] <= 100
    assert summary["parameters"] == 324 * 8 + 8 + 8 * 6 + 6 + 64 * 8 + 8 + 8 * 3 + 3
    assert summary["seconds"] > 0
    assert summary["examples_per_second"] > 0
    assert {"git_revision", "devices", "jax_version", "valid_error", "best_step"} <= set(summary)
    assert summary["config"] == "tiny"
    assert shlex.split(summary["command"]) == ["python", "-m", "train", "fit", str(tiny_config)]
    assert summary["hardware"] == describe_hardware()
    finished = datetime.fromtimestamp((finished_run / "summary.json").stat().st_mtime, UTC)
    assert summary["date"] == finished.date().isoformat()
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
    check_error(capsys, ["config.json is damaged"])


@pytest.mark.parametrize(
    "name", ["data.json", "metrics.jsonl", "summary.json", "figures/curves.png", "tensorboard/x"]
)
def test_files_of_others_are_not_overwritten(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    (tmp_path / "notes.txt").write_text("no file of a run")
    before = modification_times(tmp_path)
    assert main(["fit", str(tiny_config), "--workdir", str(tmp_path)]) == 2
    check_error(capsys, [name.split("/")[0], "would be overwritten", "Give another directory"])
    assert modification_times(tmp_path) == before


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("data.json", "evaluate"),
        ("data.json", "fit"),
        ("config.json", "plot"),
        ("summary.json", "fit"),
    ],
)
def test_damaged_files_are_one_line(
    damaged_run: Path,
    tiny_config: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    verb: str,
    text: str,
) -> None:
    if (name, text) == ("config.json", "{}"):
        pytest.skip("a config of defaults")
    (damaged_run / name).write_text(text)
    config = [str(tiny_config)] if verb == "fit" else []
    assert main([verb, *config, "--workdir", str(damaged_run)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{damaged_run / name} is damaged" in err


def test_a_finished_run_notices_other_data(
    finished_run: Path, tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny_config.parent / "digits.npz"
    kept = path.read_bytes()
    arrays = dict(np.load(path))
    arrays["x_train"] = 255 - arrays["x_train"]
    try:
        np.savez(path, **arrays)
        assert main(["fit", str(tiny_config), "--workdir", str(finished_run)]) == 2
    finally:
        path.write_bytes(kept)
    assert "holds a run on other data: crc32" in capsys.readouterr().err


def test_what_was_held_out_is_listed(tmp_path: Path) -> None:
    x = np.arange(10 * 16).reshape(10, 4, 4).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=np.arange(10) % 2)
    (tmp_path / "run").mkdir()
    dataset = load(Images(str(tmp_path / "mine.npz")))
    write_metadata(tmp_path / "run", Config(FCN()), describe(dataset), {}, dataset)
    held = json.loads((tmp_path / "run" / "held_out.json").read_text())
    indices = [int(name[len("x_train[") : -1]) for name in held["test"]]
    np.testing.assert_array_equal(dataset.x_test[..., 0], x[indices])
