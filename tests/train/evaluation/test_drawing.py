"""Figures: text is text, settings of the user have no part in it, and a failure is one line."""

import os
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from train.evaluation.drawing import Drawing, save
from train.run.json_files import replace


def figure(text: str) -> Figure:
    fig = plt.figure(figsize=(4, 1))
    fig.text(0.1, 0.5, text)
    fig.text(0.1, 0.1, "below")
    return fig


@pytest.mark.parametrize("text", ["$$", "$$$", "$x", r"$\frac{$", "犬 猫", "كلب", "a_b^c", "50 %"])
@pytest.mark.parametrize("usetex", [False, True])
def test_any_text_is_drawn(tmp_path: Path, text: str, usetex: bool) -> None:
    drawing = Drawing(tmp_path / "figures")
    path = drawing.folder / "a.png"
    with matplotlib.rc_context({"text.usetex": usetex}):
        assert drawing.attempt("it", lambda: save(path, figure(text))) == path
        assert drawing.failures == []
        assert matplotlib.rcParams["text.usetex"] == usetex
    with Image.open(path) as image:
        assert np.asarray(image.convert("L")).min() < 100


def test_dollars_are_drawn_as_they_are(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path)
    for name, text in (("a", "$x$"), ("b", "x")):
        drawing.attempt(name, lambda: save(tmp_path / f"{name}.png", figure(text)))  # noqa: B023
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_a_figure_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    def fail() -> Path:
        plt.figure()
        raise RuntimeError("no\nidea")

    drawing = Drawing(tmp_path / "figures")
    assert drawing.attempt("the curves", fail) is None
    assert drawing.attempt("b", lambda: save(drawing.folder / "b.png", figure("b")))
    assert drawing.failures == [f"the curves in {tmp_path / 'figures'} cannot be drawn (no idea)"]
    assert os.listdir(tmp_path / "figures") == ["b.png"]
    assert not plt.get_fignums()
    (tmp_path / "file").write_text("")
    assert Drawing(tmp_path / "file").attempt("a", lambda: None) is None


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    path = tmp_path / "a.txt"
    replace(path, lambda path: path.write_text("whole"))
    with pytest.raises(OSError, match="disk full"):
        replace(path, fail)
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.txt"]
