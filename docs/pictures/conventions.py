"""The pictures of docs/conventions.md.

    python docs/pictures/conventions.py

Needs `pip install -e ".[docs]"`. The library computes all coordinates and curves.
"""

import jax.numpy as jnp
import numpy as np
from matplotlib.patches import Rectangle
from skimage import data
from style import (
    ACCENT,
    INK,
    MINUS,
    PALE,
    arrow,
    bare,
    figure,
    panel,
    photograph,
    pull,
    save,
    window,
    write,
)

import stn_jax as stn

ASTRONAUT = np.float32(data.astronaut() / 255)
CHELSEA = np.float32(data.chelsea() / 255)
COFFEE = np.float32(data.coffee() / 255)


def pixels():
    """Four pixels under both values of align_corners."""
    fig, width, height, reach = figure(1200, 190), 590, 190, 4.4
    for left, align_corners in ((0, False), (610, True)):
        ax = panel(fig, left, 0, width, height)
        bare(ax)
        top = -0.52
        ax.set(xlim=(1.5 - reach / 2, 1.5 + reach / 2), ylim=(top + reach * height / width, top))
        where = "centres" if align_corners else "outer edges"
        title = f"align_corners={align_corners}: the border pixels' {where}"
        ax.text(1.5, -0.33, title, ha="center", size=13)
        for end in (-1.0, 1.0):
            place = stn.denormalize_grid(jnp.array([end]), (4,), align_corners=align_corners).item()
            ax.plot([place, place], [-0.03, 0.83], color=ACCENT, linewidth=3)
            ax.text(place, -0.07, f"{end:.0f}".replace("-", MINUS), ha="center", size=16)
        for i in range(4):
            shade = str(0.88 - 0.05 * (i % 2))
            tile = Rectangle((i - 0.5, 0), 1, 0.8, facecolor=shade, linewidth=0, zorder=0)
            ax.add_patch(tile)
            pixel = jnp.array([float(i)])
            place = stn.normalize_grid(pixel, (4,), align_corners=align_corners).item()
            name = f"{place:.2f}".replace("-", MINUS)
            style = {"ha": "center", "va": "center"}
            style["bbox"] = {"facecolor": shade, "linewidth": 0, "pad": 2}
            ax.text(i, 0.2, f"pixel {i}", size=11, color="#666666", **style)
            ax.text(i, 0.6, name, size=12, **style)
            ax.plot(i, 0.4, "o", color=INK, markersize=7)
    save(fig, "conventions-pixels.png")


def axes():
    """The order (x, y), and the direction of a positive angle."""
    fig, side = figure(1200, 348), 300
    write(fig, 0, 26, "a point is (x, y), a pixel image[row, column]")
    ax = panel(fig, 0, 46, 450, side)
    photograph(ax, 0.55 * COFFEE)
    style = {"arrowstyle": "-|>", "color": ACCENT, "linewidth": 2.2, "mutation_scale": 18}
    ax.annotate("", (0.6, 0), (0, 0), arrowprops=style)
    ax.annotate("", (0, 0.68), (0, 0), arrowprops=style)
    ax.text(0.64, 0, "x", color="white", size=16, va="center")
    ax.text(0.03, 0.68, "y", color="white", size=16, va="center")
    ax.plot(0, 0, "o", color=ACCENT, markersize=7)
    corners = [(-1, -1, "left", "top"), (1, -1, "right", "top")]
    corners += [(-1, 1, "left", "bottom"), (1, 1, "right", "bottom"), (0, -0.05, "right", "bottom")]
    for x, y, ha, va in corners:
        text = f"({x}, {round(y)})".replace("-", MINUS)
        ax.text(0.97 * x - 0.02, 0.95 * y, text, color="white", ha=ha, va=va, size=12)
    theta = stn.rotation(jnp.pi / 6)
    write(fig, 500, 26, "rotation(30°) turns the window clockwise,")
    ax = panel(fig, 500, 46, side, side)
    photograph(ax, ASTRONAUT)
    window(ax, theta)
    ax.set(xlim=(-1.45, 1.45), ylim=(1.45, -1.45), facecolor=INK)
    write(fig, 900, 26, "and so the picture back")
    ax = panel(fig, 900, 46, side, side)
    photograph(ax, pull(ASTRONAUT, theta, (side, side)))
    ax.plot(-1, -1, "o", color=ACCENT, markersize=14)
    ax.set(xlim=(-1, 1), ylim=(1, -1))
    arrow(fig, 812, 888, 46 + side / 2)
    save(fig, "conventions-axes.jpg")


