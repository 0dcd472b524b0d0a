"""Metrics in ``metrics.jsonl`` of a finished run."""

import json
import resource
import struct
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from train.errors import UserError
from train.run.log import MetricsWriter, read_metrics


def _lines(workdir: Path) -> list[dict[str, Any]]:
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


def _events(workdir: Path) -> list[Event]:
    """All events of TensorBoard's files, in the order in which it reads them."""
    found = []
    for path in sorted((workdir / "tensorboard").glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + size]))
            data = data[16 + size :]
    return found


def test_curves_for_tensorboard_have_timings_and_every_metric(finished_run: Path) -> None:
    values = {
        (event.step, value.tag): value.simple_value
        for event in _events(finished_run)
        for value in event.summary.value
    }
    for line in _lines(finished_run):
        for name in set(line) - {"step", "split"}:
            found = values.pop((line["step"], f"{line['split']}/{name}"))
            assert found == pytest.approx(line[name], rel=1e-5)
    assert {tag for _, tag in values} == {"train/examples_per_second"}


@pytest.mark.parametrize("begun_at", [0, 4])
def test_curves_of_an_earlier_process_are_purged(tmp_path: Path, begun_at: int) -> None:
    """By a START, whose step and all later ones TensorBoard forgets."""
    size = 0
    for step, last in ((0, 8), (begun_at, 12)):
        writer = MetricsWriter(tmp_path, size=size, step=step)
        for now in range(step + 1, last):
            writer.write(now, "train", {"loss": 1.0 / now})
            writer.write(now, "valid", {"error": 2.0})
            if now == begun_at:
                size, _ = writer.flush()
        writer.close()
    curves: dict[str, list[int]] = {}
    for event in _events(tmp_path):
        if event.session_log.status == SessionLog.START:
            curves = {t: [s for s in steps if s < event.step] for t, steps in curves.items()}
        for value in event.summary.value:
            curves.setdefault(value.tag, []).append(event.step)
    assert curves == {"train/loss": [*range(1, 12)], "valid/error": [*range(1, 12)]}
    assert read_metrics(tmp_path, "train", "loss")[0] == [*range(1, 12)]


def test_curves_can_be_watched_while_a_run_goes_on(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path, size=0, step=0)
    for step in (1, 2):
        writer.write(step, "train", {"loss": 0.5})
        tags = {
            (event.step, value.tag) for event in _events(tmp_path) for value in event.summary.value
        }
        assert (step, "train/loss") in tags
    writer.close()


def test_lines_wait_while_there_is_no_room(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path, size=0, step=0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # a full disk, for this process
    try:
        for step in range(1, 9):
            writer.write(step, "train", {"loss": 1.5})
        size, error = writer.flush()
        assert error
        assert (tmp_path / "metrics.jsonl").stat().st_size == 100 < size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert writer.flush() == (size, None)
    writer.write(9, "train", {"loss": 1.5})
    writer.close()
    assert read_metrics(tmp_path, "train", "loss") == ([*range(1, 10)], 9 * [1.5])
    cut_short, *others = sorted((tmp_path / "tensorboard").iterdir())
    assert cut_short.stat().st_size == 100
    cut_short.unlink()
    assert 9 in {event.step for event in _events(tmp_path)}
    assert len(others) == 1


@pytest.mark.parametrize(
    "line", ["{", "3", '{"step": 3}', '{"step": "x", "split": "valid", "error": 1}']
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    good = '{"step": 1, "split": "valid", "error": 1.5}'
    (tmp_path / "metrics.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(UserError, match=r"line 2 of .*metrics\.jsonl is damaged"):
        read_metrics(tmp_path, "valid", "error")


def test_read_metrics(finished_run: Path, tmp_path: Path) -> None:
    steps, errors = read_metrics(finished_run, "valid", "error")
    assert steps == [8, 16, 24, 32, 40]
    assert all(0 <= error <= 100 for error in errors)
    assert read_metrics(finished_run, "valid", "learning_rate") == ([], [])
    assert read_metrics(tmp_path, "valid", "error") == ([], [])
