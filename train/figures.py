"""Pictures of a run: what the transformer does, what goes wrong, how training went."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from stn_jax.coordinates import pixels
from train.evaluate import VIEW, Judge, load_judge
from train.metrics import read_metrics
from train.network import Params
from train.progress import say
from train.step import Outcome, View

FILM = 6
"""Images of the filmstrip, whose snapshots are kept as training goes."""

OUTLINE, WRONG, MARGIN = "#ffb000", "#d1242f", "#262626"
TRAIN, JUDGED = "#9aa5b1", "#0b62c4"

STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}


def draw_figures(workdir: Path, judge: Judge, params: Params, outcome: Outcome) -> Path:
    """Draws all figures of a run.

    Args:
        workdir: work directory, with its metrics and snapshots.
        judge: holds the test images.
        params: parameters of the network.
        outcome: what came of each test image.

    Returns:
        The picture to look at first.
    """
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    names, labels = judge.dataset.class_names, judge.labels("test")

    def draw_sheet(name: str, indices: np.ndarray, title: str) -> Path:
        view = judge.view(params, "test", indices)
        captions = [
            _caption(names, int(outcome.predicted[i]), int(labels[i])) for i in indices.tolist()
        ]
        return _save(folder / f"{name}.png", sheet(view, captions, title))

    first = np.arange(min(VIEW, len(labels)))
    if outcome.outside is None:
        picture = draw_sheet("examples", first, "Test images, and what they are taken for")
    else:
        picture = draw_sheet(
            "transformer", first, "Test images with what the transformer reads, and its output"
        )
    worst = np.argsort(-outcome.loss, kind="stable")[:VIEW]
    worst = worst[outcome.error[worst] > 0]
    if len(worst):
        draw_sheet("mistakes", worst, "The worst mistakes on test images")
    _save(folder / "curves.png", curves(workdir))
    snapshots = sorted((workdir / "snapshots").glob("*.npz"))
    if snapshots:
        _save(folder / "learning.png", filmstrip(snapshots))
    return picture


def sheet(view: View, captions: Sequence[tuple[str, bool]], title: str) -> Figure:
    """Draws inputs, each beside the transformer's output.

    Args:
        view: the images, and what was made of them.
        captions: for each its text, and whether the prediction is right.
        title: title of the sheet.
    """
    count = len(captions)
    wide = 2 if view.grid is not None else 1
    columns = 4 * (3 - wide)  # even where fewer are shown, so that the title fits
    rows = -(-count // columns)
    with plt.rc_context(STYLE):
        fig = plt.figure(figsize=(1.2 * columns * wide + 0.2, 1.45 * rows + 0.4))
        height = fig.get_figheight()
        outer = fig.add_gridspec(
            rows, columns, left=0.01, right=0.99, bottom=0.1 / height, top=1 - 0.62 / height,
            wspace=0.08, hspace=0.22,
        )  # fmt: skip
        for i, (caption, right) in enumerate(captions):
            cell = outer[i // columns, i % columns].subgridspec(1, wide, wspace=0.04)
            left = fig.add_subplot(cell[0, 0])
            left.set_title(caption, color="black" if right else WRONG, fontsize=9, pad=3)
            if view.grid is None:
                show(left, view.images[i])
                continue
            show_input(left, view.images[i], view.grid[i])
            show(fig.add_subplot(cell[0, 1]), view.features[i])
        _title(fig, title)
    return fig


def _title(fig: Figure, title: str) -> None:
    y = 1 - 0.1 / fig.get_figheight()
    fig.suptitle(title, x=0.01, y=y, ha="left", va="top", fontsize=11)


def _caption(names: Sequence[str], predicted: int, label: int) -> tuple[str, bool]:
    said, true = (
        name if len(name) <= 12 else name[:11] + "…" for name in (names[predicted], names[label])
    )
    return (said, True) if predicted == label else (f"{said}, is {true}", False)


def show(ax: Axes, image: np.ndarray) -> None:
    """Shows an image ``(h, w, c)`` in [0, 1]; other than 3 channels, the first in grey."""
    pixel = image if image.shape[-1] == 3 else image[..., 0]
    ax.imshow(np.clip(pixel, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def show_input(ax: Axes, image: np.ndarray, grid: np.ndarray) -> None:
    """Shows an image and the outline of what is read from it; a dot marks the output's upper left.

    Args:
        ax: where to.
        image: ``(h, w, c)``.
        grid: ``(h', w', 2)``, normalised.
    """
    show(ax, image)
    height, width = image.shape[:2]
    border = np.concatenate([grid[0], grid[1:, -1], grid[-1, -2::-1], grid[-2::-1, 0]])
    y, x = (np.asarray(axis) for axis in pixels(jnp.asarray(border), (height, width)))
    ax.plot(x, y, color=OUTLINE, linewidth=1.2, solid_joinstyle="round")
    ax.plot(x[0], y[0], "o", color=OUTLINE, markersize=3.2)
    # A band around the image, so that an outline that leaves it can be seen.
    ax.set_facecolor(MARGIN)
    ax.set_xlim(-0.5 - 0.12 * width, width - 0.5 + 0.12 * width)
    ax.set_ylim(height - 0.5 + 0.12 * height, -0.5 - 0.12 * height)


def curves(workdir: Path) -> Figure:
    """Draws error and loss against the step, and what the transformer did meanwhile."""
    panels: list[tuple[str, str, float]] = [
        ("error", "error, %", 1),
        ("loss", "loss", 1),
        ("theta_distance", "distance of theta from the identity", 1),
        ("outside", "samples outside the image, %", 100),
    ]
    panels = [panel for panel in panels if read_metrics(workdir, "train", panel[0])[0]]
    with plt.rc_context(STYLE):
        fig, axes = plt.subplots(
            1, len(panels), figsize=(3.1 * len(panels), 2.7), layout="constrained", squeeze=False
        )
        for ax, (name, title, factor) in zip(axes[0], panels, strict=True):
            for split, color in (("train", TRAIN), ("valid", JUDGED), ("test", JUDGED)):
                steps, values = read_metrics(workdir, split, name)
                if not steps or (split == "test" and read_metrics(workdir, "valid", name)[0]):
                    continue
                style: dict[str, Any] = {"marker": "o", "markersize": 3} if color == JUDGED else {}
                ax.plot(steps, np.multiply(values, factor), color=color, label=split, **style)
            if name in ("error", "loss"):
                ax.set_yscale("log", nonpositive="mask")
                ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                ax.yaxis.set_minor_locator(NullLocator())
            else:
                ax.set_ylim(bottom=0)
            ax.set_title(title)
            ax.set_xlabel("step")
        axes[0, 0].legend(frameon=False, handlelength=1.2)
    return fig


def filmstrip(snapshots: Sequence[Path]) -> Figure:
    """Draws the same few images at successive steps, each beside the transformer's output."""
    frames = [np.load(path) for path in snapshots]
    count, rows = len(frames[0]["images"]), len(frames)
    with plt.rc_context(STYLE):
        fig = plt.figure(figsize=(2.05 * count + 0.7, 1.05 * rows + 0.45))
        width, height = fig.get_size_inches()
        outer = fig.add_gridspec(
            rows, count, left=0.7 / width, right=0.995, bottom=0.01, top=1 - 0.42 / height,
            wspace=0.08, hspace=0.06,
        )  # fmt: skip
        for j, (path, frame) in enumerate(zip(snapshots, frames, strict=True)):
            for i in range(count):
                cell = outer[j, i].subgridspec(1, 2, wspace=0.04)
                ax = fig.add_subplot(cell[0])
                show_input(ax, frame["images"][i], frame["grid"][i])
                show(fig.add_subplot(cell[1]), frame["features"][i])
                if i == 0:
                    label = f"step\n{int(path.stem):,}"
                    ax.set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6)
        title = "Test images with what the transformer reads, and its output, as it learns"
        _title(fig, title)
    return fig


