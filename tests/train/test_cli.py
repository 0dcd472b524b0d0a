"""Mistakes on the command line: one line, what to do, exit code 2, nothing left behind."""

import json
from pathlib import Path

import pytest

from train.cli import main
from train.config import Config
from train.fields import to_dict

QUICKSTART = str(Path(__file__).parents[2] / "configs" / "quickstart.py")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], ["verb 'train'", "fit, evaluate, predict, plot, compile"]),
        (["fit"], ["config file", "configs/quickstart.py"]),
        (["fit", "configs/quikstart.py"], ["is not there", "meant configs/quickstart.py"]),
        (["fit", "configs/zzz"], ["is not there", "there are", "configs/quickstart_cnn.py"]),
        (["fit", QUICKSTART, "--train.stepz=5"], ["--train.stepz=5", "meant --train.steps INT"]),
        (["fit", QUICKSTART, "--optim.learning-rate", "fast"], ["learning-rate", "'fast'"]),
        (["fit", QUICKSTART, "--optim.learning-rate", "-1"], ["learning_rate=-1.0", "above 0"]),
        (["fit", QUICKSTART, "--model.name", "vgg"], ["'vgg'", "'st_cnn'"]),
        (["fit", QUICKSTART, "--train.steps"], ["--train.steps"]),
        (["evaluate"], ["--workdir"]),
        (["evaluate", "--workdir", "nosuch"], ["nosuch", "holds no run"]),
        (["predict", "--workdir", "nosuch", "--out", "o"], ["images"]),
        (["plot", "--workdir", "nosuch"], ["nosuch", "holds no run"]),
    ],
)
def test_mistakes(
    arguments: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    _check(capsys, said)


def _check(capsys: pytest.CaptureFixture[str], said: list[str]) -> None:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for words in said:
        assert words in err


def test_data_mistakes_leave_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workdir = tmp_path / "run"
    assert main(["fit", QUICKSTART, "--workdir", str(workdir), "--data.name", "nosuch"]) == 2
    _check(capsys, ["'nosuch'", "bundled"])
    assert not workdir.exists() or not list(workdir.iterdir())


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--data.canvas", "20"], ["data.canvas=20", "28"]),
        (["--model.kernel-sizes", "31", "31"], ["input_shape", "too small"]),
        (["--train.batch-size", "20000"], ["train.batch_size=20000", "10000 training images"]),
    ],
)
def test_configs_that_do_not_fit_the_data(
    tmp_path: Path, option: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", QUICKSTART, "--workdir", str(tmp_path / "run"), *option]) == 2
    _check(capsys, said)


def test_unwritable_work_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for workdir in (tmp_path / "file", tmp_path / "file" / "run"):  # holds for root too
        assert main(["fit", QUICKSTART, "--workdir", str(workdir)]) == 2
        _check(capsys, [str(workdir), "give another" if workdir.name == "run" else "is a file"])


def test_a_work_directory_of_another_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = to_dict(Config())
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["fit", QUICKSTART, "--workdir", str(tmp_path)]) == 2
    _check(capsys, [str(tmp_path), "another config", "train.steps is 1000 there", "--workdir"])
    (tmp_path / "config.json").write_text("{")
    assert main(["evaluate", "--workdir", str(tmp_path)]) == 2
    _check(capsys, ["config.json cannot be used"])


@pytest.mark.parametrize("arguments", [[], ["--help"], ["fit", "--help"], ["evaluate", "--help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "usage: python -m train" in capsys.readouterr().out
