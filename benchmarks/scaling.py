"""Do time and memory grow linearly with pixels, channels and images?

    python benchmarks/scaling.py --out runs/benchmarks/scaling.json

Time and memory of the sampler, forward and with both gradients, while one of the three grows, and
the slope on log-log axes by least squares. A slope of 1 is linear growth.
"""

import argparse
import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from drawing import draw_scaling
from memory import planned_bytes
from peers import PASSES, compiled, job
from rich.console import Console
from rich.table import Table
from timing import Competitor, alternate, milliseconds, save


@dataclass(frozen=True)
class Sweep:
    """A sweep of ``size`` over ``values``, with a fit to the values from ``start`` on.

    The fit starts where an array of the output's size exceeds 32 MB: larger than the caches, and
    the size from which the C library allocates every array anew from the kernel. Both cause a step
    in time. For smaller sizes dispatch dominates, or with few channels the arithmetic of
    coordinates. A value of ``pixels`` is the width of a square image.
    """

    size: str
    values: tuple[int, ...]
    start: int


SWEEPS = {
    "pixels": Sweep("2,{0},{0},4", (32, 64, 128, 256, 512, 1152, 1408, 1664, 1920, 2304), 1152),
    "channels": Sweep("8,128,128,{0}", (1, 2, 4, 8, 16, 32, 96, 128, 192, 256, 384), 96),
    "images": Sweep("{0},64,64,8", (1, 4, 16, 64, 128, 384, 512, 768, 1024, 1536), 384),
}
SMALL = {
    "pixels": Sweep("1,{0},{0},1", (4, 8, 16), start=4),
    "channels": Sweep("1,4,4,{0}", (1, 2, 4), start=1),
    "images": Sweep("{0},4,4,1", (1, 2, 4), start=1),
}
"""Tiny sweeps, to test the script."""


def measure(quantity: str, sweep: Sweep, pass_: str, backend: str, repeats: int) -> dict[str, Any]:
    """Times all sizes of a sweep in turns, and gets their memory from the compiler."""
    programs = {}
    for value in sweep.values:
        program, arrays = compiled(job(sweep.size.format(value), pass_), backend)
        programs[value] = program, arrays, sum(planned_bytes(program).values())
    timings = alternate(
        {
            str(value): Competitor(functools.partial(program, *arrays))
            for value, (program, arrays, _) in programs.items()
        },
        repeats=repeats,
    )
    points: list[dict[str, Any]] = [
        {
            "value": value**2 if quantity == "pixels" else value,
            "size": sweep.size.format(value),
            "time": timings[str(value)],
            "bytes": bytes_,
            "fitted": value >= sweep.start,
        }
        for value, (_, _, bytes_) in programs.items()
    ]
    fitted = [point for point in points if point["fitted"]]
    values = [point["value"] for point in fitted]
    return {
        "quantity": quantity,
        "pass": pass_,
        "points": points,
        "slopes": {
            "time": slope(values, [point["time"].median for point in fitted]),
            "memory": slope(values, [point["bytes"] for point in fitted]),
        },
    }


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Returns the exponent k of ``y ~ x^k``, by least squares on the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def print_sweeps(console: Console, sweeps: Sequence[dict[str, Any]]) -> None:
    """Prints the points and slopes of each sweep."""
    for sweep in sweeps:
        slopes = sweep["slopes"]
        title = (
            f"{sweep['quantity']}, {PASSES[sweep['pass']]}: "
            f"slope {slopes['time']:.2f} of time, {slopes['memory']:.2f} of memory"
        )
        table = Table(title=title)
        for heading in ("N,H,W,C", "milliseconds", "MB", "slope to the next"):
            table.add_column(heading, justify="right")
        for point, after in itertools.zip_longest(sweep["points"], sweep["points"][1:]):
            step = math.nan
            if after:
                pair = [point["value"], after["value"]], [p["time"].median for p in (point, after)]
                step = slope(*pair)
            style = None if point["fitted"] else "dim"
            texts = milliseconds(point["time"]), f"{point['bytes'] / 1e6:.2f}"
            table.add_row(point["size"], *texts, f"{step:.2f}" if after else "", style=style)
        console.print(table)
    console.print("Dim rows are not part of the fit.", style="dim")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the sweeps given on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quantities", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=["forward", "both"])
    parser.add_argument("--repeats", type=int, default=5, help="turns for each size")
    parser.add_argument("--backend", default="gather", help="backend of stn_jax")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to test the script")
    parser.add_argument("--out", type=Path, help="where to write JSON, and a plot beside it")
    options = parser.parse_args(arguments)

    console = Console(width=max(Console().width, 100))
    sweeps = [
        measure(quantity, (SMALL if options.small else SWEEPS)[quantity], pass_, options.backend,
                options.repeats)
        for quantity in options.quantities
        for pass_ in options.passes
    ]  # fmt: skip
    print_sweeps(console, sweeps)
    if options.out:
        save(options.out, {"backend": options.backend, "sweeps": sweeps})
        draw_scaling(sweeps, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