def save_snapshot(workdir: Path, judge: Judge, params: Params, step: int) -> None:
    """Keeps a few test images with what the transformer, if there is one, makes of them now."""
    view = judge.view(params, "test", np.arange(min(FILM, len(judge.labels("test")))))
    if view.grid is None:
        return
    folder = workdir / "snapshots"
    folder.mkdir(exist_ok=True)
    arrays = {"images": view.images, "grid": view.grid, "features": view.features}
    _replace(folder / f"{step:07}.npz", lambda path: np.savez_compressed(path, **arrays))


def _save(path: Path, fig: Figure) -> Path:
    _replace(path, lambda temporary: fig.savefig(temporary, dpi=160))
    plt.close(fig)
    return path


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file, whole or not at all; only process 0 of several does."""
    if jax.process_index():
        return
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    write(temporary)
    os.replace(temporary, path)


def plot(workdir: Path) -> int:
    """Draws the figures of a run again; the verb ``plot``.

    Args:
        workdir: work directory of a run.

    Returns:
        The exit code.
    """
    run, judge = load_judge(workdir)
    outcome = judge.outcome(run.params, "test", run.config.train.eval_batch_size)
    picture = draw_figures(workdir, judge, run.params, outcome)
    say(f"figures are in {picture.parent}")
    return 0
