"""Figures of volumes: registration, and volumes that a classifier was given."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn_jax.coordinates import denormalize_grid
from train.evaluation.drawing import WRONG, style
from train.step.step import Visualization

ROWS = 4
"""Number of examples in the figure of registration, and of rows in the other."""

COLUMNS = ("fixed", "moving", "moved", "difference before", "difference after", "deformed grid")

VIEWS = ("front", "from above")

NEAR, FAR = 1.0, 0.35
"""Brightness at the near and the far end of what is looked at."""

LINES = 2
"""Distance of the lines of a drawn grid, in voxels."""


def draw_registration(
    shown: Visualization, before: Sequence[float], after: Sequence[float], title: str
) -> Figure:
    """Draws a horizontal slice through the middle of each example, the front upwards.

    Args:
        shown: moving and fixed volumes as inputs, and the network's warps.
        before: distance of each example's landmarks before registration, in voxels.
        after: the same after it.
        title: title of the figure.
    """
    warp = shown.warps[-1]
    moving, fixed = np.moveaxis(np.asarray(shown.inputs), -1, 0)
    middle = fixed.shape[1] // 2
    slices = (fixed[:, middle], moving[:, middle], np.asarray(warp.features)[:, middle, ..., 0])
    height, width = slices[0].shape[1:]
    size = 1.9
    with style():
        fig, axes = plt.subplots(
            len(before),
            len(COLUMNS),
            figsize=(size * len(COLUMNS) * width / height, size * len(before) + 0.6),
            layout="constrained",
            squeeze=False,
        )
        fig.suptitle(title, x=0.01, ha="left", fontsize=11)
        for row, *numbers, fix, move, moved, grid in zip(
            axes, before, after, *slices, np.asarray(warp.grid)[:, middle], strict=True
        ):
            for ax, image in zip(row[:3], (fix, move, moved), strict=True):
                ax.imshow(image, cmap="gray", vmin=0, vmax=1, origin="lower")
            for ax, image, number in zip(row[3:5], (move - fix, moved - fix), numbers, strict=True):
                ax.imshow(image, cmap="RdBu_r", vmin=-0.7, vmax=0.7, origin="lower")
                ax.set_xlabel(f"{number:.2f} voxels")
            _draw_grid(row[5], move, grid)
            for ax in row:
                ax.set_xticks([])
                ax.set_yticks([])
                ax.spines[:].set_visible(False)
        for ax, name in zip(axes[0], COLUMNS, strict=True):
            ax.set_title(name)
    return fig


def draw_volumes(shown: Visualization, captions: Sequence[tuple[str, bool]], title: str) -> Figure:
    """Draws volumes from the front and from above, each beside the outputs of the transformers.

    Args:
        shown: volumes ``(b, d, h, w, c)`` as inputs, and the network's warps; the first channel
            is drawn.
        captions: text of each volume, and whether the prediction is right.
        title: title of the figure.
    """
    volumes = [np.asarray(shown.inputs), *(np.asarray(warp.features) for warp in shown.warps)]
    shown_as = ["volume", *["output"] * len(shown.warps)]
    names = [f"{name}, {view}" for name in shown_as for view in VIEWS]
    each = len(VIEWS) * len(volumes)
    columns = max(1, 8 // each)
    count = min(len(captions), ROWS * columns)
    rows = -(-count // columns)
    with style():
        fig, axes = plt.subplots(
            rows,
            columns * each,
            figsize=(1.25 * columns * each, 1.45 * rows + 0.4),
            layout="constrained",
            squeeze=False,
        )
        fig.suptitle(title, x=0.01, ha="left", fontsize=11)
        for ax in axes.flat:
            ax.set_axis_off()
        for index, (caption, right) in enumerate(captions[:count]):
            row, column = divmod(index, columns)
            own = axes[row, column * each : (column + 1) * each]
            views = [view for volume in volumes for view in _views(volume[index, ..., 0])]
            for ax, view, name in zip(own, views, names, strict=True):
                ax.imshow(view, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                ax.text(0, -0.03, name, transform=ax.transAxes, fontsize=6.5, va="top")
            own[0].set_title(caption, color="black" if right else WRONG, fontsize=9)
    return fig


def _views(volume: np.ndarray) -> list[np.ndarray]:
    """Returns a volume ``(d, h, w)`` seen from the front and from above, near voxels brighter."""
    views = []
    for seen in (volume, np.moveaxis(volume, 1, 0)):
        light = np.linspace(NEAR, FAR, len(seen), dtype=seen.dtype)
        views.append(np.max(seen * light[:, None, None], axis=0))
    return [views[0], views[1][::-1]]


def _draw_grid(ax: Axes, moving: np.ndarray, grid: np.ndarray) -> None:
    """Draws where the lines of the fixed volume's voxels lie in the moving one."""
    height, width = moving.shape
    ax.imshow(moving, cmap="gray", vmin=0, vmax=2.5, origin="lower")
    xs, ys = np.moveaxis(np.asarray(denormalize_grid(grid[..., :2], (height, width))), -1, 0)
    for x, y in ((xs[::LINES].T, ys[::LINES].T), (xs[:, ::LINES], ys[:, ::LINES])):
        ax.plot(x, y, color="#ffb000", linewidth=0.6)
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(-0.5, height - 0.5)
