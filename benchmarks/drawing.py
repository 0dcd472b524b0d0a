"""Pictures of the benchmarks, in the colours of Okabe and Ito, with a marker for each series."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

INK, SOFT, PALE = "#262626", "#8a8a8a", "#e4e4e4"
BLUE, ORANGE, GREEN, PINK, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
PEERS = {
    "torch": ("o", ORANGE, "PyTorch"),
    "map_coordinates": ("s", BLUE, "map_coordinates"),
    "gather": ("X", SOFT, "XLA's gathers"),
    "dm_pix": ("^", GREEN, "dm_pix"),
    "kornia": ("D", PINK, "kornia"),
    "opencv": ("v", SKY, "OpenCV"),
    "previous": ("P", SOFT, "previous"),
}
PASSES = {
    "forward": ("o", BLUE, "forward"),
    "theta": ("s", GREEN, "gradient for theta"),
    "both": ("D", ORANGE, "both gradients"),
}
STYLE: dict[Any, object] = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "savefig.dpi": 130,
    "savefig.facecolor": "white",
}


def draw_cells(cells: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws the time of each peer relative to stn_jax, by pass (panel) and size (row)."""
    passes = [pass_ for pass_ in PASSES if any(cell["pass"] == pass_ for cell in cells)]
    sizes = list(dict.fromkeys(cell["size"] for cell in cells))
    with plt.rc_context(STYLE):
        shape = (1.5 + 3.5 * len(passes), 1.9 + 0.5 * len(sizes))
        figure, panels = plt.subplots(
            1, len(passes), figsize=shape, squeeze=False, sharey=True, sharex=True
        )
        drawn: dict[str, Any] = {}
        for ax, pass_ in zip(panels[0], passes, strict=True):
            ax.axvline(1, color=INK, linewidth=1)
            ax.set_title(PASSES[pass_][2], loc="left")
            for cell in (cell for cell in cells if cell["pass"] == pass_):
                row = sizes.index(cell["size"])
                ax.axhline(row, color=PALE, linewidth=1, zorder=0)
                mine = cell["timings"]["stn_jax"]
                peers = [name for name in PEERS if name in cell["timings"]]
                for place, name in enumerate(peers):
                    theirs = cell["timings"][name]
                    marker, color, label = PEERS[name]
                    y = row + 0.12 * (place - (len(peers) - 1) / 2)
                    low, high = theirs.low / mine.high, theirs.high / mine.low
                    ax.plot([low, high], [y, y], color=color, linewidth=1.2)
                    (drawn[label],) = ax.plot(
                        theirs.median / mine.median, y, marker, color=color, markersize=6.5,
                        markeredgecolor="white", markeredgewidth=0.6,
                    )  # fmt: skip
            ax.set(xscale="log", yticks=range(len(sizes)), ylim=(len(sizes) - 0.5, -0.5))
            ax.set_yticklabels([size.replace(",", ", ").replace(":", " to ") for size in sizes])
            ax.tick_params(axis="y", length=0)
            _plain_ticks(ax)
        figure.supxlabel(
            "time relative to stn_jax: right of the line stn_jax is faster", fontsize=11
        )
        figure.legend(drawn.values(), drawn, loc="upper right", ncols=len(drawn), handletextpad=0.1)
        figure.tight_layout(rect=(0, 0, 1, 0.93))
        figure.savefig(path)
        plt.close(figure)


