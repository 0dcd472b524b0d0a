"""Figures of a run: the transformer's output, the worst mistakes, the curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from train.errors import UserError
from train.evaluation.curves import read_curves
from train.evaluation.drawing import (
    OUTLINES,
    WRONG,
    Drawing,
    outline,
    save_animation,
    style,
    to_color,
)
from train.evaluation.drawing import save as save
from train.evaluation.evaluator import MAX_VISUALIZED as MAX_VISUALIZED
from train.evaluation.evaluator import Evaluator, load_run
from train.evaluation.html_report import write_report
from train.evaluation.snapshots import Snapshot, load_snapshots, pick_moments
from train.evaluation.volumes import draw_volumes
from train.experiment import Experiment
from train.run.progress import log
from train.run.workdir import REPORT
from train.step.state import Params
from train.step.step import Evaluated, Visualization

SPLIT_NAMES = {"test": "Test", "valid": "Validation", "train": "Training"}
"""How titles call the splits."""

TILE = 1.15
"""Side of one image on a sheet, inches."""

BAND = "#262626"
TRAIN, EVALUATED = "#9aa5b1", "#0b62c4"


class Drawn(NamedTuple):
    """What came of drawing the figures of a run.

    Attributes:
        picture: path of the most informative figure; None if none could be drawn.
        failures: one line for what could not be drawn.
    """

    picture: Path | None
    failures: list[str]


def draw_figures(
    workdir: Path, evaluator: Evaluator, params: Params, evaluated: Evaluated, split: str
) -> Drawn:
    """Draws all figures of a run, as many as possible: the task's, the curves and the filmstrip.

    Last comes ``report.html``, which contains them.

    Args:
        workdir: work directory, with its metrics and snapshots.
        evaluator: evaluator with the examples.
        params: parameters of the network.
        evaluated: metrics and outputs of each example of a split.
        split: which split.
    """
    folder, experiment = workdir / "figures", evaluator.experiment
    drawing = Drawing(folder)
    picture = drawing.attempt(
        "the examples", lambda: experiment.task.draw(evaluator, params, evaluated, split, folder)
    )
    curves = drawing.attempt(
        "the curves", lambda: save(folder / "curves.png", draw_curves(workdir, experiment))
    )
    drawing.attempt("the filmstrip", lambda: _draw_training(workdir, folder))
    page = Drawing(workdir)
    page.attempt(REPORT, lambda: write_report(workdir, experiment))
    return Drawn(picture or curves, drawing.failures + page.failures)


def draw_examples(shown: Visualization, captions: Sequence[tuple[str, bool]], title: str) -> Figure:
    """Draws inputs, each beside the output of each of the transformers.

    Args:
        shown: the images, or volumes, and the network's output.
        captions: text of each image, and whether the prediction is right.
        title: title of the figure.
    """
    if np.ndim(shown.inputs) == 5:
        return draw_volumes(shown, captions, title)
    drawn = shown.warps[: len(OUTLINES)]
    warps = [(np.asarray(warp.grid), np.asarray(warp.features)) for warp in drawn]
    wide = 1 + len(warps)
    columns = max(2, 8 // wide)  # even if fewer are shown, so that the title fits
    fig, ax = _canvas(columns * (wide + 0.15), 1.3 * -(-len(captions) // columns), title)
    for i, (caption, right) in enumerate(captions):
        x, y = i % columns * (wide + 0.15), i // columns * 1.3 + 0.2
        color = "black" if right else WRONG
        ax.text(x, y - 0.05, caption, color=color, fontsize=9, ha="left", va="bottom")
        _draw_example(ax, shown.inputs[i], [(grid[i], out[i]) for grid, out in warps], at=(x, y))
    return fig


def caption(names: Sequence[str], predicted: int, label: int) -> tuple[str, bool]:
    """Returns the caption of an image, and whether its label is right."""
    answer, true = (
        name if len(name) <= 12 else name[:11] + "…" for name in (names[predicted], names[label])
    )
    return (answer, True) if predicted == label else (f"{answer}, is {true}", False)


def _canvas(width: float, height: float, title: str, left: float = 0.0) -> tuple[Figure, Axes]:
    """Returns empty axes in units of one tile, y downwards; faster than axes for each image."""
    with style():
        fig = plt.figure(figsize=(TILE * (left + width + 0.1), TILE * (height + 0.1) + 0.35))
        ax = fig.add_axes((0, 0, 1, 1 - 0.35 / fig.get_figheight()))
        ax.set_xlim(-left - 0.1, width)
        ax.set_ylim(height + 0.1, 0)
        ax.set_axis_off()
        y = 1 - 0.12 / fig.get_figheight()
        fig.text(0.1 * TILE / fig.get_figwidth(), y, title, ha="left", va="top", fontsize=11)
    return fig, ax


def _draw_example(
    ax: Axes,
    image: np.ndarray,
    warps: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    at: tuple[float, float],
    toward: tuple[int, int] = (1, 0),
) -> None:
    """Draws an image, and in the next tiles the output of each transformer, given its grid too.

    The next tiles are to the right of it, or below it with ``toward=(0, 1)``.
    """
    x, y = at
    if not warps:
        _show(ax, image, x, y, 0.98)
        return
    _show_input(ax, image, [grid for grid, _ in warps], x, y)
    for k, (_, features) in enumerate(warps):
        tile = x + (1 + k) * toward[0], y + (1 + k) * toward[1]
        left, top, pixel = _show(ax, features, *tile, 0.98)
        if len(warps) > 1:
            height, width = features.shape[0] * pixel, features.shape[1] * pixel
            frame = Rectangle((left, top), width, height, fill=False, edgecolor=OUTLINES[k])
            ax.add_patch(frame)


def _show(ax: Axes, image: np.ndarray, x: float, y: float, size: float) -> tuple[float, ...]:
    """Draws an image ``(h, w, c)`` in [0, 1].

    Returns:
        Left, upper edge, and the side of one pixel.
    """
    height, width = image.shape[:2]
    pixel = size / max(height, width)
    left, top = x + (size - width * pixel) / 2, y + (size - height * pixel) / 2
    ax.imshow(
        to_color(image),
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(left, left + width * pixel, top + height * pixel, top),
        aspect="auto",
        zorder=1,
    )
    return left, top, pixel


def _show_input(
    ax: Axes, image: np.ndarray, grids: Sequence[np.ndarray], x: float, y: float
) -> None:
    """Draws an image and the outline of each window; a dot marks the output's upper left corner.

    A band around the image shows where a window leaves it.
    """
    tile = Rectangle((x, y), 0.98, 0.98, facecolor=BAND, linewidth=0, zorder=0)
    ax.add_patch(tile)
    left, top, pixel = _show(ax, image, x + 0.1, y + 0.1, 0.78)
    for grid, color in zip(grids, OUTLINES, strict=False):
        columns, rows = outline(grid, (image.shape[0], image.shape[1]))
        xs, ys = left + columns * pixel, top + rows * pixel
        for line in (
            *ax.plot(xs, ys, color=color, linewidth=1.2, solid_joinstyle="round", zorder=2),
            *ax.plot(xs[0], ys[0], "o", color=color, markersize=3.2, zorder=2),
        ):
            line.set_clip_path(tile)


def draw_curves(workdir: Path, experiment: Experiment) -> Figure:
    """Draws each metric against the step."""
    curves = read_curves(workdir, experiment)
    with style():
        fig, axes = plt.subplots(
            1, len(curves), figsize=(3.1 * len(curves), 2.7), layout="constrained", squeeze=False
        )
        for ax, curve in zip(axes[0], curves, strict=True):
            for split, (steps, values) in curve.lines.items():
                options: dict[str, Any] = {"marker": "o", "markersize": 3, "color": EVALUATED}
                options = {"color": TRAIN} if split == "train" else options
                ax.plot(steps, values, label=split, **options)
            if curve.log_scale:
                ax.set_yscale("log", nonpositive="mask")
                ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                ax.yaxis.set_minor_locator(NullLocator())
            else:
                ax.set_ylim(bottom=0)
            ax.set_title(curve.title)
            ax.set_xlabel("step")
        axes[0, 0].legend(frameon=False, handlelength=1.2)
    return fig


def draw_confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Draws how often each label (rows) was predicted as which (columns), in percent of the row.

    Args:
        matrix: numbers of examples, ``(classes, classes)``.
        names: names of the classes.
    """
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.45 * len(names) + 1.5, 3.2, 14))
    with style():
        fig, ax = plt.subplots(figsize=(side, side), layout="constrained")
        ax.imshow(share, cmap="Blues", vmin=0, vmax=100)
        shorter = [name if len(name) <= 12 else name[:11] + "…" for name in names]
        if len(names) <= 40:
            ax.set_xticks(
                range(len(names)), shorter, rotation=90 if max(map(len, names)) > 2 else 0
            )
            ax.set_yticks(range(len(names)), shorter)
        if len(names) <= 25:
            for row, column in np.argwhere(matrix).tolist():
                color = "white" if share[row, column] > 50 else "black"
                text = f"{matrix[row, column]}"
                ax.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
        ax.set_title("Labels and predictions")
        ax.set_xlabel("predicted")
        ax.set_ylabel("label")
    return fig


