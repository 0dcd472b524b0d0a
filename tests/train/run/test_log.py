"""Metrics in ``metrics.jsonl`` of a finished run."""

import json
from pathlib import Path

import pytest

from train.run.log import read_metrics


def _lines(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_metrics_of_all_splits_are_written(finished_run: Path) -> None:
    lines = _lines(finished_run)
    train = [line for line in lines if line["split"] == "train"]
    assert [line["step"] for line in train] == list(range(4, 41, 4))
    for name in (
        "loss",
        "objective",
        "error",
        "outside",
        "theta_distance",
        "learning_rate",
        "grad_norm",
    ):
        assert name in train[0]
    assert train[0]["localization_grad_norm"] <= train[0]["grad_norm"]
    assert [line["step"] for line in lines if line["split"] == "valid"] == [8, 16, 24, 32, 40]
    assert [line["step"] for line in lines if line["split"] == "test"] == [40]
    assert not any("second" in name for line in lines for name in line)
    summary = json.loads((finished_run / "summary.json").read_text())
    assert lines[-1]["error"] == pytest.approx(summary["test_error"], abs=1e-4)
    best = min((line["error"], line["step"]) for line in lines if line["split"] == "valid")
    assert best == (pytest.approx(summary["valid_error"], abs=1e-4), summary["best_step"])
    assert list((finished_run / "tensorboard").glob("events.out.tfevents.*"))


def test_read_metrics(finished_run: Path, tmp_path: Path) -> None:
    steps, errors = read_metrics(finished_run, "valid", "error")
    assert steps == [8, 16, 24, 32, 40]
    assert all(0 <= error <= 100 for error in errors)
    assert read_metrics(finished_run, "valid", "learning_rate") == ([], [])
    assert read_metrics(tmp_path, "valid", "error") == ([], [])
