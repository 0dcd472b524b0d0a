"""Drawing and saving of figures: text as it is, atomic files, one failure at a time."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from stn_jax.coordinates import denormalize_grid
from train.run.json_files import replace

_FONTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "WenQuanYi Zen Hei"),
    *("IPAexGothic", "Hiragino Sans", "PingFang SC", "Yu Gothic", "Microsoft YaHei"),
    *("Malgun Gothic", "Noto Sans Arabic", "Noto Sans Devanagari", "Arial Unicode MS"),
)
"""Fonts, where they are installed, for letters that Matplotlib's own font lacks."""


def find_fonts() -> list[str]:
    """Returns Matplotlib's own font and those of `_FONTS` that are installed."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _FONTS if name in installed)]


WRONG = "#d1242f"
"""Colour of what says that a prediction is wrong."""

OUTLINES = ("#ffb000", "#3ddbd9", "#ff7eb6", "#8fd14f")
"""Colour of the window of each transformer of a network; the first four are drawn."""

ANIMATED_DPI, ANIMATED_COLORS = 100, 64
"""Resolution and number of colours of an animation: six digits in 16 frames have 200 kB."""

FIRST_FRAME, FRAME, LAST_FRAME = 1000, 400, 2500
"""For how long a frame of an animation is shown, in milliseconds."""

STYLE: dict[Any, object] = {
    "font.family": find_fonts(),
    "font.size": 9,
    "text.parse_math": False,  # a class may be called $$
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}
"""Settings of every figure, besides Matplotlib's defaults."""


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Applies `STYLE`; text is drawn as it is, letters that no font has as boxes."""
    with warnings.catch_warnings(), plt.rc_context():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        matplotlib.rcdefaults()  # a user's matplotlibrc may read text as TeX
        plt.rcParams.update(STYLE)
        yield


class Drawing:
    """Draws figures one after the other; one that fails does not stop the others.

    Attributes:
        folder: folder of the figures.
        failures: one line for each figure that failed.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.failures: list[str] = []

    def attempt(self, what: str, draw: Callable[[], Path | None]) -> Path | None:
        """Draws and saves figures.

        Args:
            what: the figures, for the message.
            draw: draws them, and returns the path of one.

        Returns:
            That path, or None if they cannot be drawn.
        """
        try:
            self.folder.mkdir(exist_ok=True)
            with style():
                return draw()
        except Exception as error:  # a picture is not worth a run
            reason = " ".join(str(error).split()) or type(error).__name__
            self.failures.append(f"{what} in {self.folder} cannot be drawn ({reason})")
            return None
        finally:
            plt.close("all")


def save(path: Path, fig: Figure) -> Path:
    """Saves and closes a figure, and returns its path."""
    with style():
        replace(path, functools.partial(fig.savefig, dpi=160))
    plt.close(fig)
    return path


def save_animation(path: Path, frames: Iterable[Figure]) -> Path:
    """Saves figures of one size as an animation that repeats (GIF), and returns its path."""
    images = []
    for fig in frames:
        with style():
            fig.set_dpi(ANIMATED_DPI)
            canvas = FigureCanvasAgg(fig)
            canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        images.append(image.quantize(ANIMATED_COLORS, dither=Image.Dither.NONE))
        plt.close(fig)
    first, *others = images
    times = [FIRST_FRAME, *[FRAME] * (len(others) - 1), LAST_FRAME][-len(images) :]
    replace(
        path,
        lambda target: first.save(
            target, save_all=True, append_images=others, duration=times, loop=0
        ),
    )
    return path


def to_color(image: np.ndarray) -> np.ndarray:
    """Returns an image ``(h, w, c)`` as it is shown: 3 channels in colour, 2 in red and green.

    Of any other number of channels, the first one, in grey: ``(h, w)``.
    """
    if image.shape[-1] == 2:
        image = np.concatenate([image, np.zeros_like(image[..., :1])], axis=-1)
    shown: np.ndarray = np.clip(image if image.shape[-1] == 3 else image[..., 0], 0, 1)
    return shown


def outline(grid: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the border of a window, from the output's upper left corner on and back to it.

    Args:
        grid: grid of the window, ``(h, w, 2)``.
        shape: ``(h, w)`` of the image that it reads.

    Returns:
        Columns and rows, where the image extends from 0 to its size.
    """
    down, along = (
        np.linspace(0, size - 1, min(size, 33)).round().astype(int) for size in grid.shape[:2]
    )
    border = np.concatenate(
        [grid[0, along], grid[down[1:], -1], grid[-1, along[-2::-1]], grid[down[-2::-1], 0]]
    )
    columns, rows = np.asarray(denormalize_grid(jnp.asarray(border), shape)).T
    return columns + 0.5, rows + 0.5