def _draw_training(workdir: Path, folder: Path) -> Path | None:
    """Draws the snapshots of a run as a sheet and as an animation, if there are any."""
    snapshots = load_snapshots(workdir)
    if not snapshots:
        return None
    save(folder / "learning.png", draw_filmstrip(pick_moments(snapshots)))
    return save_animation(folder / "learning.gif", map(draw_frame, snapshots))


def draw_filmstrip(snapshots: Sequence[Snapshot]) -> Figure:
    """Draws the same few images at successive steps, each beside the transformers' outputs."""
    count, warps = len(snapshots[0].images), len(snapshots[0].warps)
    wide = 1.15 + warps
    title = "Images with the window that the transformer reads, and its output, during training"
    fig, ax = _canvas(count * wide, 1.06 * len(snapshots), title, left=0.5)
    for j, snapshot in enumerate(snapshots):
        y = 1.06 * j + 0.06
        label = f"step\n{snapshot.step:,}"
        ax.text(-0.08, y + 0.5, label, ha="right", va="center", fontsize=9)
        for i, image in enumerate(snapshot.images):
            each = [(grids[i], features[i]) for grids, features in snapshot.warps]
            _draw_example(ax, image, each, at=(i * wide, y))
    return fig


def draw_frame(snapshot: Snapshot) -> Figure:
    """Draws the images of one snapshot in a row, above the transformers' outputs."""
    title, high = f"step {snapshot.step:,}", 1.02 + len(snapshot.warps)
    fig, ax = _canvas(1.06 * len(snapshot.images), high, title)
    for i, image in enumerate(snapshot.images):
        each = [(grids[i], features[i]) for grids, features in snapshot.warps]
        _draw_example(ax, image, each, at=(1.06 * i, 0.02), toward=(0, 1))
    return fig


def plot(workdir: Path) -> int:
    """Draws the figures of a run and writes its report.html again; the verb ``plot``.

    Args:
        workdir: work directory of a run.

    Returns:
        The exit code.

    Raises:
        UserError: if there is no run, or a figure cannot be drawn.
    """
    run = load_run(workdir, data=True)
    evaluator, size = Evaluator(run.experiment), run.experiment.config.train.eval_batch_size
    split = evaluator.final_split
    evaluated = evaluator.evaluate(run.params, split, size)
    _, failures = draw_figures(workdir, evaluator, run.params, evaluated, split)
    if failures:
        raise UserError(f"{'; '.join(failures)}.")
    log(f"figures are in {workdir / 'figures'}, and all together in {workdir / REPORT}")
    return 0
