"""Vector pictures of a run for ``report.html``; their colours are those of the page's CSS."""

import base64
import io
import math
from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator
from PIL import Image

from train.evaluation.curves import Curve
from train.evaluation.drawing import outline, to_color

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 296, 10, 164
"""Where the axes of a curve are, in the units of the picture."""

MARGIN = 0.13
"""Width of the band around an input, which shows where a window leaves it."""

LARGEST = 128
"""Largest side of an image on the page, in pixels."""


def draw_curve(curve: Curve) -> str:
    """Draws one metric against the step."""
    values = [y for _, line in curve.lines.values() for y in line if _is_shown(y, curve.log_scale)]
    steps = [x for line, _ in curve.lines.values() for x in line]
    if not values:
        return ""
    low, high = min(values), max(values)
    if curve.log_scale:
        low, high = low / 1.1, high * 1.1
        ticks = LogLocator(subs=(1, 2, 5)).tick_values(low, high)
    else:
        low, high = min(low, 0.0), max(high * 1.05, 1e-9)
        ticks = MaxNLocator(5).tick_values(low, high)
    bend = math.log if curve.log_scale else float
    last = max(*steps, 1)

    def place(step: float, value: float) -> tuple[float, float]:
        share = (bend(value) - bend(low)) / (bend(high) - bend(low))
        return LEFT + (RIGHT - LEFT) * step / last, BOTTOM - (BOTTOM - TOP) * share

    parts = []
    for tick in (float(tick) for tick in ticks if low <= tick <= high):
        _, y = place(0, tick)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in (float(tick) for tick in MaxNLocator(4).tick_values(0, last) if 0 <= tick <= last):
        x, _ = place(tick, high)
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 16}" text-anchor="middle">{tick:,.0f}</text>')
    for split, line in curve.lines.items():
        points = [(x, y) for x, y in zip(*line, strict=True) if _is_shown(y, curve.log_scale)]
        spots = [(*place(x, y), x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, *_ in spots)
        parts.append(f'<polyline class="line {split}" points="{path}"/>')
        if split != "train":
            parts += [
                f'<circle class="{split}" cx="{x:.1f}" cy="{y:.1f}" r="2.5">'
                f"<title>step {step:,}: {value:.4g}</title></circle>"
                for x, y, step, value in spots
            ]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def _is_shown(value: float, log_scale: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not log_scale)


def draw_input(key: str, shape: Sequence[int], grids: Sequence[np.ndarray]) -> str:
    """Draws an image and the outline of each window; a dot marks the output's upper left corner.

    Args:
        key: id of the image, which `define_image` has put on the page.
        shape: ``(h, w)`` of the image.
        grids: the grid of each transformer, ``(h, w, 2)``.
    """
    height, width = shape
    pad = MARGIN * max(shape)
    box = f"{-pad:.2f} {-pad:.2f} {width + 2 * pad:.2f} {height + 2 * pad:.2f}"
    parts = [f'<use href="#{escape(key)}"/>']
    for k, grid in enumerate(grids):
        xs, ys = outline(grid, (height, width))
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in zip(xs, ys, strict=True))
        parts.append(f'<polyline class="window w{k}" points="{path}"/>')
        radius = 0.035 * max(shape)
        dot = f'cx="{xs[0]:.2f}" cy="{ys[0]:.2f}" r="{radius:.2f}"'
        parts.append(f'<circle class="corner w{k}" {dot}/>')
    return f'<svg class="input" viewBox="{box}">{"".join(parts)}</svg>'


def define_image(key: str, image: np.ndarray) -> str:
    """Returns an image ``(h, w, c)`` in [0, 1] that `draw_input` may show any number of times."""
    height, width = image.shape[:2]
    size = f'width="{width}" height="{height}" preserveAspectRatio="none"'
    return f'<image id="{escape(key)}" {size} href="{encode(image)}"/>'


def encode(image: np.ndarray) -> str:
    """Returns an image ``(h, w, c)`` in [0, 1] as the address of a PNG that contains it."""
    picture = Image.fromarray(np.uint8(np.round(255 * to_color(image))))
    scale = LARGEST / max(picture.size)
    if scale < 1:
        width, height = (max(1, round(scale * side)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=True)
    return data_url(buffer.getvalue())


def data_url(png: bytes) -> str:
    """Returns the address of a PNG that contains it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
