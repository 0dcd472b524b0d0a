"""Figures of a finished run, and the verb ``plot``."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor
from PIL.GifImagePlugin import GifImageFile

import stn_jax as stn
from stn_jax.nn import Warp
from train.cli import main
from train.evaluation import figures
from train.evaluation.drawing import OUTLINES
from train.evaluation.snapshots import load_snapshots
from train.step.step import Visualization

WARP: Callable[..., Warp] = Warp  # of NumPy arrays, as they come from the devices

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_figures_are_drawn(finished_run: Path) -> None:
    names = {path.name for path in (finished_run / "figures").iterdir()}
    assert {
        "transformer.png",
        "confusion.png",
        "curves.png",
        "learning.png",
        "learning.gif",
    } <= names
    for name in names:
        with Image.open(finished_run / "figures" / name) as image:
            assert min(image.size) > 100
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 10


def test_an_animation_has_a_frame_for_each_snapshot(finished_run: Path) -> None:
    path = finished_run / "figures" / "learning.gif"
    assert path.stat().st_size < 400_000
    steps = [snapshot.step for snapshot in load_snapshots(finished_run)]
    with GifImageFile(path) as image:
        assert image.n_frames == len(steps) > 5
        assert image.info["loop"] == 0
        frames = []
        for k in range(image.n_frames):
            image.seek(k)
            frames.append(image.convert("RGB").tobytes())
    assert len(set(frames)) == len(steps)


def test_plot_draws_the_same_figures(finished_run: Path) -> None:
    picture = finished_run / "figures" / "transformer.png"
    before = picture.read_bytes()
    picture.unlink()
    assert main(["plot", "--workdir", str(finished_run)]) == 0
    assert picture.read_bytes() == before


def test_every_transformer_of_a_network_is_drawn(tmp_path: Path) -> None:
    """On an input, each output, and the window in the input, in a colour of its own."""
    rng = np.random.default_rng(0)
    grids = [stn.affine_grid(stn.scaling(np.array([s, s]))[None], (6, 6)) for s in (0.4, 0.8, 0.6)]
    warps = tuple(
        WARP(rng.random((1, 6, 6, 2), np.float32), np.zeros((1, 6)), np.asarray(grid))
        for grid in grids
    )
    shown = Visualization(rng.random((1, 8, 8, 2), np.float32), {}, warps)
    path = figures.save(tmp_path / "warps.png", figures.draw_examples(shown, [("7", True)], "Sums"))
    with Image.open(path) as image:
        colors = {color for _, color in image.convert("RGB").getcolors(1 << 24) or ()}
    for k, name in enumerate(OUTLINES):
        assert (ImageColor.getrgb(name) in colors) == (k < 3)
