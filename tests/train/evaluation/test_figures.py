"""Figures of a finished run, and the verb ``plot``."""

from pathlib import Path

import pytest
from PIL import Image

from train.cli import main

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_figures_are_drawn(finished_run: Path) -> None:
    names = {path.name for path in (finished_run / "figures").iterdir()}
    assert {"transformer.png", "confusion.png", "curves.png", "learning.png"} <= names
    for name in names:
        with Image.open(finished_run / "figures" / name) as image:
            assert min(image.size) > 100
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 10


def test_plot_draws_the_same_figures(finished_run: Path) -> None:
    picture = finished_run / "figures" / "transformer.png"
    before = picture.read_bytes()
    picture.unlink()
    assert main(["plot", "--workdir", str(finished_run)]) == 0
    assert picture.read_bytes() == before
