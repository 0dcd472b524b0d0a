"""Mistakes on the command line: one line that says what to do, exit code 2, no files written."""

import subprocess
import sys
from pathlib import Path

import pytest
from running import QUICKSTART, ROOT, check_error

from train.cli import load_config, main
from train.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], ["verb 'train'", "fit, evaluate, predict, plot, compile"]),
        (["fit"], ["config file", "configs/quickstart.py"]),
        (["fit", "configs/quikstart.py"], ["does not exist", "meant configs/quickstart.py"]),
        (["fit", "configs/zzz"], ["does not exist", "there are", "configs/quickstart_cnn.py"]),
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
def test_mistakes_are_reported_in_one_line(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    check_error(capsys, words)


def test_mistakes_in_the_data_leave_no_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir = tmp_path / "run"
    assert main(["fit", QUICKSTART, "--workdir", str(workdir), "--data.name", "nosuch"]) == 2
    check_error(capsys, ["'nosuch'", "bundled"])
    assert not workdir.exists() or not list(workdir.iterdir())


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--data.canvas", "20"], ["data.canvas=20", "28"]),
        (["--model.kernel-sizes", "31", "31"], ["input_shape", "too small"]),
        (["--train.batch-size", "20000"], ["train.batch_size=20000", "10000 training images"]),
    ],
)
def test_configs_that_do_not_match_the_data_are_refused(
    tmp_path: Path, option: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", QUICKSTART, "--workdir", str(tmp_path / "run"), *option]) == 2
    check_error(capsys, words, out="bundled: 10,000 training, 2,000 test images of 10 classes")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "from train.config.parts import *\nget_config = lambda: Config(train=TrainConfig(stepz=1))",
            "TrainConfig has no field 'stepz'; perhaps you meant 'steps'",
        ),
        (
            "from train.config.parts import *\nget_config = lambda: Config(train=TrainConfig(steps=-1))",
            "train.steps=-1 is not allowed; it must be above 0",
        ),
        ("get_config = lambda: 3", "returned an object of type int"),
        ("x = 1", "it has no get_config"),
        ("import nosuch", "ModuleNotFoundError: No module named 'nosuch'"),
        ("x = = 1", "SyntaxError"),
    ],
)
def test_errors_in_config_files_are_explained(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(UserError, match=message):
        load_config(path)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["fit", "--help"], ["evaluate", "--help"]])
def test_help_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "usage: python -m train" in capsys.readouterr().out


def test_command_line_is_parsed_without_importing_jax() -> None:
    code = "import sys, train.cli; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
