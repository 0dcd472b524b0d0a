"""The training run: finished runs, checkpoints, and training that diverges."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from running import check_same_result, interrupt_after, modification_times

import train.fit
from train.cli import main
from train.data.batches import Batches
from train.evaluation import figures

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_last_and_best_checkpoints_are_kept(finished_run: Path) -> None:
    summary = json.loads((finished_run / "summary.json").read_text())
    steps = {
        which: sorted(path.name for path in (finished_run / "checkpoints" / which).iterdir())
        for which in ("last", "best")
    }
    assert steps == {"last": ["30", "36", "40"], "best": [str(summary["best_step"])]}


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


def test_a_localization_network_without_gradient_is_reported_once(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", str(tiny_config), "--workdir", str(tmp_path / "run"), "--train.steps", "16"]
    assert main([*command, "--optim.localization-rate", "1e4"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "no gradient" in line]
    assert len(lines) == 1
    assert re.match(r"step 1?\d: the localization .*, and 100.0% of the samples", lines[0])
    assert "--optim.localization-rate or --task.outside-penalty 1" in lines[0]


def test_the_first_line_says_what_each_set_has(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", str(tiny_config), "--workdir", str(tmp_path / "run"), "--train.steps", "6"]
    assert main(command) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.endswith("digits.npz: 50 training, 10 validation, 21 test images of 3 classes")
    assert second.startswith("RTS, 18 x 18 x 1; STN, ")


def test_the_commit_is_that_of_the_start(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run holds its code in memory; a commit made while it trains is none of its own."""
    run = tmp_path / "run"
    monkeypatch.setattr(
        train.fit, "git_revision", lambda: "meanwhile" if run.exists() else "before"
    )
    assert main(["fit", str(tiny_config), "--workdir", str(run), "--train.steps", "6"]) == 0
    summary = json.loads((run / "summary.json").read_text())
    assert summary["git_revision"] == "before"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_at_the_next_step_and_the_run_resumes(
    finished_run: Path,
    tiny_config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    request: pytest.FixtureRequest,
) -> None:
    command = ["fit", str(tiny_config), "--workdir", str(tmp_path / "run")]
    batches = Batches.__call__
    before = signal.signal(number, signal.default_int_handler)  # who runs the tests may ignore it
    request.addfinalizer(lambda: signal.signal(number, before))

    def interrupted(self: Batches, step: int, steps: int) -> object:
        if step == 12:
            signal.raise_signal(number)
        return batches(self, step, steps)

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "__call__", interrupted)
        assert main(command) == {signal.SIGINT: 130, signal.SIGTERM: 75}[number]
    assert capsys.readouterr().err == ("\ninterrupted; the same command resumes from step 13\n")
    assert sorted(os.listdir(tmp_path / "run" / "checkpoints" / "last")) == ["12", "13", "6"]
    assert not (tmp_path / "run" / ".lock").exists()
    assert main(command) == 0
    assert "resuming from step 13" in capsys.readouterr().out
    check_same_result(finished_run, tmp_path / "run")


def test_an_interrupt_before_the_first_step_promises_nothing(
    tiny_config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train.fit, "write_metadata", interrupted)
    assert main(["fit", str(tiny_config), "--workdir", str(tmp_path / "run")]) == 130
    assert "before the first checkpoint; the same command starts again" in capsys.readouterr().err
    assert not os.listdir(tmp_path / "run")


def test_a_finished_run_is_trained_on_where_steps_are_raised(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--optim.schedule", "constant", "--train.steps"]
    command = ["fit", str(tiny_config), *options]
    assert main([*command, "16", "--workdir", str(tmp_path / "longer")]) == 0
    assert main([*command, "24", "--workdir", str(tmp_path / "longer")]) == 0
    assert "resuming from step 16" in capsys.readouterr().out
    assert main([*command, "24", "--workdir", str(tmp_path / "whole")]) == 0
    check_same_result(tmp_path / "whole", tmp_path / "longer")
    assert json.loads((tmp_path / "longer" / "summary.json").read_text())["steps"] == 24
    assert main([*command, "16", "--workdir", str(tmp_path / "longer")]) == 2
    assert "train.steps is 24 there and 16 here" in capsys.readouterr().err


def test_a_figure_that_cannot_be_drawn_does_not_fail_the_run(
    tiny_config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        assert (tmp_path / "run" / "summary.json").is_file()
        raise RuntimeError("no font")

    monkeypatch.setattr(figures, "draw_curves", fail)
    command = ["fit", str(tiny_config), "--workdir", str(tmp_path / "run"), "--train.steps", "6"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert f"the curves in {tmp_path / 'run' / 'figures'} cannot be drawn (no font)" in out
    assert err == ""
    assert (tmp_path / "run" / "figures" / "transformer.png").is_file()
    assert main(["plot", "--workdir", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_images_read_by_index_train_as_those_in_memory_and_resume(
    finished_run: Path, tiny_config: Path, tmp_path: Path
) -> None:
    """Programs that gather rows and that are given them may round differently, here unoptimised."""
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    command = ["fit", str(tiny_config), "--data.memory-limit", "0", "--workdir"]
    with interrupt_after(16):
        assert main([*command, str(stopped)]) == 130
    assert main([*command, str(stopped)]) == 0
    assert main([*command, str(whole)]) == 0
    texts = [(run / "metrics.jsonl").read_text() for run in (stopped, whole, finished_run)]
    assert texts[0] == texts[1]
    lines = [[json.loads(line) for line in text.splitlines()] for text in texts[1:]]
    for found, expected in zip(*lines, strict=True):
        assert found.pop("split") == expected.pop("split")
        assert found == pytest.approx(expected, rel=1e-6)
    results = [json.loads((run / "summary.json").read_text()) for run in (stopped, finished_run)]
    assert results[0]["result"] == results[1]["result"]
    assert (stopped / "figures" / "transformer.png").exists()
    assert main(["evaluate", "--workdir", str(stopped), "--split", "train"]) == 0