def draw_scaling(sweeps: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws time and memory of the sweeps, with the fitted lines and their slopes."""
    quantities = list(dict.fromkeys(sweep["quantity"] for sweep in sweeps))
    rows = {"time": "milliseconds", "memory": "megabytes"}
    with plt.rc_context(STYLE):
        shape = (1 + 3.6 * len(quantities), 6.8)
        figure, panels = plt.subplots(
            2, len(quantities), figsize=shape, squeeze=False, sharex="col", sharey="row"
        )
        drawn: dict[str, Any] = {}
        for column, quantity in enumerate(quantities):
            for ax, (measured, unit) in zip(panels[:, column], rows.items(), strict=True):
                of_these = [sweep for sweep in sweeps if sweep["quantity"] == quantity]
                for place, sweep in enumerate(of_these):
                    drawn |= _draw_sweep(ax, sweep, measured, place)
                ax.set(xscale="log", yscale="log")
                ax.grid(color=PALE, linewidth=0.8)
                ax.set_axisbelow(True)
                _plain_ticks(ax)
                if not column:
                    ax.set_ylabel(unit)
            template = of_these[0]["points"][0]["size"]
            panels[0, column].set_title(_heading(quantity, template), loc="left")
            panels[1, column].set_xlabel(
                quantity + (" of an image" if quantity == "pixels" else "")
            )
        figure.legend(drawn.values(), drawn, loc="upper right", ncols=len(drawn), handletextpad=0.3)
        figure.text(
            0.01, 0.985, "filled: in the fit    hollow: not    line: slope, by least squares",
            va="top", color=SOFT,
        )  # fmt: skip
        figure.tight_layout(rect=(0, 0, 1, 0.95))
        figure.savefig(path)
        plt.close(figure)


def _heading(quantity: str, size: str) -> str:
    batch, *spatial, channels = size.split(",")
    image = " x ".join(spatial)
    return {
        "pixels": f"{batch} images, {channels} channels",
        "channels": f"{batch} images of {image}",
        "images": f"images of {image}, {channels} channels",
    }[quantity]


def _draw_sweep(ax: Axes, sweep: dict[str, Any], measured: str, place: int) -> dict[str, Any]:
    """Draws one sweep into a panel; ``place`` is its number, for the position of the slope."""
    marker, color, label = PASSES[sweep["pass"]]
    points = sweep["points"]
    x = [point["value"] for point in points]
    if measured == "time":
        y = [point["time"].median * 1e3 for point in points]
        ends = [(point["time"].low * 1e3, point["time"].high * 1e3) for point in points]
        ax.vlines(x, *zip(*ends, strict=True), color=color, linewidth=1.2)
    else:
        y = [point["bytes"] / 1e6 for point in points]
    for a, b, point in zip(x, y, points, strict=True):
        fill = color if point["fitted"] else "white"
        (mark,) = ax.plot(a, b, marker, color=color, markerfacecolor=fill, markersize=6)
    fitted = [(a, b) for a, b, point in zip(x, y, points, strict=True) if point["fitted"]]
    slope = sweep["slopes"][measured]
    center = [statistics.fmean(map(math.log, column)) for column in zip(*fitted, strict=True)]
    fit_x = [fitted[0][0], fitted[-1][0]]
    fit_y = [math.exp(center[1] + slope * (math.log(value) - center[0])) for value in fit_x]
    ax.plot(fit_x, fit_y, color=color, linewidth=1.6, zorder=1)
    ax.annotate(
        f"slope {slope:.2f}", (0.97, 0.05 + 0.09 * place), xycoords="axes fraction",
        ha="right", color=color, fontsize=11,
    )  # fmt: skip
    return {label: mark}


def _plain_ticks(ax: Axes) -> None:
    """Labels ticks as 0.1, 1, 10, 1k, 1M instead of powers of ten."""

    def plain(value: float, _: int) -> str:
        for step, letter in ((1e6, "M"), (1e3, "k")):
            if value >= step:
                return f"{value / step:g}{letter}"
        return f"{value:g}"

    for axis, scale in ((ax.xaxis, ax.get_xscale()), (ax.yaxis, ax.get_yscale())):
        if scale == "log":
            low, high = axis.get_view_interval()
            subs = (1, 2, 5) if high < 300 * low else (1,)
            axis.set_major_locator(LogLocator(subs=subs))
            axis.set_major_formatter(FuncFormatter(plain))
            axis.set_minor_formatter(NullFormatter())
