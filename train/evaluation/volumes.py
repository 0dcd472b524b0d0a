"""The figure of registration: slices of volumes before and after, and the deformed grid."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn_jax.coordinates import denormalize_grid
from train.evaluation.drawing import style
from train.step.step import Visualization

ROWS = 4
"""Number of examples in the figure."""

COLUMNS = ("fixed", "moving", "moved", "difference before", "difference after", "deformed grid")

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


def _draw_grid(ax: Axes, moving: np.ndarray, grid: np.ndarray) -> None:
    """Draws where the lines of the fixed volume's voxels lie in the moving one."""
    height, width = moving.shape
    ax.imshow(moving, cmap="gray", vmin=0, vmax=2.5, origin="lower")
    xs, ys = np.moveaxis(np.asarray(denormalize_grid(grid[..., :2], (height, width))), -1, 0)
    for x, y in ((xs[::LINES].T, ys[::LINES].T), (xs[:, ::LINES], ys[:, ::LINES])):
        ax.plot(x, y, color="#ffb000", linewidth=0.6)
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(-0.5, height - 0.5)
