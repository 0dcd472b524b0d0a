"""Mistakes on the command line: one line that says what to do, exit code 2, no files written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import QUICKSTART, ROOT, check_error

import stn_jax as stn
from train.cli import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], ["verb 'train'", "fit, evaluate, predict, export, plot, report, compile"]),
        (["fit"], ["config file", "configs/quickstart.py"]),
        (
            ["fit", "--train.steps", "4", QUICKSTART],
            ["comes first", "fit /", "quickstart.py --train"],
        ),
        (["fit", "configs/quikstart.py"], ["does not exist", "meant configs/quickstart.py"]),
        (["fit", "configs/zzz"], ["does not exist", "there are", "configs/quickstart_cnn.py"]),
        (["fit", QUICKSTART, "--train.stepz=5"], ["--train.stepz", "meant --train.steps"]),
        (["fit", QUICKSTART, "--optim.learning-rate", "fast"], ["learning-rate", "'fast'"]),
        (["fit", QUICKSTART, "--optim.learning-rate", "-1"], ["learning_rate=-1.0", "above 0"]),
        (["fit", QUICKSTART, "--model", "vgg"], ["'vgg'", "'st_cnn'"]),
        (["fit", QUICKSTART, "--train.steps"], ["--train.steps"]),
        (["report"], ["work directory", "folder of them"]),
        (["report", "nosuch"], ["nosuch does not exist"]),
        (["report", "tests"], ["tests holds no run", "config.json"]),
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
        (["--distortion.canvas", "20"], ["distortion.canvas=20", "28"]),
        (["--model.classifier.kernel-sizes", "31", "31"], ["input_shape", "too small"]),
        (["--model", "fcn", "--task.outside-penalty", "1"], ["task.outside_penalty=1.0", "warps"]),
        (["--model=fcn", "--optim.localization-rate=.1"], ["optim.localization_rate", "nothing"]),
        (["--train.steps", "40"], ["optim.warmup_steps=50", "train.steps=40"]),
        (["--task.class-weights", "1", "2"], ["task.class_weights=(1.0, 2.0)", "10 classes"]),
        (["--train.batch-size", "20000"], ["train.batch_size=20000", "9000 training examples"]),
    ],
)
def test_configs_that_do_not_match_the_data_are_refused(
    tmp_path: Path, option: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", QUICKSTART, "--workdir", str(tmp_path / "run"), *option]) == 2
    check_error(capsys, words)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["fit", "--help"], ["evaluate", "--help"]])
def test_help_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "usage: python -m train" in capsys.readouterr().out


def test_help_without_a_config_lists_the_options_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--help"]) == 0
    out = capsys.readouterr().out
    for option in ("--workdir", "--optim.learning-rate", "--train.batch-size"):
        assert option in out


def test_command_line_is_parsed_without_importing_jax() -> None:
    code = "import sys, train.cli; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert stn.__version__ in capsys.readouterr().out


def test_output_that_nobody_reads_is_no_error() -> None:
    command = [sys.executable, "-u", "-m", "train", "fit", QUICKSTART, "--help"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as errors:
        assert b"Traceback" not in errors.read()
    process.wait()


def test_a_missing_package_names_the_extra() -> None:
    code = "import sys; sys.modules['tyro'] = None; import runpy; runpy.run_module('train')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: training needs tyro: pip install -e '.[train]'\n"


@pytest.mark.parametrize("package", ["optax", "rich", "orbax"])
def test_a_package_missing_later_names_the_extra(package: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from train.cli import main; "
    code += f"sys.exit(main(['fit', {QUICKSTART!r}, '--workdir', {str(tmp_path)!r}]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: training needs {package}: pip install -e '.[train]'\n"


def test_an_interrupted_prediction_has_nothing_to_resume(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.evaluation.predict.predict", interrupted)
    assert main(["predict", "a.png", "--workdir", "w", "--out", "o"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


def test_errors_of_the_system_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "w/metrics.jsonl")

    monkeypatch.setattr("train.evaluation.figures.plot", full)
    assert main(["plot", "--workdir", "w"]) == 1
    check_error(capsys, ["w/metrics.jsonl: No space left on device"])


def test_a_tilde_is_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["evaluate", "--workdir", "~/run"]) == 2
    check_error(capsys, [str(tmp_path / "run")])


def test_letters_that_the_terminal_lacks_are_no_error() -> None:
    code = "import sys; from train.cli import main; main(['--version']); print('\\u72ac')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "\\u72ac" in done.stdout
