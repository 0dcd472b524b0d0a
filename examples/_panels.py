"""What the examples share: panels in rows, as one picture."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

ACCENT = "#ffb000"
IMAGES = Path(__file__).parents[1] / "docs/images"


def picture(
    panels: Sequence[tuple[str, Any]], path: Path, *, columns: int, side: float = 2.6
) -> None:
    """Draws panels ``(title, image)`` or ``(title, function of the axes)`` and saves them."""
    rows = -(-len(panels) // columns)
    shapes = [np.shape(what)[:2] for _, what in panels if not callable(what)] or [(1, 1)]
    height = side * max(h / w for h, w in shapes) + 0.32
    plt.rcParams.update({"font.size": 9, "font.family": "DejaVu Sans"})
    fig, grid = plt.subplots(
        rows, columns, figsize=(columns * (side + 0.1), rows * height), squeeze=False
    )
    for axes, (title, what) in zip(grid.flat, panels, strict=False):
        axes.set_title(title, loc="left", fontsize=9)
        if isinstance(what, Callable):
            what(axes)
        else:
            shown = np.asarray(what, np.float32)
            axes.imshow(shown.clip(0, 1) if shown.ndim == 3 else shown, cmap="gray", vmin=0, vmax=1)
            axes.axis("off")
    for axes in list(grid.flat)[len(panels) :]:
        axes.axis("off")
    fig.tight_layout(pad=0.4)
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=110, pil_kwargs={"quality": 88, "optimize": True})
    plt.close(fig)
    print(f"picture: {path}")
