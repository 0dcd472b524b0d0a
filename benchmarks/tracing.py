"""How long do tracing, lowering and a first call take, here and with `map_coordinates`?

    python benchmarks/tracing.py
    python benchmarks/tracing.py --size 8,28,28,3 --repeats 15 --out runs/benchmarks/tracing.json

Tracing, and tracing and lowering, of value and both gradients of ``grid_sample`` and of a vmapped
`map_coordinates`, in turns in one process, with JAX's caches cleared before each call. Then the
first eager forward call in a fresh process, with compilation but without starting JAX.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from peers import map_coordinates_at
from rich.console import Console
from rich.table import Table
from timing import Competitor, Timing, alternate, milliseconds, save, summarize

import stn_jax as stn

Sample = Callable[[jax.Array, jax.Array], jax.Array]
SAMPLERS: dict[str, Sample] = {
    "stn_jax": stn.grid_sample,
    "map_coordinates": map_coordinates_at,
}
STAGES = {
    "trace": "tracing value and both gradients",
    "lower": "tracing and lowering value and both gradients",
    "first_call": "first eager forward call in a fresh process",
}


def operands(size: str) -> tuple[jax.Array, jax.Array]:
    """Returns an image ``(n, h, w, c)`` and a grid of the same spatial shape."""
    batch, *spatial, channels = map(int, size.split(","))
    random = np.random.default_rng(0)
    image = random.standard_normal((batch, *spatial, channels), dtype=np.float32)
    grid = random.uniform(-1, 1, (batch, *spatial, len(spatial))).astype(np.float32)
    placed: tuple[jax.Array, jax.Array] = jax.block_until_ready(jax.device_put((image, grid)))
    return placed


def prepare(sample: Sample, stage: str, arrays: tuple[jax.Array, jax.Array]) -> None:
    """Traces value and both gradients of a sampler, and lowers them for the stage ``lower``."""
    jax.clear_caches()
    loss = jax.value_and_grad(lambda image, grid: jnp.sum(sample(image, grid)), (0, 1))
    traced = jax.jit(loss).trace(*arrays)
    if stage == "lower":
        traced.lower()


def measure_stages(size: str, repeats: int) -> dict[str, dict[str, Timing]]:
    """Times tracing and lowering of all samplers, in turns."""
    arrays = operands(size)
    competitors = {
        (stage, name): Competitor(functools.partial(prepare, sample, stage, arrays))
        for stage in ("trace", "lower")
        for name, sample in SAMPLERS.items()
    }
    timings = alternate(competitors, repeats=repeats)
    return {
        stage: {name: timings[stage, name] for name in SAMPLERS} for stage in ("trace", "lower")
    }


def first_call(name: str, size: str) -> float:
    """Returns the seconds of the first eager call in this process."""
    arrays = operands(size)
    start = time.perf_counter()
    jax.block_until_ready(SAMPLERS[name](*arrays))
    return time.perf_counter() - start


def measure_first_calls(size: str, repeats: int) -> dict[str, Timing]:
    """Times the first eager call of all samplers, in turns and each in a fresh process."""
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    seconds: dict[str, list[float]] = {name: [] for name in SAMPLERS}
    for _ in range(repeats):
        for name, turns in seconds.items():
            command = [sys.executable, __file__, "--only", name, "--size", size]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
            turns.append(json.loads(done.stdout.splitlines()[-1]))
    return {name: summarize(turns, calls=1) for name, turns in seconds.items()}


def print_stages(
    console: Console, size: str, stages: dict[str, dict[str, Timing]]
) -> dict[str, float]:
    """Prints a table, and returns the ratio of stn_jax to `map_coordinates` for each stage."""
    table = Table(title=f"{size}: milliseconds, and the ratio of stn_jax to map_coordinates")
    for column in ("stage", *SAMPLERS, "ratio"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    ratios = {
        stage: timings["stn_jax"].median / timings["map_coordinates"].median
        for stage, timings in stages.items()
    }
    for stage, timings in stages.items():
        row = [milliseconds(timings[name]) for name in SAMPLERS]
        table.add_row(STAGES[stage], *row, f"{ratios[stage]:.2f}")
    console.print(table)
    return ratios


def main(arguments: Sequence[str] | None = None) -> None:
    """Times the stages given on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="8,28,28,3", metavar="N,H,W,C")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--repeats", type=int, default=9, help="turns for each competitor")
    parser.add_argument("--only", choices=SAMPLERS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="where to write JSON")
    options = parser.parse_args(arguments)
    if options.only:  # a fresh process
        print(first_call(options.only, options.size))
        return

    stages: dict[str, dict[str, Timing]] = {}
    if {"trace", "lower"} & set(options.stages):
        stages |= measure_stages(options.size, options.repeats)
    if "first_call" in options.stages:
        stages["first_call"] = measure_first_calls(options.size, options.repeats)
    stages = {stage: stages[stage] for stage in options.stages}
    console = Console(width=max(Console().width, 120))
    ratios = print_stages(console, options.size, stages)
    if options.out:
        results: dict[str, Any] = {"size": options.size, "stages": stages, "ratios": ratios}
        save(options.out, results)


if __name__ == "__main__":
    main()
