"""The verb ``predict``."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from train.cli import main

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_predict_writes_labels_thetas_and_rectified_images(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    for source, words in {
        str(images): "broken.png",
        str(tmp_path / "nosuch.png"): "does not exist",
    }.items():
        assert main(["predict", source, "--workdir", str(finished_run), "--out", str(out)]) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main([*command[:1], command[2], *command[3:], "--out", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def predict(run: Path, source: Path, out: Path) -> int:
    return main(["predict", str(source), "--workdir", str(run), "--out", str(out)])


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / "predictions.json").read_text())
    return found


def write_images(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        Image.fromarray(np.full((12, 12), 40 * i, np.uint8)).save(folder / name, "PNG")
    return folder


def test_all_probabilities_are_written(finished_run: Path, tmp_path: Path) -> None:
    source = write_images(tmp_path / "in", "0.png", "1.png")
    assert predict(finished_run, source, tmp_path / "out") == 0
    with (tmp_path / "out" / "predictions.csv").open() as file:
        table = list(csv.DictReader(file))
    for row, line in zip(rows(tmp_path / "out"), table, strict=True):
        assert list(row["probabilities"]) == ["0", "1", "2"]
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert row["probability"] == max(row["probabilities"].values())
        assert row["probability"] == row["probabilities"][row["label"]]
        for name, value in row["probabilities"].items():
            assert float(line[f"probability_{name}"]) == value


def test_the_error_of_labelled_images_is_said(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    for label in ("0", "1", "2", "7"):
        write_images(source / label, "a.png", "b.png", "c.png")
    assert predict(finished_run, source, tmp_path / "out") == 0
    written = rows(tmp_path / "out")
    known = [row for row in written if "true_label" in row]
    assert [row["true_label"] for row in known] == ["0"] * 3 + ["1"] * 3 + ["2"] * 3
    wrong = sum(row["label"] != row["true_label"] for row in known)
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == (
        f"error {100 * wrong / 9:.2f} % ({wrong} of 9 images; 3 more are in no folder of a class)"
    )


def test_names_of_any_length_and_letters_are_kept(finished_run: Path, tmp_path: Path) -> None:
    names = ["n" * 250 + ".png", "犬" * 80 + ".png", 'a,b "c"\nd.png', "[x].png"]
    source = write_images(tmp_path / "in", *names)
    odd = bytes(source) + b"/\xff.png"  # no UTF-8
    Path(os.fsdecode(odd)).write_bytes((source / "[x].png").read_bytes())
    assert predict(finished_run, source, tmp_path / "out") == 0
    found = {os.fsencode(row["image"]) for row in rows(tmp_path / "out")}
    assert found == {odd, *(bytes(source / name) for name in names)}
    with (tmp_path / "out" / "predictions.csv").open(
        newline="", encoding="utf-8", errors="surrogateescape"
    ) as file:
        assert {os.fsencode(row["image"]) for row in csv.DictReader(file)} == found
    assert len(list((tmp_path / "out" / "rectified").iterdir())) == 5


@pytest.mark.parametrize("out", ["out", "in/out"])
def test_predicting_again_replaces_what_was_predicted(
    finished_run: Path, tmp_path: Path, out: str
) -> None:
    source = write_images(tmp_path / "in", "0.png", "1.png", "2.png")
    assert predict(finished_run, source, tmp_path / out) == 0
    (source / "2.png").unlink()
    (tmp_path / out / "notes.txt").write_text("mine")
    assert predict(finished_run, source, tmp_path / out) == 0
    assert len(rows(tmp_path / out)) == 2
    assert sorted(path.name for path in (tmp_path / out / "rectified").iterdir()) == [
        *("00000_0.png", "00001_1.png")
    ]
    assert (tmp_path / out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("predictions.csv", "mine"),
        ("predictions.json", "{"),
        ("predictions.json", '[{"my": "own"}]'),
        ("rectified/mine.png", ""),
    ],
)
def test_files_of_others_are_not_overwritten(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str,
) -> None:
    source, out = write_images(tmp_path / "in", "0.png"), tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text(content)
    assert predict(finished_run, source, out) == 2
    assert "not those of a prediction" in capsys.readouterr().err
    assert [path for path in out.rglob("*") if path.is_file()] == [out / name]
    assert (out / name).read_text() == content


def test_rectified_images_are_not_predicted_into_their_own_folder(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_images(tmp_path / "in", "0.png"), tmp_path / "out"
    assert predict(finished_run, source, out) == 0
    assert predict(finished_run, out / "rectified", out) == 2
    assert "holds the images" in capsys.readouterr().err
    assert len(list((out / "rectified").iterdir())) == 1
