"""The config file of docs/training.md: a network, transform, loss and data of a user's own."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import ROOT, interrupt_after, plain_jax

from train.cli import main

pytestmark = pytest.mark.usefixtures("plain_numerics", "compilation_cache")

OPTIONS = (
    "--model.hidden 4 --train.steps 12 --train.log-every 2 --train.eval-every 4 "
    "--train.checkpoint-every 4"
).split()


def stranger() -> str:
    """Returns the config file of the page."""
    page = (ROOT / "docs" / "training.md").read_text()
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder outside the repository, with the config file and its data."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "stranger.py").write_text(stranger())
    arrays: dict[str, Any] = {}
    for split, count in (("train", 40), ("test", 12)):
        labels = np.arange(count) % 2
        images = np.zeros((count, 8, 8), np.uint8)
        images[labels == 0, 3:5] = images[labels == 1, :, 3:5] = 255
        arrays |= {f"x_{split}": images, f"y_{split}": labels}
    np.savez(folder / "bars.npz", **arrays)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def workdir(folder: Path, compilation_cache: Path) -> Path:
    """The work directory of a run that was interrupted, and resumed; its config file is gone."""
    command = ["fit", "stranger.py", "--workdir", "run", *OPTIONS]
    with plain_jax():
        with interrupt_after(8):
            assert main(command) == 130
        assert not (folder / "run" / "summary.json").exists()
        assert main(command) == 0
    (folder / "stranger.py").rename(folder / "moved.txt")
    return folder / "run"


def test_the_page_holds_its_config_to_forty_lines() -> None:
    assert len(stranger().splitlines()) <= 40


def test_a_strangers_network_is_trained_and_resumed(workdir: Path) -> None:
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["steps"] == 12
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "train"] == list(range(2, 13, 2))
    assert lines[0]["objective"] != lines[0]["loss"]  # the hinge, and the cross-entropy
    assert {"outside", "theta_distance", "localization_grad_norm"} <= set(lines[0])
    assert (workdir / "config.py").read_text() == stranger()
    assert (workdir / "figures" / "transformer.png").is_file()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["evaluate"], "test error"),
        (["plot"], "figures are in"),
        (["predict", "bars.npz", "--out", "out"], "labels, thetas and rectified images of 12"),
    ],
)
def test_a_work_directory_is_all_that_other_verbs_need(
    workdir: Path, command: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--workdir", "run"]) == 0
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("hidden: int = 32", "width: int = 32", "Net has no field 'hidden'; it has width"),
        ("class Net", "class Network", "config.py:Net is not there any more"),
        ("hidden=(net.hidden,)", "hidden=(3,)", "is (4, 1) there and (3, 1) here"),
        ("self.logits", "self.head", "head.bias is missing there and (2,) here"),
    ],
)
def test_code_that_no_longer_fits_is_refused_in_one_line(
    workdir: Path, old: str, new: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = workdir / "config.py"
    path.write_text(stranger().replace(old, new))
    try:
        assert main(["evaluate", "--workdir", "run"]) == 2
    finally:
        path.write_text(stranger())
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_strangers_step_compiles_for_eight_chips(
    workdir: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("libtpu", reason="compiling for a TPU needs it")
    (folder / "moved.txt").rename(folder / "stranger.py")
    command = ["compile", "stranger.py", "--topology", "v5e:2x4"]
    assert main([*command, "--train.steps-per-dispatch", "1"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"all-reduce +1,", out)
    assert "state is donated     yes" in out
