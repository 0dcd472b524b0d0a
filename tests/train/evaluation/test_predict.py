"""The verb ``predict``."""

import csv
import json
from pathlib import Path

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
