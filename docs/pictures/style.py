"""Shared style of the documentation's pictures: panels in pixels, one accent colour."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image

import stn_jax as stn

ACCENT, INK, SOFT, PALE = "#ffb000", "#262626", "#8a8a8a", "#e4e4e4"
DIVERGING = LinearSegmentedColormap.from_list("signed", ["#303030", "#ffffff", ACCENT])
IMAGES = Path(__file__).parents[1] / "images"
DPI = 100
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"

plt.rcParams |= {
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "mathtext.fontset": "cm",
}


def figure(width, height):
    """Returns a figure with this size in pixels."""
    return plt.figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")


def panel(fig, x, y, width, height):
    """Returns axes at a position in pixels from the figure's top left corner."""
    w, h = fig.get_size_inches() * DPI
    return fig.add_axes((x / w, 1 - (y + height) / h, width / w, height / h))


def write(fig, x, y, text, **options):
    """Writes text at a position in pixels from the top left corner."""
    w, h = fig.get_size_inches() * DPI
    return fig.text(x / w, 1 - y / h, text, **options)


def arrow(fig, x0, x1, y, label="", *, above=8):
    """Draws a horizontal arrow, in pixels, with a label above it."""
    w, h = fig.get_size_inches() * DPI
    style = {"arrowstyle": "-|>", "color": SOFT, "linewidth": 1.6, "mutation_scale": 16}
    ax = fig.axes[0]
    ends = {"xy": (x1 / w, 1 - y / h), "xytext": (x0 / w, 1 - y / h)}
    ax.annotate("", **ends, xycoords="figure fraction", arrowprops=style)
    write(fig, (x0 + x1) / 2, y - above, label, ha="center", va="bottom")


def photograph(ax, image, **options):
    """Shows an image in normalised coordinates: its outer edges are -1 and 1."""
    image = np.asarray(image)
    options = {"cmap": "gray", "vmin": 0, "vmax": 1} | options
    if image.ndim == 3:
        image = image.clip(0, 1)
    ax.imshow(image, extent=(-1, 1, 1, -1), aspect="auto", **options)
    bare(ax)


def bare(ax):
    """Removes ticks and frame."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def window(ax, theta, *, color=ACCENT, width=2.2, dot=True, **options):
    """Draws the quadrilateral that a 2 x 3 matrix reads; its dot is the output's top left."""
    square = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1]])
    x, y = np.asarray(theta) @ square.T
    ax.plot(x, y, color=color, linewidth=width, solid_joinstyle="round", **options)
    if dot:
        ax.plot(x[0], y[0], "o", color=color, markersize=3.2 * width, clip_on=False)


def pull(image, theta, shape, **options):
    """Reads an image through a 2 x 3 matrix."""
    return np.asarray(stn.grid_sample(image, stn.affine_grid(theta, shape), **options))


def brackets(theta):
    """Prints a 2 x 3 matrix on two lines."""
    rows = ["".join(f"{value:6.2f}" for value in row) for row in np.asarray(theta) + 0.0]
    return f"⎡{rows[0]} ⎤\n⎣{rows[1]} ⎦"


def save(fig, name):
    """Saves a picture to ``docs/images``; png files are reduced to 256 colours."""
    path = IMAGES / name
    if path.suffix == ".png":
        fig.savefig(path, dpi=DPI)
        picture = Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
        picture.save(path, optimize=True)
    else:
        options = {"quality": 90, "subsampling": 0, "optimize": True}
        fig.savefig(path, dpi=DPI, pil_kwargs=options)
    plt.close(fig)
    print(f"{path.name}: {path.stat().st_size // 1024} KB")
