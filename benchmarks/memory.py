"""How much memory does a pass take at its peak, here and elsewhere, and what does ours keep?

    python benchmarks/memory.py --out runs/benchmarks/memory.json

Each library works in a process of its own: one call to warm up, freed memory given back, the
kernel's high-water mark reset, three calls, and the mark less what was resident before them.
"""

import argparse
import ctypes
import gc
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.table import Table
from sampler import PASSES, PEERS, CannotDo, compiled, jax_peer, job, ours
from timing import save

import stn_jax as stn
from stn_jax.sampling.grid_sample import BACKENDS

_STATUS = Path("/proc/self/status")
_CALLS = 3


def planned(program: jax.stages.Compiled) -> dict[str, int]:
    """Returns the bytes of a compiled program's arguments, results and temporaries."""
    sizes = program.memory_analysis()
    return {
        "arguments": sizes.argument_size_in_bytes,
        "results": sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
        "temporaries": sizes.temp_size_in_bytes,
    }


def kept(size: str, backend: str) -> dict[str, int]:
    """Returns the bytes that `stn_jax.grid_sample` keeps for reverse mode, and of its inputs."""
    task = job(size, "both")
    grid = stn.affine_grid(task.theta, task.shape)

    def sample(image: jax.Array, grid: jax.Array) -> jax.Array:
        return stn.grid_sample(image, grid, backend=backend)

    residuals = jax.eval_shape(lambda *inputs: jax.vjp(sample, *inputs)[1], task.image, grid)
    sizes = [math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(residuals)]
    return {"image_and_grid": task.image.nbytes + grid.nbytes, "kept": sum(sizes)}


def peak_of(name: str, size: str, pass_: str, backend: str) -> int:
    """Returns the bytes that a pass takes at its peak in this process, its results among them."""
    task = job(size, pass_)
    peer = jax_peer(task, ours(backend)) if name == "stn_jax" else PEERS[name](task)
    *_, competitor = peer.competitors.values()  # the most threads
    competitor.prepare()
    jax.block_until_ready(competitor.call())
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    for _ in range(_CALLS):
        jax.block_until_ready(competitor.call())
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[field].split()[0]) * 1024


def peak(name: str, size: str, pass_: str, backend: str) -> int | None:
    """Returns `peak_of` in a fresh process; None where the library has no such pass."""
    command = [sys.executable, __file__, "--only", name, "--sizes", size]
    command += ["--passes", pass_, "--backend", backend]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def print_peaks(console: Console, rows: Sequence[dict[str, Any]], peers: Sequence[str]) -> None:
    """Prints the peaks in megabytes, and in a word who needs less."""
    table = Table(title="peak memory in MB, results included, and times that of stn_jax")
    table.add_column("N,H,W,C")
    table.add_column("pass")
    for heading in ("stn_jax", "its results", "its temporaries, by plan", *peers):
        table.add_column(heading, justify="right")
    for row in rows:
        mine, plan = row["peaks"]["stn_jax"], row["planned"]
        texts = [f"{size / 1e6:.1f}" for size in (mine, plan["results"], plan["temporaries"])]
        for name in peers:
            theirs = row["peaks"][name]
            word = "[green]win[/]" if theirs and theirs >= mine else "[bold red]LOSS[/]"
            texts.append(f"{theirs / 1e6:.1f}\n{theirs / mine:.2f}x {word}" if theirs else "-")
        table.add_row(row["size"], row["pass"], *texts)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ["2,512,512,16"]
    parser.add_argument("--sizes", nargs="+", default=default, metavar="N,H,W,C[:H,W]")
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=["forward", "both"])
    default = ["torch", "map_coordinates", "kornia"]
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=default)
    parser.add_argument("--backend", choices=("auto", *BACKENDS), default="auto")
    parser.add_argument("--only", choices=("stn_jax", *PEERS), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="where to write JSON")
    options = parser.parse_args(arguments)
    if options.only:  # the process that works
        try:
            print(peak_of(options.only, *options.sizes, *options.passes, options.backend))
        except CannotDo:
            print("null")
        return
    if not _STATUS.exists():
        raise SystemExit("memory.py reads /proc/self/status, which only Linux has.")

    rows = [
        {
            "size": size,
            "pass": pass_,
            "planned": planned(compiled(job(size, pass_), options.backend)[0]),
            "peaks": {
                name: peak(name, size, pass_, options.backend)
                for name in ("stn_jax", *options.peers)
            },
        }
        for size in options.sizes
        for pass_ in options.passes
    ]
    residuals = {size: kept(size, options.backend) for size in options.sizes}
    console = Console(width=max(Console().width, 120))
    print_peaks(console, rows, options.peers)
    for size, sizes in residuals.items():
        ratio = sizes["kept"] / sizes["image_and_grid"]
        console.print(
            f"{size}: reverse mode keeps {sizes['kept'] / 1e6:.1f} MB, "
            f"{ratio:.2f} times image and grid ({sizes['image_and_grid'] / 1e6:.1f} MB)."
        )
    if options.out:
        results = {"backend": options.backend, "peaks": rows, "residuals": residuals}
        save(options.out, results)


if __name__ == "__main__":
    main()
