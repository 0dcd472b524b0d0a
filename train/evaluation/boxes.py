"""Figures of boxes: where an object is, and where it was found."""

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from train.evaluation.drawing import WRONG, style

TRUE, FOUND = "#8fd14f", "#ffb000"
"""Colours of the true box and of the window."""

COLUMNS = 8


def draw_boxes(
    images: np.ndarray,
    true: np.ndarray,
    found: np.ndarray,
    overlaps: Sequence[float],
    right: Sequence[bool],
    title: str,
) -> Figure:
    """Draws images with the true box and the window that was found.

    Args:
        images: ``(n, h, w, c)`` in [0, 1]; the first channel is drawn.
        true: true boxes, (x0, y0, x1, y1), normalised, ``(n, 4)``.
        found: the windows' boxes, likewise.
        overlaps: intersection over union of each pair.
        right: whether it is large enough.
        title: title of the figure.
    """
    rows = math.ceil(len(images) / COLUMNS)
    with style():
        fig, axes = plt.subplots(
            rows,
            COLUMNS,
            figsize=(1.3 * COLUMNS, 1.5 * rows + 0.4),
            layout="constrained",
            squeeze=False,
        )
        fig.suptitle(title, x=0.01, ha="left", fontsize=11)
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, image, *boxes, overlap, good in zip(
            axes.flat, images, true, found, overlaps, right, strict=False
        ):
            ax.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1, extent=(-1, 1, 1, -1))
            for (x0, y0, x1, y1), color in zip(boxes, (TRUE, FOUND), strict=True):
                box = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=color)
                ax.add_patch(box)
            ax.set_title(f"IoU {overlap:.2f}", fontsize=8, color="black" if good else WRONG)
    return fig
