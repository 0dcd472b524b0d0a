"""Drawing and saving of figures: text as it is, atomic files, one failure at a time."""

import functools
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import jax
import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.figure import Figure

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


STYLE = {
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


def save_all(folder: Path, figures: Mapping[str, Callable[[], Figure]]) -> list[str]:
    """Draws and saves figures, each on its own: one that fails does not stop the others.

    Args:
        folder: folder of the figures; made if it is not there.
        figures: for each file name a function that draws it.

    Returns:
        One line for each figure that failed.
    """
    failures = []
    for name, draw in figures.items():
        try:
            folder.mkdir(exist_ok=True)
            with warnings.catch_warnings(), plt.rc_context():
                warnings.filterwarnings("ignore", "Glyph .* missing from font")
                matplotlib.rcdefaults()  # a user's matplotlibrc may read text as TeX
                plt.rcParams.update(STYLE)
                fig = draw()
                replace(folder / name, functools.partial(fig.savefig, dpi=160))
        except Exception as error:  # a picture is not worth a run
            reason = " ".join(str(error).split()) or type(error).__name__
            failures.append(f"{folder / name} cannot be drawn ({reason})")
        finally:
            plt.close("all")
    return failures


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file atomically; only process 0 writes."""
    if jax.process_index():
        return
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