def rectangles():
    """A rotation of normalised coordinates shears an image that is not square."""
    h, w = COFFEE.shape[:2]
    centre = jnp.array([(w - 1) / 2, (h - 1) / 2])
    about = stn.compose(stn.translation(centre), stn.rotation(0.5), stn.translation(-centre))
    fig, width, height = figure(1200, 244), 288, 192
    rows = (
        ("stn.rotation(0.5): shears", stn.rotation(0.5)),
        ("normalize_matrix of a rotation in pixels", stn.normalize_matrix(about, (h, w), (h, w))),
    )
    for i, (name, theta) in enumerate(rows):
        x = i * (2 * width + 36)
        write(fig, x, 26, name)
        ax = panel(fig, x, 42, width, height)
        photograph(ax, COFFEE)
        window(ax, theta)
        ax.set(xlim=(-1.7, 1.7), ylim=(1.7, -1.7), facecolor=INK)
        photograph(panel(fig, x + width + 12, 42, width, height), pull(COFFEE, theta, (h, w)))
    save(fig, "conventions-rectangles.jpg")


def padding():
    """A zoomed-out photograph under every padding mode."""
    theta = stn.scaling(jnp.array([2.2, 2.2]))
    shape = CHELSEA.shape[:2]
    tiles = {
        "U": None,
        'padding_mode="zeros"': {"padding_mode": "zeros"},
        '"border"': {"padding_mode": "border"},
        '"reflection"': {"padding_mode": "reflection"},
        '"wrap"': {"padding_mode": "wrap"},
        '"fill", fill_value=(1, 0.69, 0)': {
            "padding_mode": "fill",
            "fill_value": jnp.array([1, 0.69, 0]),
        },
    }
    width, height, gap = 386, 257, 21
    fig = figure(1200, 2 * (height + 44))
    for i, (name, options) in enumerate(tiles.items()):
        x, y = (i % 3) * (width + gap), (i // 3) * (height + 44)
        write(fig, x, y + 30, name)
        picture = CHELSEA if options is None else pull(CHELSEA, theta, shape, **options)
        ax = panel(fig, x, y + 42, width, height)
        photograph(ax, picture)
        if options is not None and name != '"fill", fill_value=(1, 0.69, 0)':
            window(ax, stn.invert(theta), width=1.2, dot=False)
        ax.set(xlim=(-1, 1), ylim=(1, -1))
    save(fig, "conventions-padding.jpg")


def weights():
    """The weight of a pixel against its distance, for each kernel."""
    rows = {
        "nearest": {"mode": "nearest"},
        "bilinear": {"mode": "bilinear"},
        f"bicubic, A = {MINUS}0.75": {"mode": "bicubic", "cubic_coefficient": -0.75},
        f"bicubic, A = {MINUS}0.5": {"mode": "bicubic", "cubic_coefficient": -0.5},
        "lanczos3": {"mode": "lanczos3"},
    }
    fig, width, gap = figure(1200, 250), 214, 28
    impulse = jnp.zeros((1, 17, 1)).at[0, 8, 0].set(1)
    u = jnp.linspace(-3.25, 3.25, 1301)
    for i, (name, options) in enumerate(rows.items()):
        x = 18 + i * (width + gap)
        write(fig, x, 26, name)
        ax = panel(fig, x, 40, width, 180)
        ax.axhline(0, color=PALE, linewidth=1.2)
        ax.vlines(range(-3, 4), -0.2, 1.1, color=PALE, linewidth=1)
        points = jnp.stack([8 + u, jnp.zeros_like(u)], axis=-1)[None]
        weight = stn.sample_pixels(impulse, points, padding_mode="border", **options)[0, :, 0]
        ax.plot(u, weight, color=ACCENT, linewidth=2.4)
        ax.set(xlim=(-3.25, 3.25), ylim=(-0.2, 1.1), xticks=range(-3, 4), yticks=[])
        ax.spines["left"].set_visible(False)
        if i == 0:
            ax.set_yticks([0, 1])
            ax.tick_params(axis="y", pad=4, length=0)
    save(fig, "conventions-kernels.png")


if __name__ == "__main__":
    for draw in (pixels, axes, rectangles, padding, weights):
        draw()
