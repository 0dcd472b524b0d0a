"""Evaluation on other data: classes by name, sizes and channels adapted, moved data recognised."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.cli import main

pytestmark = pytest.mark.usefixtures("plain_numerics")


def evaluate(run: Path, data: Path, *options: str) -> int:
    return main(["evaluate", "--workdir", str(run), "--data", str(data), *options])


def write_images(folder: Path, *, size: tuple[int, int] = (12, 12), mode: str = "L") -> Path:
    """Pictures as those of the tiny config: three classes, dark to bright."""
    for label, value in enumerate((60, 150, 255)):
        (folder / str(label)).mkdir(parents=True)
        for i in range(5):
            pixels = np.zeros((12, 12), np.uint8)
            pixels[2:10, 4:8] = value - i
            image = Image.fromarray(pixels).resize(size).convert(mode)
            image.save(folder / str(label) / f"{i}.png")
    return folder


def test_data_that_have_moved_are_those_of_the_run(
    finished_run: Path,
    tiny_config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    moved = tmp_path / "elsewhere.npz"
    moved.write_bytes((tiny_config.parent / "digits.npz").read_bytes())
    for split, key in (("test", "test_error"), ("valid", "valid_error")):
        assert evaluate(finished_run, moved, "--split", split) == 0
        out = capsys.readouterr().out
        assert "holds the data of the run" in out
        error = json.loads((finished_run / "summary.json").read_text())[key]
        assert f"{split} error {error:.2f} %" in out


@pytest.mark.parametrize(("size", "mode"), [((12, 12), "L"), ((31, 20), "RGB")])
def test_all_images_of_a_folder_are_tested(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    size: tuple[int, int],
    mode: str,
) -> None:
    folder = write_images(tmp_path / "more", size=size, mode=mode)
    assert evaluate(finished_run, folder) == 0
    out = capsys.readouterr().out
    assert f"{folder}: 15 test images, other data than those of the run" in out
    assert re.search(r"test error \d+\.\d\d % \(\d+ of 15 images\)", out)
    assert evaluate(finished_run, folder, "--split", "valid") == 2
    assert "--split valid is empty; the data have test" in capsys.readouterr().err


def test_classes_are_matched_by_their_names(
    finished_run: Path,
    tiny_config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two of the three classes, in another order, have the error that these had."""
    with np.load(tiny_config.parent / "digits.npz") as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    some = y != 0
    names = np.array(["2", "1"])
    labels = np.array([0 if label == 2 else 1 for label in y[some]])
    np.savez(
        tmp_path / "some.npz",
        **{"x_train": x[some], "y_train": labels, "x_test": x[some], "y_test": labels},
        class_names=names,
    )
    assert evaluate(finished_run, tmp_path / "some.npz") == 0
    out = capsys.readouterr().out
    classes = re.search(r"class errors: (.*)", out)
    assert classes
    assert re.findall(r"(\d) \S+", classes[1]) == ["1", "2"]


def test_data_that_do_not_fit_are_refused(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_images(tmp_path / "more")
    (folder / "2").rename(folder / "zebra")
    for data, words in (
        (folder, "classes that the network does not know: zebra; it knows 0, 1, 2"),
        (tmp_path / "nosuch", "nosuch"),
    ):
        assert evaluate(finished_run, data) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
