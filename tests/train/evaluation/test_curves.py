"""The curves that a run has written."""

from pathlib import Path

from train.evaluation.curves import read_curves
from train.experiment import Experiment


def test_curves_are_those_of_the_tables(finished_run: Path, experiment: Experiment) -> None:
    curves = read_curves(finished_run, experiment)
    assert [curve.title for curve in curves[:2]] == ["cross-entropy", "error, %"]
    assert len(curves) == 4  # and the window's two
    for curve in curves:
        assert list(curve.lines) == ["train", "valid"]  # validation stands for the test's one point
        assert curve.lines["train"][0] == list(range(4, 41, 4))
        assert curve.lines["valid"][0] == [8, 16, 24, 32, 40]


def test_a_run_without_metrics_has_no_curves(tmp_path: Path, experiment: Experiment) -> None:
    assert read_curves(tmp_path, experiment) == []
