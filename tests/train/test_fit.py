"""A whole run of a tiny network: what it leaves, and what the other verbs make of it."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.cli import main
from train.config import Config
from train.fields import from_dict

pytestmark = pytest.mark.usefixtures("plain_numerics")


def _state_of(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def _lines(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_summary_config_and_data(finished_run: Path) -> None:
    summary = json.loads((finished_run / "summary.json").read_text())
    assert summary["steps"] == 40
    assert summary["seed"] == 0
    assert 0 <= summary["test_error"] <= 100
    assert summary["parameters"] == 324 * 8 + 8 + 8 * 6 + 6 + 64 * 8 + 8 + 8 * 3 + 3
    assert summary["seconds"] > 0
    assert summary["examples_per_second"] > 0
    assert {"git_revision", "devices", "jax_version", "valid_error", "best_step"} <= set(summary)
    config = from_dict(Config, json.loads((finished_run / "config.json").read_text()))
    assert config.train.checkpoint_every == 6
    data = json.loads((finished_run / "data.json").read_text())
    assert data["images"] == {"train": 50, "valid": 10, "test": 21}
    assert data["input_shape"] == [18, 18, 1]


def test_metrics(finished_run: Path) -> None:
    lines = _lines(finished_run)
    train = [line for line in lines if line["split"] == "train"]
    assert [line["step"] for line in train] == list(range(4, 41, 4))
    for name in ("loss", "error", "outside", "theta_distance", "learning_rate", "grad_norm"):
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


def test_figures(finished_run: Path) -> None:
    names = {path.name for path in (finished_run / "figures").iterdir()}
    assert {"transformer.png", "curves.png", "learning.png"} <= names
    for name in names:
        with Image.open(finished_run / "figures" / name) as image:
            assert min(image.size) > 100
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 10


def test_checkpoints_hold_the_last_and_the_best(finished_run: Path) -> None:
    summary = json.loads((finished_run / "summary.json").read_text())
    steps = {
        which: [path.name for path in (finished_run / "checkpoints" / which).iterdir()]
        for which in ("last", "best")
    }
    assert steps == {"last": ["40"], "best": [str(summary["best_step"])]}


def test_a_finished_run_is_left_alone(
    finished_run: Path, tiny_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _state_of(finished_run)
    assert main(["fit", str(tiny_config), "--workdir", str(finished_run)]) == 0
    assert "is finished" in capsys.readouterr().out
    assert _state_of(finished_run) == before


def test_another_config_is_refused_and_its_fields_are_named(
    finished_run: Path, tiny_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _state_of(finished_run)
    command = ["fit", str(tiny_config), "--workdir", str(finished_run), "--train.seed", "1"]
    assert main(command) == 2
    assert "train.seed is 0 there and 1 here" in capsys.readouterr().err
    assert _state_of(finished_run) == before


def test_evaluate_gives_the_error_of_the_run_whatever_the_batch(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _state_of(finished_run)
    summary = json.loads((finished_run / "summary.json").read_text())
    for options in ([], ["--batch-size", "4"]):
        assert main(["evaluate", "--workdir", str(finished_run), *options]) == 0
        assert f"test error {summary['test_error']:.2f} %" in capsys.readouterr().out
    assert main(["evaluate", "--workdir", str(finished_run), "--split", "valid"]) == 0
    assert f"valid error {summary['valid_error']:.2f} %" in capsys.readouterr().out
    assert _state_of(finished_run) == before


def test_plot_draws_again(finished_run: Path) -> None:
    picture = finished_run / "figures" / "transformer.png"
    before = picture.read_bytes()
    picture.unlink()
    assert main(["plot", "--workdir", str(finished_run)]) == 0
    assert picture.read_bytes() == before


def test_predict(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    digit = np.zeros((12, 12), np.uint8)
    digit[2:10, 5:7] = 255
    Image.fromarray(digit).save(images / "grey.png")
    Image.fromarray(digit).resize((50, 40)).convert("RGB").save(images / "large.png")
    np.savez(tmp_path / "more.npz", x=np.stack([digit, digit]))
    command = ["predict", str(images), str(tmp_path / "more.npz"), "--workdir", str(finished_run)]
    out = tmp_path / "out"
    assert main([*command, "--out", str(out), "--batch-size", "3"]) == 0
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["image"]).name for row in rows] == [
        *("grey.png", "large.png", "more.npz[0]", "more.npz[1]")
    ]
    assert rows[0]["label"] in {"0", "1", "2"}
    thetas = [[float(row[f"theta_{k}"]) for k in range(6)] for row in rows]
    assert thetas[0] == thetas[2] == thetas[3]
    assert json.loads((out / "predictions.json").read_text())[1]["theta"] == thetas[1]
    for row in rows:
        with Image.open(out / row["rectified"]) as image:
            assert image.size == (8, 8)

    capsys.readouterr()
    (images / "broken.png").write_bytes((images / "grey.png").read_bytes()[:40])
    for what, said in {
        str(images): "broken.png",
        str(tmp_path / "nosuch.png"): "is not there",
    }.items():
        assert main(["predict", what, "--workdir", str(finished_run), "--out", str(out)]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main([*command[:1], command[2], *command[3:], "--out", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_data_that_changed_are_noticed(
    finished_run: Path, tiny_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny_config.parent / "digits.npz"
    kept = path.read_bytes()
    arrays = dict(np.load(path))
    arrays["x_test"] = arrays["x_test"] // 2
    try:
        np.savez(path, **arrays)
        assert main(["evaluate", "--workdir", str(finished_run)]) == 2
    finally:
        path.write_bytes(kept)
    assert "on other data: crc32" in capsys.readouterr().err


def test_training_stops_where_a_number_is_not_finite(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", str(tiny_config), "--workdir", str(tmp_path / "run")]
    command += ["--optim.learning-rate", "1e30", "--optim.warmup-steps", "0"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "error: step 1: not finite: the update of the parameters" in said
    assert "--optim.learning-rate" in said
    assert not os.listdir(tmp_path / "run" / "checkpoints" / "last")
    assert not (tmp_path / "run" / "summary.json").exists()
